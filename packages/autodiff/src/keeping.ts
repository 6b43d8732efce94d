// What a backward part keeps of the forward part, as its options say: everything, what checkpoints name, or what pays.

import { type Block, fail, type Program, type Variable } from "@counterflow/ir"
import { resolveVariables } from "./arguments.ts"
import { checkpointed } from "./checkpoints.ts"
import { checkRecompute, keepingFor, type Recompute } from "./recompute.ts"
import { Repetition } from "./repetition.ts"

export interface KeepingOptions {
  /**
   * Forward values to keep for the backward part. All else between them, and before the first, is computed again when the backward
   * part gets there: less memory for about a third more time. Results are the same to the last bit.
   */
  checkpoints?: Iterable<string | Variable>
  /** Decides by itself what to keep and what to compute again, from what both cost. Instead of checkpoints. */
  recompute?: Recompute
}

/** The options, checked. */
export interface Choice {
  readonly checkpoints: readonly Variable[] | undefined
  readonly recompute: Recompute | undefined
  readonly sizes: ReadonlyMap<string, number> | undefined
}

/** A backward part that sees `parts` of a batch one by one takes sizes that are not known to be as many times larger. */
export function checkKeeping(options: KeepingOptions, program: Program, op: string, parts = 1): Choice {
  const { recompute } = options
  const checkpoints = resolveVariables(options.checkpoints, program, op, "checkpoints")
  if (checkpoints !== undefined && recompute !== undefined) {
    fail("CF_BAD_ARGUMENT", "checkpoints and recompute both say what to keep", { op, fix: "give one of them" })
  }
  return { checkpoints, recompute, sizes: recompute && checkRecompute(program, recompute, op, parts) }
}

/** Null where everything is kept. `append` appends the backward part of the loss to the block; that is undone again. */
export function repetitionFor(
  { checkpoints, recompute, sizes }: Choice,
  loss: Variable,
  block: Block,
  append: () => Iterable<Variable>,
): Repetition | null {
  const keeping =
    checkpoints !== undefined
      ? checkpointed(loss, block, checkpoints)
      : recompute && sizes && keepingFor(recompute, loss, block, sizes, append)
  return keeping ? new Repetition(block, keeping) : null
}
