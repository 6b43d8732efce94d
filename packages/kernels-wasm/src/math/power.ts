// pow: 2^(y log₂ x) with the logarithm and the product in two parts, so that a large exponent costs no accuracy.
// Sun's fdlibm `e_pow.c` (measured: below 0.9 ulp) with ECMAScript's choice of the special cases: 1 to an infinite
// or undefined power is NaN.

import { call, f64, type FunctionRef, i32, i64, type ModuleBuilder, select } from "../assembler/index.ts"
import { type Binary, highPart, polynomial, scaled } from "./polynomial.ts"

const { add, sub, mul, div } = f64

export type TwoParts = FunctionRef<readonly ["f64"], readonly ["f64", "f64"]>

/** log((1 + s) / (1 − s)) − 2 s − 2/3 s³ over 2/3 s⁵, by powers of s². */
const logarithm = [
  5.999999999999946e-1, 4.285714285785502e-1, 3.3333332981837743e-1, 2.72728123808534e-1, 2.3066074577556175e-1,
  2.0697501780033842e-1,
]

const exponential = [
  1.6666666666666602e-1, -2.7777777777015593e-3, 6.613756321437934e-5, -1.6533902205465252e-6, 4.1381367970572385e-8,
]

/** log₂ 1.5, 2 / (3 ln 2) and ln 2, each in a short and a small part. */
const log2Of15 = { high: 5.849624872207642e-1, low: 1.350039202129749e-8 }
const factor = { whole: 9.617966939259756e-1, high: 9.617967009544373e-1, low: -7.028461650952758e-9 }
const ln2 = { whole: 6.931471805599453e-1, high: 6.931471824645996e-1, low: -1.904654299957768e-9 }

/** log₂ x of a finite positive x as a number of 21 bits and what is left. */
export function buildLog2InParts(module: ModuleBuilder): TwoParts {
  return module.function("log2InParts", ["f64"], ["f64", "f64"], (f, x) => {
    const n = f.local("f64", 0, "n")
    f.if(f64.lt(x, 2 ** -1022), () => {
      f.set(x, mul(x, 2 ** 54))
      f.set(n, -54)
    })
    const bits = f.let(i64.reinterpretF64(x), "bits")
    f.set(n, add(n, f64.convertI64S(i64.sub(i64.shrU(bits, 52), 1023))))
    f.set(x, f64.reinterpretI64(i64.or(i64.and(bits, 2n ** 52n - 1n), 0x3ffn << 52n)))
    // x in [1, 2) is taken relative to 1, 1.5 or 2, whichever is nearest by ratio.
    const base = f.local("f64", 1, "base")
    const baseHigh = f.local("f64", 0, "baseHigh")
    const baseLow = f.local("f64", 0, "baseLow")
    f.if(f64.gt(x, Math.sqrt(1.5)), () => {
      f.if(
        f64.lt(x, Math.sqrt(3)),
        () => {
          f.set(base, 1.5)
          f.set(baseHigh, log2Of15.high)
          f.set(baseLow, log2Of15.low)
        },
        () => {
          f.set(n, add(n, 1))
          f.set(x, mul(x, 0.5))
        },
      )
    })
    // s = (x − base) / (x + base) in two parts; the denominator too, so that the remainder of the division is exact.
    const u = f.let(sub(x, base), "u")
    const v = f.let(div(1, add(x, base)), "v")
    const s = f.let(mul(u, v), "s")
    const sHigh = f.let(highPart(s), "sHigh")
    const tHigh = f.local("f64", highPart(add(x, base)), "tHigh")
    const tLow = f.local("f64", sub(x, sub(tHigh, base)), "tLow")
    const sLow = f.let(mul(v, sub(sub(u, mul(sHigh, tHigh)), mul(sHigh, tLow))), "sLow")
    // 3/2 log(x / base) / s = 3 + s² + r
    const square = f.let(mul(s, s), "square")
    const series = mul(mul(square, square), polynomial(square, logarithm))
    const r = f.let(add(series, mul(sLow, add(sHigh, s))), "r")
    f.set(square, mul(sHigh, sHigh))
    f.set(tHigh, highPart(add(add(3, square), r)))
    f.set(tLow, sub(r, sub(sub(tHigh, 3), square)))
    f.set(u, mul(sHigh, tHigh))
    f.set(v, add(mul(sLow, tHigh), mul(tLow, s)))
    // Times 2 / (3 ln 2).
    const pHigh = f.let(highPart(add(u, v)), "pHigh")
    const pLow = f.let(sub(v, sub(pHigh, u)), "pLow")
    const zHigh = f.let(mul(factor.high, pHigh), "zHigh")
    const zLow = f.let(add(add(mul(factor.low, pHigh), mul(pLow, factor.whole)), baseLow), "zLow")
    const high = f.let(highPart(add(add(add(zHigh, zLow), baseHigh), n)), "high")
    f.return(high, sub(zLow, sub(sub(sub(high, n), baseHigh), zHigh)))
  })
}

