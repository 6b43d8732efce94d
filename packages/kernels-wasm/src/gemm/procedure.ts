// Functions of one module, kept by a text that says everything they depend on: equal pieces are emitted once.

import type { FunctionBuilder, FunctionRef, Local, ModuleBuilder } from "../assembler/index.ts"
import { keyOf } from "../generate/kernel.ts"

/** Takes addresses and counts, answers nothing. */
export type Procedure = FunctionRef<readonly "i32"[], readonly []>

const kept = new WeakMap<ModuleBuilder, Map<string, Procedure>>()

/** The procedure with this name and spec, which is plain data. `build` may depend on nothing else. */
export function procedure<const P extends readonly "i32"[]>(
  module: ModuleBuilder,
  name: string,
  spec: unknown,
  params: P,
  build: (f: FunctionBuilder, ...params: { readonly [I in keyof P]: Local<"i32"> }) => void,
): Procedure {
  const procedures = kept.get(module) ?? new Map<string, Procedure>()
  kept.set(module, procedures)
  const key = `${name} ${keyOf(spec)}`
  const known = procedures.get(key)
  if (known !== undefined) return known
  const made = module.function(name, params, [], (f, ...locals) => build(f, ...locals))
  procedures.set(key, made)
  return made
}

/** Parameters that only some procedures of a kind take. */
export function more(count: number): "i32"[] {
  return Array.from({ length: count }, () => "i32")
}
