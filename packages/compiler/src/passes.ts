// The passes between binding and placing, in the order in which they run. Each makes a program that means the same of a bound
// program; each can be left out, and what one has made can be looked at.

import { fail, nearest } from "@counterflow/ir"
import { foldConstants } from "./4-fold.ts"
import { mergeCommonSubexpressions } from "./4-merge.ts"
import { simplify } from "./4-simplify.ts"
import { withoutUnread } from "./4-unread.ts"
import { type Absorbing, absorbElementwise } from "./5-absorb.ts"
import { fuseElementwise } from "./5-fuse.ts"
import { joinLoops } from "./5-join.ts"
import { foldOperands, type Viewing } from "./5-operands.ts"
import { schedule } from "./6-schedule.ts"
import type { MemoryModel } from "./7-memory.ts"
import type { BoundProgram } from "./bound.ts"

/** What passes may know of the backend. */
export interface PassContext extends Absorbing, Viewing {
  readonly model: MemoryModel
  /** Whether it runs elementwise operators of any expression, with strided reads. */
  readonly fuses: boolean
}

interface Pass {
  readonly name: string
  run(program: BoundProgram, context: PassContext): BoundProgram
}

const passes = [
  { name: "fold", run: foldConstants },
  { name: "simplify", run: simplify },
  { name: "merge", run: mergeCommonSubexpressions },
  { name: "prune", run: withoutUnread },
  { name: "operands", run: foldOperands },
  {
    name: "fuse",
    run: (program: BoundProgram, { fuses }: PassContext) => (fuses ? fuseElementwise(program) : program),
  },
  { name: "absorb", run: absorbElementwise },
  { name: "join", run: (program: BoundProgram, { fuses }: PassContext) => (fuses ? joinLoops(program) : program) },
  { name: "schedule", run: (program: BoundProgram, { model }: PassContext) => schedule(program, model) },
] as const satisfies readonly Pass[]

export type PassName = (typeof passes)[number]["name"]

/** The names of all passes, in order. */
export const passNames: readonly PassName[] = passes.map(({ name }) => name)

export interface PassOptions {
  /** Passes to leave out. */
  readonly off?: readonly PassName[] | undefined
  /** Is shown the bound program, as "bind", and what each pass made of it. */
  readonly observe?: ((name: PassName | "bind", program: BoundProgram) => void) | undefined
}

/** Runs the passes. Throws CF_BAD_ARGUMENT for a name in `off` that no pass has. */
export function runPasses(bound: BoundProgram, context: PassContext, { off = [], observe }: PassOptions): BoundProgram {
  for (const name of off) if (!passNames.includes(name)) refuseName(name)
  let program = bound
  observe?.("bind", program)
  for (const { name, run } of passes) {
    if (off.includes(name)) continue
    program = run(program, context)
    observe?.(name, program)
  }
  return program
}

function refuseName(name: string): never {
  const suggestion = nearest(name, passNames)
  return fail("CF_BAD_ARGUMENT", `there is no pass "${name}" to leave out; there is ${passNames.join(", ")}`, {
    fix: suggestion === undefined ? "name a pass" : `did you mean "${suggestion}"?`,
  })
}
