// What the host's engine can do beyond plain SIMD, asked by validating a tiny module.

import { anyWebAssembly } from "./host.ts"

/** A module with one function, which answers f32x4.relaxed_madd (x, x, x). */
const relaxedModule = [
  0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00, 0x01, 0x06, 0x01, 0x60, 0x01, 0x7b, 0x01, 0x7b, 0x03, 0x02, 0x01,
  0x00, 0x0a, 0x0d, 0x01, 0x0b, 0x00, 0x20, 0x00, 0x20, 0x00, 0x20, 0x00, 0xfd, 0x85, 0x02, 0x0b,
]

let known: boolean | undefined

/**
 * Whether relaxed vector instructions are understood, fused multiply-add above all, and worth it. V8 12 (Node 22) spills their
 * operands: products of 512 reach 39 GFLOP/s with them and 56 without, V8 13.6 60 and 54. No engine tells its age, but
 * Float16Array came to V8 with 13.5.
 */
export function hasRelaxed(): boolean {
  if (known !== undefined || anyWebAssembly() === undefined) return known ?? false
  return (known = "Float16Array" in globalThis && understandsRelaxed())
}

export function understandsRelaxed(): boolean {
  return anyWebAssembly()?.validate(Uint8Array.from(relaxedModule)) ?? false
}
