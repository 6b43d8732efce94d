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
  /** Whether relaxed vector instructions may be used; the same for all kernels of a module. */
  readonly relaxed: boolean
}

const keys = new WeakMap<object, string>()

/**
 * A text that two specs share only if they are the same: plain data, in which parts may be shared, and which nobody changes
 * afterwards.
 */
export function keyOf(spec: unknown): string {
  if (typeof spec !== "object" || spec === null) return print(spec, new Map())
  const known = keys.get(spec)
  if (known !== undefined) return known
  const key = print(spec, new Map())
  keys.set(spec, key)
  return key
}

function print(value: unknown, seen: Map<object, number>): string {
  if (typeof value === "number") return value === 0 && 1 / value < 0 ? "-0" : `${value}`
  // With the length in front, no text can look like anything else.
  if (typeof value === "string") return `${value.length}"${value}`
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
  const record = value as Readonly<Record<string, unknown>>
  for (const name in record) text += `${name}:${print(record[name], seen)},`
  return `{${text}}`
}
