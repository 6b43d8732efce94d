// What single passes make of a program, without a backend: shapes and bytes are all that is needed.

import {
  bindSymbols,
  type BoundProgram,
  compile,
  type PassName,
  type Plan,
  printBound,
  verifyBound,
} from "@counterflow/compiler"
import { Program, programGuard, type Variable } from "@counterflow/ir"
import { legalize } from "@counterflow/ops"

export type Shapes = Readonly<Record<string, readonly number[]>>

export interface Observed {
  readonly plan: Plan
  /** The program after each pass that ran. */
  readonly after: ReadonlyMap<PassName | "bind", BoundProgram>
}

/** Compiles a program for feeds of these shapes, checking it after every pass. */
export function observed(
  main: Program,
  fetches: readonly Variable[],
  feeds: Shapes,
  { fuses = false, off = [] }: { fuses?: boolean; off?: readonly PassName[] } = {},
): Observed {
  const names = fetches.map(({ name }) => name)
  const lowered = legalize(main, { fetches: names, keep: new Set() })
  const bindings = bindSymbols(lowered, new Map(Object.entries(feeds)))
  const after = new Map<PassName | "bind", BoundProgram>()
  const widths = { float32: 4, float64: 8, int32: 4, int64: 8, uint8: 1, bool: 1 }
  const plan = compile(lowered, {
    fetches: names,
    bindings,
    fuses,
    model: { bytes: ({ dtype, elements }) => widths[dtype] * elements, workspaceBytes: () => 0, updatesInPlace: true },
    passes: {
      off,
      observe: (name, program) => {
        verifyBound(program)
        after.set(name, program)
      },
    },
  })
  return { plan, after }
}

/** The lines of a program after one pass, of those that are given, and pruning. */
export function linesAfter(
  passes: readonly PassName[],
  build: (main: Program) => readonly Variable[],
  feeds: Shapes = {},
): string[] {
  const main = new Program()
  const fetches = programGuard(main, new Program(), () => build(main))
  const all: readonly PassName[] = ["fold", "simplify", "merge", "prune", "schedule"]
  const off = all.filter((name) => name !== "prune" && !passes.includes(name))
  const program = observed(main, fetches, feeds, { off }).after.get("prune")
  return program === undefined ? [] : printBound(program).split("\n")
}
