// Builds one module: imports, functions, exports and data, in any order; numbers are given at the end.

import { fail } from "@counterflow/ir"
import { encodeModule } from "./binary.ts"
import type { FunctionRef, Local, ValueType } from "./expression.ts"
import { FunctionBuilder } from "./function.ts"
import type { DataRef, FunctionBody, ImportedFunction, ImportedMemory, ModuleParts } from "./statement.ts"

export interface ModuleOptions {
  /** Accept relaxed vector instructions, which not every host has and whose results differ between machines. */
  readonly relaxed?: boolean
}

export interface MemoryLimits {
  /** Pages of 64 KiB. */
  readonly minPages: number
  readonly maxPages?: number
  /** Shared between threads; needs maxPages. */
  readonly isShared?: boolean
}

type Locals<P extends readonly ValueType[]> = { readonly [I in keyof P]: Local<P[I]> }

export class ModuleBuilder {
  readonly #allowsRelaxed: boolean
  readonly #imports: ImportedFunction[] = []
  readonly #functions: FunctionBody[] = []
  readonly #exports = new Map<string, FunctionRef>()
  readonly #data: { readonly ref: DataRef; readonly address: number | undefined }[] = []
  #memory: ImportedMemory | undefined

  constructor({ relaxed = false }: ModuleOptions = {}) {
    this.#allowsRelaxed = relaxed
  }

  /** The memory that loads and stores mean. */
  importMemory(module: string, name: string, { minPages, maxPages, isShared = false }: MemoryLimits): void {
    if (this.#memory !== undefined) fail("CF_INTERNAL", "assembler: a module has one memory")
    if (isShared && maxPages === undefined) fail("CF_INTERNAL", "assembler: a shared memory needs maxPages")
    this.#memory = { module, name, minPages, maxPages, isShared }
  }

  importFunction<const P extends readonly ValueType[], const R extends readonly ValueType[]>(
    module: string,
    field: string,
    params: P,
    results: R,
  ): FunctionRef<P, R> {
    const ref = { name: field, params, results }
    this.#imports.push({ ref, module, field })
    return ref
  }

  /** `build` gets the builder of the body and the parameters, which are locals that may be set. */
  function<const P extends readonly ValueType[], const R extends readonly ValueType[]>(
    name: string,
    params: P,
    results: R,
    build: (f: FunctionBuilder, ...params: Locals<P>) => void,
  ): FunctionRef<P, R> {
    const ref = { name, params, results }
    const builder = new FunctionBuilder(results, params.length)
    const locals = params.map((type, i): Local => ({ type, code: { kind: "get", name: `p${i}`, at: i } }))
    build(builder, ...(locals as Locals<P>))
    this.#functions.push(builder.finish(ref, locals))
    return ref
  }

  export(name: string, target: FunctionRef): void {
    if (this.#exports.has(name)) fail("CF_INTERNAL", `assembler: ${name} is exported twice`)
    this.#exports.set(name, target)
  }

  /** Bytes written to a constant address at instantiation, or without an address by FunctionBuilder.initialize. */
  data(bytes: Uint8Array, address?: number): DataRef {
    const ref = { bytes }
    this.#data.push({ ref, address })
    return ref
  }

  /** The binary module; with `names` it says the names of functions and locals to debuggers and profilers. */
  finish({ names = false }: { readonly names?: boolean } = {}): Uint8Array<ArrayBuffer> {
    return encodeModule(this.parts, names)
  }

  /** What has been built, for those that write it. */
  get parts(): ModuleParts {
    return {
      memory: this.#memory,
      imports: this.#imports,
      functions: this.#functions,
      exports: this.#exports,
      data: this.#data,
      allowsRelaxed: this.#allowsRelaxed,
    }
  }
}
