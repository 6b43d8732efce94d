// How far a training is, with loss, speed and the time left: a bar on a terminal, a line every tenth of the way elsewhere.

import { SingleBar } from "cli-progress"
import { thousands } from "./figures.ts"

export interface Output {
  write(text: string): unknown
  readonly isTTY?: boolean
}

export interface Course {
  readonly title: string
  /** How many of what: 500 "steps". */
  readonly total: number
  readonly unit: string
  /** What the speed counts, and how many of them one unit is: 1,437 "images" an epoch. */
  readonly speedUnit: string
  readonly perUnit: number
}

/** `done` counts units, and may be a fraction while one is under way. */
export type Update = (done: number, loss: number) => void

interface Display {
  readonly update: Update
  readonly stop: () => void
}

/** Runs `body`, which reports how far it is; the terminal is left as it was, even if it fails. */
export async function withProgress(
  out: Output,
  course: Course,
  body: (update: Update) => Promise<void>,
): Promise<void> {
  const start = performance.now()
  const state = (done: number, loss: number) => {
    const seconds = (performance.now() - start) / 1000
    const isStarted = done > 0 && seconds > 0
    return {
      loss: loss.toFixed(Math.abs(loss) < 10 ? 4 : 2),
      speed: isStarted ? `${thousands((done * course.perUnit) / seconds)} ${course.speedUnit}/s` : "",
      left: isStarted ? duration((seconds / done) * (course.total - done)) : "?",
    }
  }
  const display = out.isTTY === true ? bar(out as NodeJS.WritableStream, course, state) : lines(out, course, state)
  try {
    await body(display.update)
  } finally {
    display.stop()
  }
}

type State = (done: number, loss: number) => { loss: string; speed: string; left: string }

function bar(stream: NodeJS.WritableStream, { title, total, unit }: Course, state: State): Display {
  const single = new SingleBar({
    stream,
    format: `  ${title} {bar} {count}/{total} ${unit}  loss {loss}  {speed}  ETA {left}`,
    barCompleteChar: "━",
    barIncompleteChar: "─",
    barsize: 12,
    hideCursor: true,
  })
  const payload = (done: number, loss: number) => ({ count: Math.floor(done), ...state(done, loss) })
  single.start(total, 0, { ...payload(0, 0), loss: "…" })
  return {
    update: (done, loss) => single.update(done, payload(done, loss)),
    stop: () => single.stop(),
  }
}

function lines(out: Output, { title, total, unit }: Course, state: State): Display {
  let shown = 0
  return {
    update: (done, loss) => {
      const tenth = Math.floor((done * 10) / total)
      if (tenth === shown) return
      shown = tenth
      const count = String(Math.floor(done)).padStart(String(total).length)
      const { loss: text, speed, left } = state(done, loss)
      out.write(`  ${title}  ${count}/${total} ${unit}  loss ${text}  ${speed}  ETA ${left}\n`)
    },
    stop: () => {},
  }
}

/** "8 s", "2 min 05 s". */
export function duration(seconds: number): string {
  const whole = Math.round(seconds)
  if (whole < 60) return `${whole} s`
  return `${Math.floor(whole / 60)} min ${String(whole % 60).padStart(2, "0")} s`
}
