// Instantiates what a test built, synchronously, after asking the host whether it is valid.

import { expect } from "vitest"
import type { ModuleBuilder } from "../../src/assembler/index.ts"

export type Scalar = number | bigint
/** A wasm function as JavaScript sees it; several results come as an array. */
export type Exported = (...operands: readonly Scalar[]) => unknown

export interface Instance {
  readonly memory: WebAssembly.Memory
  readonly get: (name: string) => Exported
}

/** The memory is imported as host.memory where the module wants one; one page, private. */
export function instantiate(module: ModuleBuilder, imports: Readonly<Record<string, Exported>> = {}): Instance {
  const bytes = module.finish({ names: true })
  expect(WebAssembly.validate(bytes)).toBe(true)
  const memory = new WebAssembly.Memory({ initial: 1 })
  const instance = new WebAssembly.Instance(new WebAssembly.Module(bytes), { host: { ...imports, memory } })
  const get = (name: string): Exported => {
    const exported = instance.exports[name]
    if (typeof exported !== "function") throw new Error(`the module exports no function ${name}`)
    return (...operands) => Reflect.apply(exported, undefined, operands) as unknown
  }
  return { memory, get }
}
