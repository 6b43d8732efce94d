// Emitting one operator of an op into the Program its inputs belong to. Every public op function ends here.

import { appendOperator, type Block, type Program, unwrapOutputs, type Variable } from "@counterflow/ir"
import type { AttrsOf, InputsOf, Op, OutputsOf } from "./define.ts"

export interface EmitOptions {
  /** Output slot → state that takes its value when the step is committed; for a list one entry per place. */
  writes?: Readonly<Record<string, Variable | readonly (Variable | null)[]>>
  /** Output slot → name. */
  names?: Readonly<Record<string, string>>
  suffix?: string
  blocks?: Readonly<Record<string, Block>>
  program?: Program
}

/**
 * Appends `op` on these inputs and answers its outputs. `above` is the public function that was called: the line below it
 * is the user's line.
 */
export function emit<R extends Op>(
  op: R,
  inputs: InputsOf<R["inputs"]>,
  attrs: AttrsOf<R["attrs"]>,
  above: (...args: never[]) => unknown,
  options: EmitOptions = {},
): OutputsOf<R["outputs"]> {
  const slots = Object.fromEntries(
    Object.entries(inputs as Record<string, unknown>).map(([slot, value]) => [slot, listOf(value)]),
  )
  const made = appendOperator({ record: op, inputs: slots, attrs: attrs as Record<string, unknown>, above, ...options })
  return unwrapOutputs(op, made.outputs) as OutputsOf<R["outputs"]>
}

function listOf(value: unknown): Variable[] {
  if (value === undefined || value === null) return []
  return (Array.isArray(value) ? value : [value]) as Variable[]
}
