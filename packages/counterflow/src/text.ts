// Reading programs back with all ops at hand.

import { parseProgram as parse, type Program } from "@counterflow/ir"
import { type AnyRegistry, registry as allOps, resolve } from "@counterflow/ops"

/** Reads the text form of a program; `parseProgram(program.toString())` is the same program. */
export function parseProgram(text: string, registry: AnyRegistry = allOps): Program {
  return resolve(parse(text), registry)
}
