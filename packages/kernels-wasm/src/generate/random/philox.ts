// Philox4x32-10, the counter-based generator of Salmon, Moraes, Dror & Shaw, "Parallel random numbers: as easy as 1, 2, 3"
// (SC 2011), as a function of a module: four random words of a 64-bit key and a 128-bit counter.

import {
  type Expr,
  type FunctionBuilder,
  type FunctionRef,
  i32,
  i32x4,
  i64,
  i64x2,
  type Local,
  type ModuleBuilder,
  v128,
} from "../../assembler/index.ts"
import type { Lanes } from "../../math/simd/lanes.ts"
import { pick } from "../pooling/rows.ts"

const [multiplier0, multiplier1] = [0xd2511f53, 0xcd9e8d57]
/** Key increments: the golden ratio and √3 − 1, as 32-bit fractions. */
const [weyl0, weyl1] = [0x9e3779b9, 0xbb67ae85]
const rounds = 10

type Words<N extends readonly unknown[]> = { readonly [I in keyof N]: "i32" }
export type Philox = FunctionRef<Words<[0, 1, 2, 3, 4, 5]>, Words<[0, 1, 2, 3]>>

const emitted = new WeakMap<ModuleBuilder, Philox>()

/** (key0, key1, c0, c1, c2, c3) → four words; one function per module. */
export function philoxOf(module: ModuleBuilder): Philox {
  let philox = emitted.get(module)
  if (philox === undefined) emitted.set(module, (philox = emitPhilox(module)))
  return philox
}

function emitPhilox(module: ModuleBuilder): Philox {
  const [params, results] = [["i32", "i32", "i32", "i32", "i32", "i32"] as const, ["i32", "i32", "i32", "i32"] as const]
  return module.function("philox", params, results, (f, key0, key1, x0, x1, x2, x3) => {
    for (let round = 0; round < rounds; round++) {
      const product0 = f.let(multiply(x0, multiplier0))
      const product1 = f.let(multiply(x2, multiplier1))
      f.set(x0, i32.xor(i32.xor(high(product1), x1), key0))
      f.set(x1, i32.wrapI64(product1))
      f.set(x2, i32.xor(i32.xor(high(product0), x3), key1))
      f.set(x3, i32.wrapI64(product0))
      f.increment(key0, weyl0)
      f.increment(key1, weyl1)
    }
    f.return(x0, x1, x2, x3)
  })
}

function multiply(x: Local<"i32">, by: number): Expr<"i64"> {
  return i64.mul(i64.extendI32U(x), by)
}

function high(product: Local<"i64">): Expr<"i32"> {
  return i32.wrapI64(i64.shrU(product, 32))
}

/** Words 0 to 3 of four blocks, a block to each lane. */
export type FourBlocks = readonly [Local<"v128">, Local<"v128">, Local<"v128">, Local<"v128">]

/** The same for four counters at once, which differ in `c3` alone: each operand is a vector of four. */
export function philoxOfFour(
  lanes: Lanes,
  [key0, key1]: readonly [number, number],
  [c0, c1, c2, c3]: readonly Expr<"v128">[],
): FourBlocks {
  const { f, bits } = lanes
  const zero = bits(0)
  const [x0, x1, x2, x3] = [c0, c1, c2, c3].map((word) => f.let(word ?? zero))
  const [k0, k1] = [f.let(bits(key0 | 0)), f.let(bits(key1 | 0))]
  if (x0 === undefined || x1 === undefined || x2 === undefined || x3 === undefined) return [zero, zero, zero, zero]
  for (let round = 0; round < rounds; round++) {
    const product0 = multiplyFour(f, x0, bits(multiplier0 | 0))
    const product1 = multiplyFour(f, x2, bits(multiplier1 | 0))
    f.set(x0, v128.xor(v128.xor(product1.high, x1), k0))
    f.set(x1, product1.low)
    f.set(x2, v128.xor(v128.xor(product0.high, x3), k1))
    f.set(x3, product0.low)
    f.set(k0, i32x4.add(k0, bits(weyl0 | 0)))
    f.set(k1, i32x4.add(k1, bits(weyl1 | 0)))
  }
  return [x0, x1, x2, x3]
}

/** The words of four products of 64 bits. */
function multiplyFour(f: FunctionBuilder, x: Local<"v128">, by: Local<"v128">): Record<"low" | "high", Local<"v128">> {
  const [first, second] = [f.let(i64x2.extmulLowI32x4U(x, by)), f.let(i64x2.extmulHighI32x4U(x, by))]
  return { low: f.let(pick([0, 2, 4, 6], first, second)), high: f.let(pick([1, 3, 5, 7], first, second)) }
}