/** 2^(high + low) for |low| far below |high|. */
export function buildExp2OfParts(module: ModuleBuilder): Binary {
  return module.function("exp2OfParts", ["f64", "f64"], ["f64"], (f, high, low) => {
    const whole = f.let(add(high, low), "whole")
    f.if(f64.gt(whole, 1025), () => f.return(Infinity))
    f.if(f64.lt(whole, -1080), () => f.return(0))
    const n = f.let(f64.nearest(whole), "n")
    f.set(high, sub(high, n))
    const t = f.let(highPart(add(low, high)), "t")
    const u = f.let(mul(t, ln2.high), "u")
    const v = f.let(add(mul(sub(low, sub(t, high)), ln2.whole), mul(t, ln2.low)), "v")
    const z = f.let(add(u, v), "z")
    const w = f.let(sub(v, sub(z, u)), "w")
    const square = f.let(mul(z, z), "square")
    const c = f.let(sub(z, mul(square, polynomial(square, exponential))), "c")
    const r = sub(div(mul(z, c), sub(c, 2)), add(w, mul(z, w)))
    const k = f.let(i32.truncSatF64S(n), "k")
    f.return(scaled(sub(1, sub(r, z)), k))
  })
}

export function buildPow(module: ModuleBuilder, log2InParts: TwoParts, exp2OfParts: Binary): Binary {
  return module.function("pow", ["f64", "f64"], ["f64"], (f, x, y) => {
    f.if(f64.ne(y, y), () => f.return(y))
    f.if(f64.eq(y, 0), () => f.return(1))
    f.if(f64.ne(x, x), () => f.return(x))
    // The common ones, in one rounding.
    f.if(f64.eq(y, 1), () => f.return(x))
    f.if(f64.eq(y, 2), () => f.return(mul(x, x)))
    f.if(f64.eq(y, -1), () => f.return(div(1, x)))
    f.if(i32.and(f64.eq(y, 0.5), f64.gt(x, 0)), () => f.return(f64.sqrt(x)))
    const size = f.let(f64.abs(x), "size")
    const sign = f.local("f64", 1, "sign")
    f.if(i64.ltS(i64.reinterpretF64(x), 0), () => {
      const half = mul(y, 0.5)
      const isInteger = f64.eq(f64.trunc(y), y)
      f.if(
        isInteger,
        () => f.if(f64.ne(f64.trunc(half), half), () => f.set(sign, -1)),
        // A negative number has no such power; −0 and −∞ behave as their sizes do.
        () => f.if(i32.and(f64.gt(size, 0), f64.lt(size, Infinity)), () => f.return(NaN)),
      )
    })
    const isAbove = f64.gt(size, 1)
    const extreme = select(i32.eq(isAbove, f64.gt(y, 0)), f64.const(Infinity), f64.const(0))
    f.if(i32.or(f64.eq(size, 0), f64.eq(size, Infinity)), () => f.return(mul(sign, extreme)))
    // Beyond 2^65 every power but those of 1 overflows or underflows.
    f.if(f64.gt(f64.abs(y), 2 ** 65), () => {
      f.if(f64.eq(size, 1), () => f.return(select(f64.eq(f64.abs(y), Infinity), f64.const(NaN), sign)))
      f.return(mul(sign, extreme))
    })
    const logHigh = f.local("f64", undefined, "logHigh")
    const logLow = f.local("f64", undefined, "logLow")
    f.receive([logHigh, logLow], log2InParts, size)
    const yHigh = f.let(highPart(y), "yHigh")
    const low = add(mul(sub(y, yHigh), logHigh), mul(y, logLow))
    f.return(mul(sign, call(exp2OfParts, mul(yHigh, logHigh), low)))
  })
}
