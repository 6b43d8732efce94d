// What this package uses of the host's WebAssembly interface. Packages are compiled without the types of a browser, and a
// host may have no WebAssembly at all: so it is looked up when it is needed, never at import.

import { fail } from "@counterflow/ir"

export interface HostMemory {
  readonly buffer: ArrayBufferLike
  grow(pages: number): number
}

export interface HostInstance {
  readonly exports: Readonly<Record<string, unknown>>
}

/** A compiled module; opaque. */
export type HostModule = object

export type HostImports = Readonly<Record<string, Readonly<Record<string, unknown>>>>

export interface HostWebAssembly {
  readonly Memory: new (limits: { initial: number; maximum: number; shared?: boolean }) => HostMemory
  readonly Module: new (bytes: Uint8Array<ArrayBuffer>) => HostModule
  readonly Instance: new (module: HostModule, imports: HostImports) => HostInstance
  compile(bytes: Uint8Array<ArrayBuffer>): Promise<HostModule>
  instantiate(module: HostModule, imports: HostImports): Promise<HostInstance>
  validate(bytes: Uint8Array<ArrayBuffer>): boolean
}

/** The way out of a host without WebAssembly, or without enough of it. */
export const plainLoops = "make the executor with cpu(), which runs everywhere: new Executor(cpu())"

export function hostWebAssembly(): HostWebAssembly {
  return (
    anyWebAssembly() ??
    fail("CF_HOST_UNFIT", "this host has no WebAssembly", {
      op: "wasm",
      fix: plainLoops,
    })
  )
}

export function anyWebAssembly(): HostWebAssembly | undefined {
  return (globalThis as object as { readonly WebAssembly?: HostWebAssembly }).WebAssembly
}

interface TextHost {
  readonly TextEncoder: new () => { encode(text: string): Uint8Array<ArrayBuffer> }
  readonly TextDecoder: new () => { decode(bytes: Uint8Array): string }
}

export function encodeText(text: string): Uint8Array<ArrayBuffer> {
  return new (globalThis as object as TextHost).TextEncoder().encode(text)
}

export function decodeText(bytes: Uint8Array): string {
  return new (globalThis as object as TextHost).TextDecoder().decode(bytes)
}
