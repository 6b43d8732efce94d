// log and log1p: the argument is 2^k (1 + f) with 1 + f between √½ and √2, and log(1 + f) comes from s = f / (2 + f).
// Sun's fdlibm `e_log.c` and `s_log1p.c` in the order of operations of musl; coefficients and error bound (below 1 ulp) included.

import { type Expr, f64, type FunctionRef, i64, type Local, type ModuleBuilder, call } from "../assembler/index.ts"
import { ln2High, ln2Low, polynomial, type Unary } from "./polynomial.ts"

const { add, sub, mul, div } = f64

/** log(1 + f) − f + f²/2 − s (f²/2) over s² as a polynomial in s², its even and its odd terms. */
const even = [3.999999999940942e-1, 2.2222198432149784e-1, 1.5313837699209373e-1]
const odd = [6.666666666666735e-1, 2.857142874366239e-1, 1.818357216161805e-1, 1.4798198605116586e-1]

/** What takes the high word of √½ to that of 1, and the bits of √½ to its high word. */
const toSqrtHalf = 0x3ff00000_00000000n - 0x3fe6a09e_00000000n
const sqrtHalf = 0x3fe6a09e_00000000n
const mantissa = 2n ** 52n - 1n

/** (f, k, c) → log(1 + f) + k ln 2 + c, where c is small against the rest. */
export type LogOfParts = FunctionRef<readonly ["f64", "f64", "f64"], readonly ["f64"]>

export function buildLogOfParts(module: ModuleBuilder): LogOfParts {
  return module.function("logOfParts", ["f64", "f64", "f64"], ["f64"], (f, x, k, c) => {
    const half = f.let(mul(0.5, mul(x, x)), "half")
    const s = f.let(div(x, add(2, x)), "s")
    const z = f.let(mul(s, s), "z")
    const w = f.let(mul(z, z), "w")
    const rest = f.let(add(mul(z, polynomial(w, odd)), mul(w, polynomial(w, even))), "rest")
    const small = add(mul(s, add(half, rest)), add(mul(k, ln2Low), c))
    f.return(add(add(sub(small, half), x), mul(k, ln2High)))
  })
}

/** From the bits of a positive normal number, moved by toSqrtHalf: k, and 1 + f. */
function exponentOf(moved: Local<"i64">): Expr<"f64"> {
  return f64.convertI64S(i64.sub(i64.shrU(moved, 52), 1023))
}

function fractionOf(moved: Local<"i64">): Expr<"f64"> {
  return f64.reinterpretI64(i64.add(i64.and(moved, mantissa), sqrtHalf))
}

export function buildLog(module: ModuleBuilder, logOfParts: LogOfParts): Unary {
  return module.function("log", ["f64"], ["f64"], (f, x) => {
    const scale = f.local("f64", 0, "scale")
    f.if(f64.lt(x, 2 ** -1022), () => {
      f.if(f64.eq(x, 0), () => f.return(-Infinity))
      f.if(f64.lt(x, 0), () => f.return(NaN))
      f.set(x, mul(x, 2 ** 54))
      f.set(scale, -54)
    })
    f.if(f64.lt(x, Infinity), () => {
      const moved = f.let(i64.add(i64.reinterpretF64(x), toSqrtHalf), "moved")
      f.return(call(logOfParts, sub(fractionOf(moved), 1), add(exponentOf(moved), scale), 0))
    })
    f.return(x)
  })
}

export function buildLog1p(module: ModuleBuilder, logOfParts: LogOfParts): Unary {
  return module.function("log1p", ["f64"], ["f64"], (f, x) => {
    // So near 0 the series is its first term; this also keeps −0.
    f.if(f64.lt(f64.abs(x), 2 ** -53), () => f.return(x))
    f.if(f64.lt(x, Math.SQRT2 - 1), () => {
      f.if(f64.le(x, -1), () => {
        f.if(f64.eq(x, -1), () => f.return(-Infinity))
        f.return(NaN)
      })
      f.if(f64.gt(x, Math.SQRT1_2 - 1), () => f.return(call(logOfParts, x, 0, 0)))
    })
    f.if(f64.lt(x, Infinity), () => {
      const u = f.let(add(1, x), "u")
      const moved = f.let(i64.add(i64.reinterpretF64(u), toSqrtHalf), "moved")
      const k = f.let(exponentOf(moved), "k")
      // 1 + x was rounded: log(1 + x) = log(u) + (1 + x − u) / u + …
      const lost = f.let(sub(x, sub(u, 1)), "lost")
      f.return(call(logOfParts, sub(fractionOf(moved), 1), k, div(lost, u)))
    })
    f.return(x)
  })
}
