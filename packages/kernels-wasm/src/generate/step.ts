// What the function of a block does, one step after another, as it is before any function is written: calls of kernels, bytes
// that are written, stages that threads share.

import { type Expr, type FunctionBuilder, type FunctionRef, i32, type Local } from "../assembler/index.ts"
import type { ForkRef } from "../threads/fork.ts"
import type { Place } from "./signature.ts"

interface Invocation {
  readonly target: FunctionRef<readonly "i32"[], readonly "i32"[]>
  readonly at: readonly Place[]
  /** Number of the operator. */
  readonly op: number
}

export type Step =
  | Invocation
  | { readonly write: (f: FunctionBuilder, arena: Local<"i32">) => void }
  /** What `fork` is told. */
  | { readonly stage: number }
  /** A branch or a loop: writes itself around other steps. */
  | { readonly nest: (f: FunctionBuilder, arena: Local<"i32">, perform: (steps: readonly Step[]) => void) => void }

/** Writes a step into a function that answers the number of the operator that failed, or 0. */
export function perform(f: FunctionBuilder, arena: Local<"i32">, step: Step, fork?: ForkRef): void {
  if ("write" in step) step.write(f, arena)
  else if ("target" in step) invoke(f, arena, step)
  else if ("nest" in step) step.nest(f, arena, (steps) => steps.forEach((inner) => perform(f, arena, inner, fork)))
  else if (fork !== undefined) f.run(fork, step.stage)
}

function invoke(f: FunctionBuilder, arena: Local<"i32">, { target, at, op }: Invocation): void {
  const addresses = at.map((place) => addressOf(place, arena))
  if (target.results.length === 0) return f.run(target, ...addresses)
  const failed = f.local("i32")
  f.receive([failed], target, ...addresses)
  f.if(failed, () => f.return(op))
}

export function addressOf({ base, offset }: Place, arena: Local<"i32">): Expr<"i32"> {
  if (base === "fixed") return i32.const(offset)
  return offset === 0 ? arena : i32.add(arena, offset)
}
