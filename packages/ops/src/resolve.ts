// Attaching records to a program read from a file.

import { attachRecords, type Program } from "@counterflow/ir"
import type { AnyRegistry } from "./registry.ts"

/**
 * A copy of a program read from text or JSON with the records of `registry` attached and every shape inferred again. Unknown ops
 * and newer record versions are refused by name.
 */
export function resolve(program: Program, registry: AnyRegistry): Program {
  return attachRecords(
    program,
    (name) => (Object.hasOwn(registry, name) ? registry[name] : undefined),
    Object.keys(registry),
  )
}
