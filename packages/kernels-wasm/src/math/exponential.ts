// exp: x = k ln 2 + r with |r| ≤ ln 2 / 2, and exp(r) by the rational form r + 2 + … of W. Kahan.
// Sun's fdlibm `e_exp.c`, coefficients and error bound (below 1 ulp) included.

import { f64, i32, type ModuleBuilder } from "../assembler/index.ts"
import { ln2High, ln2Low, polynomial, scaled, type Unary } from "./polynomial.ts"

const { sub, mul, div } = f64

/** R(r²) ≈ r (exp(r) + 1) / (exp(r) − 1), less its first term 2, by powers of r². */
const remez = [
  1.6666666666666602e-1, -2.7777777777015593e-3, 6.613756321437934e-5, -1.6533902205465252e-6, 4.1381367970572385e-8,
]

const overflow = 709.782712893384
const underflow = -745.1332191019412

export function buildExp(module: ModuleBuilder): Unary {
  return module.function("exp", ["f64"], ["f64"], (f, x) => {
    f.if(f64.gt(x, overflow), () => f.return(Infinity))
    f.if(f64.lt(x, underflow), () => f.return(0))
    const n = f.let(f64.nearest(mul(x, Math.LOG2E)), "n")
    const k = f.let(i32.truncSatF64S(n), "k")
    // ln 2 in two parts, the first short enough that n times it is exact.
    const high = f.let(sub(x, mul(n, ln2High)), "high")
    const low = f.let(mul(n, ln2Low), "low")
    const r = f.let(sub(high, low), "r")
    const square = f.let(mul(r, r), "square")
    const c = f.let(sub(r, mul(square, polynomial(square, remez))), "c")
    const y = sub(1, sub(sub(low, div(mul(r, c), sub(2, c))), high))
    f.return(scaled(y, k))
  })
}
