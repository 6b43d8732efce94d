// What the host's engine can do beyond plain SIMD, asked by validating a tiny module.

import { f32x4, ModuleBuilder } from "./assembler/index.ts"
import { anyWebAssembly } from "./host.ts"

let known: boolean | undefined

/**
 * Whether relaxed vector instructions are understood, fused multiply-add above all, and worth it. V8 12 (Node 22) spills their
 * operands: products of 512 reach 39 GFLOP/s with them and 56 without, V8 13.6 60 and 54. No engine tells its age, but
 * Float16Array came to V8 with 13.5.
 */
export function hasRelaxed(): boolean {
  const host = anyWebAssembly()
  if (known !== undefined || host === undefined) return known ?? false
  if (!("Float16Array" in globalThis)) return (known = false)
  const module = new ModuleBuilder({ relaxed: true })
  module.function("madd", ["v128"], ["v128"], (f, x) => f.return(f32x4.relaxedMadd(x, x, x)))
  return (known = host.validate(module.finish()))
}
