// Cold starts: from the start of a process to its first trained step, and the most memory it ever held. Interleaved as everything
// else, and each program once beforehand, so that the files are in the system's cache.

import { spawn } from "node:child_process"
import { join } from "node:path"
import { createInterface } from "node:readline"
import { buildFolder } from "../folders.ts"
import { lastWords } from "../process.ts"
import { type Bundle, bundle } from "./bundle.ts"
import type { ColdProgram } from "./programs.ts"

export interface ColdRow {
  readonly program: string
  /** Its packages as installed, or all of it bundled into one file. */
  readonly form: "packages" | "bundle"
  readonly samples: number[]
  readonly peaks: number[]
  loss: number | null
  failure: string | null
}

export interface ColdResult {
  readonly rows: readonly ColdRow[]
  readonly bundles: readonly Bundle[]
}

interface Start {
  readonly row: ColdRow
  readonly program: ColdProgram
  readonly file: string
}

export async function measureCold(programs: readonly ColdProgram[], repetitions: number): Promise<ColdResult> {
  const bundles: Bundle[] = []
  const starts: Start[] = []
  for (const program of programs) {
    await program.prepare?.()
    if (program.runsAsIs) starts.push({ program, file: program.file, row: emptyRow(program.name, "packages") })
    if (program.beside === null) continue
    const file = join(buildFolder, "cold", `${program.name}.mjs`)
    const made = await bundle(program, file)
    bundles.push(made)
    starts.push({ program, file, row: { ...emptyRow(program.name, "bundle"), failure: made.failure } })
  }
  for (let repetition = 0; repetition <= repetitions; repetition++) {
    for (const start of starts) {
      if (start.row.failure === null) await once(start, repetition > 0)
    }
  }
  return { rows: starts.map(({ row }) => row), bundles }
}

function emptyRow(program: string, form: ColdRow["form"]): ColdRow {
  return { program, form, samples: [], peaks: [], loss: null, failure: null }
}

const limit = 60_000

/** One process; the first of each is not counted. */
function once({ program, file, row }: Start, isCounted: boolean): Promise<void> {
  return new Promise((resolve) => {
    const start = performance.now()
    const child = spawn(program.program, [file], {
      env: { ...process.env, ...program.env },
      stdio: ["ignore", "pipe", "pipe"],
    })
    let words = ""
    let isDone = false
    const timer = setTimeout(() => child.kill("SIGKILL"), limit)
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      words += text
    })
    createInterface({ input: child.stdout }).on("line", (line) => {
      if (isDone || !line.startsWith("@")) return
      isDone = true
      const milliseconds = performance.now() - start
      const { loss, peakBytes } = JSON.parse(line.slice(1)) as { loss: number; peakBytes: number }
      row.loss = loss
      if (isCounted) {
        row.samples.push(milliseconds)
        row.peaks.push(peakBytes)
      }
      child.kill("SIGKILL")
    })
    const end = (reason: string) => {
      clearTimeout(timer)
      if (!isDone) row.failure ??= reason
      resolve()
    }
    child.on("error", (error) => end(error.message))
    child.on("close", (code, signal) => end(lastWords(words) ?? `ended with ${signal ?? code} before its first step`))
  })
}
