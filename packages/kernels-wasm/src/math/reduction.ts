// x = q π/2 + y for sine and cosine: q modulo 4, and y, |y| ≤ π/4, as an unevaluated sum of two floats.
// Below 2^20 π/2 by subtracting π/2 in four parts (Cody and Waite); above by multiplying with those bits of 2/π that matter,
// in integers (Payne and Hanek, "Radian reduction for trigonometric functions", 1983). The sum is good to 2^-90 of y, and to
// 2^-60 where x lies as close to a multiple of π/2 as a float64 can.

import { call, type Expr, f64, type FunctionRef, i32, i64, type Local, type ModuleBuilder } from "../assembler/index.ts"
import { powerOfTwo } from "./polynomial.ts"

const { add, sub, mul } = f64

export type Reduction = FunctionRef<readonly ["f64"], readonly ["i32", "f64", "f64"]>
type Word = FunctionRef<readonly ["i32"], readonly ["i64"]>

/** π/2: three parts of 33 bits, so that products with a 20-bit integer are exact, and a fourth. */
const halfPi = [1.5707963267341256, 6.077100506303966e-11, 2.0222662487111665e-21, 8.4784276603689e-32] as const
const halfPiHigh = 1.5707963267948966
const halfPiLow = 6.123233995736766e-17

/** 2/π after the binary point. */
const twoOverPi = [
  0xa2f9836e4e441529n,
  0xfc2757d1f534ddc0n,
  0xdb6295993c439041n,
  0xfe5163abdebbc561n,
  0xb7246e3a424dd2e0n,
  0x06492eea09d1921cn,
  0xfe1deb1cb129a73en,
  0xe88235f52ebb4484n,
  0xe99c7026b45f7e41n,
  0x3991d639835339f4n,
  0x9c845f8bbdf9283bn,
  0x1ff897ffde05980fn,
  0xef2f118b5a0a6d1fn,
  0x6d367ecf27cb09b7n,
  0x4f463f669e5fea2dn,
  0x7527bac7ebe5f17bn,
  0x3d0739f78a5292ean,
  0x6bfb5fb11f8d5d08n,
  0x56033046fc7b6babn,
]

export function buildReduction(module: ModuleBuilder): Reduction {
  const reduceLarge = buildReduceLarge(module)
  return module.function("reduce", ["f64"], ["i32", "f64", "f64"], (f, x) => {
    f.if(f64.lt(f64.abs(x), 2 ** 20 * halfPiHigh), () => {
      const n = f.let(f64.nearest(mul(x, 2 / Math.PI)), "n")
      const [first, second, third, fourth] = halfPi
      const a = f.let(sub(x, mul(n, first)), "a")
      const b = f.let(mul(n, second), "b")
      const ab = f.let(sub(a, b), "ab")
      const c = f.let(mul(n, third), "c")
      const abc = f.let(sub(ab, c), "abc")
      // What the last two subtractions rounded away, and the last part.
      const rest = f.let(sub(add(lostBySub(a, b, ab), lostBySub(ab, c, abc)), mul(n, fourth)), "rest")
      const y = f.let(add(abc, rest), "y")
      f.return(i32.and(i32.truncSatF64S(n), 3), y, add(sub(abc, y), rest))
    })
    f.if(f64.lt(f64.abs(x), Infinity), () => {
      const q = f.local("i32")
      const y = f.local("f64")
      const rest = f.local("f64")
      f.receive([q, y, rest], reduceLarge, x)
      f.return(q, y, rest)
    })
    f.return(0, NaN, NaN)
  })
}

/** (a − b) − d for d = a − b as rounded; exact whatever their sizes (Knuth's two-sum). */
function lostBySub(a: Local<"f64">, b: Local<"f64">, d: Local<"f64">): Expr<"f64"> {
  const virtual = sub(d, a)
  return sub(sub(a, sub(d, virtual)), add(b, virtual))
}

