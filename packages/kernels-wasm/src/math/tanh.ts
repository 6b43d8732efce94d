// tanh: near 0 the rational approximation of S. Moshier's Cephes library (`tanh.c`), beyond 1 − 2 / (exp(2|x|) + 1).
// Near 0 the latter would cancel; at the seam its error is below 1.5 ulp and falls from there.

import { call, f64, type ModuleBuilder } from "../assembler/index.ts"
import { polynomial, type Unary } from "./polynomial.ts"

const { add, sub, mul, div } = f64

const numerator = [-1.6146876844170845e3, -9.928772310019185e1, -9.643991794250523e-1]
const denominator = [4.844063053251255e3, 2.2354883906010045e3, 1.1281167849163293e2, 1]

export function buildTanh(module: ModuleBuilder, exp: Unary): Unary {
  return module.function("tanh", ["f64"], ["f64"], (f, x) => {
    const size = f.let(f64.abs(x), "size")
    f.if(f64.lt(size, 0.625), () => {
      // So near 0 the series is its first term; this also keeps −0.
      f.if(f64.lt(size, 2 ** -28), () => f.return(x))
      const z = f.let(mul(x, x), "z")
      f.return(add(x, mul(x, mul(z, div(polynomial(z, numerator), polynomial(z, denominator))))))
    })
    f.if(f64.ge(size, 22), () => f.return(f64.copysign(1, x)))
    f.return(f64.copysign(sub(1, div(2, add(call(exp, mul(2, size)), 1))), x))
  })
}
