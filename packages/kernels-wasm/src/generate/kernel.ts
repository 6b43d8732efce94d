// What a kernel is here: a recipe for one WebAssembly function, specialised to what its spec says and to nothing else. Its
// tensors come as addresses. Equal kernels with equal specs are one function of a module, whatever operators use them.

import { fail } from "@counterflow/ir"
import type { FunctionBuilder, Local, ModuleBuilder } from "../assembler/index.ts"

export interface Kernel<P extends string, S> {
  /** For people, in profiles and texts. */
  readonly name: string
  /** The function answers 1 after it has reported what is wrong, else 0. */
  readonly canFail?: boolean
  /** May depend on `spec` only: it is the key under which the function is kept. */
  readonly build: (context: KernelContext, at: Readonly<Record<P, Local<"i32">>>, spec: S) => void
}

export interface KernelContext {
  readonly f: FunctionBuilder
  /** For functions that kernels call. */
  readonly module: ModuleBuilder
}

/** A text that two specs share only if they are the same: plain data, in which parts may be shared. */
export function keyOf(spec: unknown): string {
  return print(spec, new Map())
}

function print(value: unknown, seen: Map<object, number>): string {
  if (typeof value === "number") return Object.is(value, -0) ? "-0" : String(value)
  if (typeof value === "string") return JSON.stringify(value)
  if (typeof value === "boolean" || value === null || value === undefined) return String(value)
  if (typeof value !== "object") return fail("CF_INTERNAL", `the spec of a kernel holds a ${typeof value}`)
  const known = seen.get(value)
  // A part that is shared is printed once: expressions may share so much that as a tree they would not end.
  if (known !== undefined) return `#${known}`
  seen.set(value, seen.size)
  let text = ""
  if (Array.isArray(value)) {
    for (const part of value as readonly unknown[]) text += `${print(part, seen)},`
    return `[${text}]`
  }
  for (const [name, part] of Object.entries(value)) text += `${name}:${print(part, seen)},`
  return `{${text}}`
}