/** For 2^20 ≤ |x| < ∞: |x| = m 2^e with m of 53 bits; m times the bits of 2/π of weight 2^(1 - e) down to 2^(-190 - e). */
function buildReduceLarge(module: ModuleBuilder): Reduction {
  const word = buildWord(module)
  const multiplyHigh = buildMultiplyHigh(module)
  return module.function("reduceLarge", ["f64"], ["i32", "f64", "f64"], (f, x) => {
    const bits = f.let(i64.reinterpretF64(x), "bits")
    const m = f.let(i64.or(i64.and(bits, 2n ** 52n - 1n), 2n ** 52n), "m")
    // Bits of larger weight give multiples of 4 quarter turns. In front of the point stand 64 zeros.
    const start = f.let(i32.sub(i32.wrapI64(i64.and(i64.shrU(bits, 52), 0x7ff)), 1013), "start")
    const index = f.let(i32.shrU(start, 6), "index")
    const shift = f.let(i64.extendI32U(i32.and(start, 63)), "shift")
    const words = [0, 1, 2, 3].map((i) => f.let(call(word, i32.add(index, i)), `word${i}`))
    const window = (i: number) => joined(words[i] ?? m, words[i + 1] ?? m, shift)
    // The 192-bit product modulo 2^192, without its lowest word.
    const middle = f.let(i64.mul(m, window(1)), "middle")
    const low = f.let(i64.add(middle, call(multiplyHigh, m, window(2))), "low")
    const carry = i64.extendI32U(i64.ltU(low, middle))
    const upper = i64.add(i64.mul(m, window(0)), call(multiplyHigh, m, window(1)))
    const high = f.let(i64.add(upper, carry), "high")
    const q = f.let(i32.wrapI64(i64.shrU(high, 62)), "q")
    f.set(high, i64.or(i64.shl(high, 2), i64.shrU(low, 62)))
    f.set(low, i64.shl(low, 2))
    // A fraction of a half or more is one quarter turn more, and the negative of what is missing.
    const sign = f.local("f64", 1, "sign")
    f.if(i64.ltS(high, 0), () => {
      f.set(q, i32.add(q, 1))
      f.set(sign, -1)
      f.set(high, i64.add(i64.xor(high, -1), i64.extendI32U(i64.eqz(low))))
      f.set(low, i64.sub(0, low))
    })
    f.if(i64.ltS(bits, 0), () => {
      f.set(q, i32.sub(0, q))
      f.set(sign, f64.neg(sign))
    })
    // No float64 lies within 2^-62 of a multiple of π/2, so `high` is not 0.
    const zeros = f.let(i64.clz(high), "zeros")
    f.set(high, joined(high, low, zeros))
    f.set(low, i64.shl(low, zeros))
    f.set(sign, mul(sign, powerOfTwo(i32.sub(0, i32.wrapI64(zeros)))))
    const top = f.let(mul(f64.convertI64U(i64.shrU(high, 11)), 2 ** -53), "top")
    const following = i64.or(i64.shl(high, 53), i64.shrU(low, 11))
    const rest = f.let(mul(f64.convertI64U(following), 2 ** -117), "rest")
    // (top + rest) π/2 with the product of the leading parts exact (Dekker).
    const product = f.let(mul(top, halfPiHigh), "product")
    const tail = f.let(add(lostByMul(top, product), add(mul(top, halfPiLow), mul(rest, halfPiHigh))), "tail")
    const y = f.let(add(product, tail), "y")
    f.return(i32.and(q, 3), mul(y, sign), mul(sub(tail, sub(y, product)), sign))
  })

  /** top · halfPiHigh − product, exactly: both factors are split into halves of at most 27 bits. */
  function lostByMul(top: Local<"f64">, product: Local<"f64">): Expr<"f64"> {
    const half = -(2n ** 27n)
    const constantHigh = 1.5707963109016418
    const constantLow = 1.5893254712295857e-8
    const topHigh = f64.reinterpretI64(i64.and(i64.reinterpretF64(top), half))
    const topLow = sub(top, topHigh)
    const cross = add(sub(mul(topHigh, constantHigh), product), mul(topHigh, constantLow))
    return add(add(cross, mul(topLow, constantHigh)), mul(topLow, constantLow))
  }
}

/** 64 bits of two words, from bit `shift` below 64 on. */
function joined(high: Expr<"i64">, low: Expr<"i64">, shift: Expr<"i64">): Expr<"i64"> {
  return i64.or(i64.shl(high, shift), i64.shrU(i64.shrU(low, 1), i64.sub(63, shift)))
}

/** The words of 2/π as code, because the functions own no memory. */
function buildWord(module: ModuleBuilder): Word {
  return module.function("twoOverPi", ["i32"], ["i64"], (f, index) => {
    const words = [0n, ...twoOverPi]
    f.switch(
      index,
      words.map((word) => () => f.return(word)),
    )
    f.return(0)
  })
}

/** The upper 64 bits of the product of two unsigned words. */
function buildMultiplyHigh(module: ModuleBuilder): FunctionRef<readonly ["i64", "i64"], readonly ["i64"]> {
  return module.function("multiplyHigh", ["i64", "i64"], ["i64"], (f, x, y) => {
    const low = 2n ** 32n - 1n
    const xLow = f.let(i64.and(x, low))
    const xHigh = f.let(i64.shrU(x, 32))
    const yLow = f.let(i64.and(y, low))
    const yHigh = f.let(i64.shrU(y, 32))
    const cross = f.let(i64.add(i64.mul(xHigh, yLow), i64.shrU(i64.mul(xLow, yLow), 32)))
    const middle = i64.add(i64.mul(xLow, yHigh), i64.and(cross, low))
    f.return(i64.add(i64.add(i64.mul(xHigh, yHigh), i64.shrU(cross, 32)), i64.shrU(middle, 32)))
  })
}
