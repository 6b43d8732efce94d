// Scratch that is cut into pieces.

import { type FunctionBuilder, i32, type Local } from "../assembler/index.ts"
import { type GemmSpec, gemmWorkspaceBytes } from "../gemm/index.ts"

/** Scratch of a product, whether relaxed instructions are used or not. */
export function gemmScratch(spec: GemmSpec): number {
  return Math.max(gemmWorkspaceBytes(spec), gemmWorkspaceBytes({ ...spec, relaxed: true }))
}

/** Places pieces of scratch one behind the other. */
export function layOut<K extends string>(
  pieces: Readonly<Record<K, number>>,
): { at: Readonly<Record<K, number>>; bytes: number } {
  let bytes = 0
  const at = Object.entries<number>(pieces).map(([name, size]) => {
    const start = bytes
    bytes += 64 * Math.ceil(size / 64)
    return [name, start] as const
  })
  return { at: Object.fromEntries(at) as Record<K, number>, bytes }
}

export type Places<K extends string> = Readonly<Record<K, Local<"i32">>>

/** The addresses of the pieces behind the start of scratch. */
export function placesOf<K extends string>(
  f: FunctionBuilder,
  start: Local<"i32">,
  at: Readonly<Record<K, number>>,
): Places<K> {
  const places = Object.entries<number>(at).map(([name, offset]) => [name, f.let(i32.add(start, offset))] as const)
  return Object.fromEntries(places) as Places<K>
}
