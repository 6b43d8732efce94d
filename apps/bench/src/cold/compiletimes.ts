// Compile times: each training model in fresh processes, interleaved as everything else.

import { spawnSync } from "node:child_process"
import { ownModule } from "../folders.ts"
import { lastWords } from "../process.ts"

export interface CompileRow {
  readonly workload: string
  /** Milliseconds from the program to a ready step. */
  readonly samples: number[]
  /** Milliseconds of that step, the first time. */
  readonly firstSteps: number[]
  failure: string | null
}

export function measureCompile(names: readonly string[], repetitions: number): CompileRow[] {
  const rows = names.map((workload): CompileRow => ({ workload, samples: [], firstSteps: [], failure: null }))
  // The first of each is not counted: it brings the files into the system's cache.
  for (let repetition = 0; repetition <= repetitions; repetition++) {
    for (const row of rows) if (row.failure === null) once(row, repetition > 0)
  }
  return rows
}

function once(row: CompileRow, isCounted: boolean): void {
  const { stdout, stderr, error } = spawnSync(process.execPath, [ownModule("cold/compile"), row.workload], {
    encoding: "utf8",
  })
  const line = stdout.split("\n").find((text) => text.startsWith("@"))
  if (line === undefined) {
    row.failure = error?.message ?? lastWords(stderr) ?? "ended without an answer"
    return
  }
  const [start = NaN, compiled = NaN, stepped = NaN] = JSON.parse(line.slice(1)) as number[]
  if (!isCounted) return
  row.samples.push(compiled - start)
  row.firstSteps.push(stepped - compiled)
}
