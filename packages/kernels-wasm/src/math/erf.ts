// erf: the rational approximations of Sun's fdlibm `s_erf.c`, by ranges of |x|. Their tail splits x so that exp(−x²) is
// relatively exact, which erfc needs and erf does not: there exp(−x²)/x is below 0.13 and is subtracted from 1.

import { call, f64, type ModuleBuilder } from "../assembler/index.ts"
import { polynomial, type Unary } from "./polynomial.ts"

const { add, sub, mul, div } = f64

const small = {
  numerator: [
    1.2837916709551256e-1, -3.250421072470015e-1, -2.848174957559851e-2, -5.770270296489442e-3, -2.3763016656650163e-5,
  ],
  denominator: [
    1, 3.9791722395915535e-1, 6.50222499887673e-2, 5.081306281875766e-3, 1.3249473800432164e-4, -3.960228278775368e-6,
  ],
}

const middle = {
  numerator: [
    -2.3621185607526594e-3, 4.1485611868374833e-1, -3.722078760357013e-1, 3.1834661990116175e-1, -1.1089469428239668e-1,
    3.5478304325618236e-2, -2.166375594868791e-3,
  ],
  denominator: [
    1, 1.0642088040084423e-1, 5.40397917702171e-1, 7.182865441419627e-2, 1.2617121980876164e-1, 1.363708391202905e-2,
    1.1984499846799107e-2,
  ],
}

/** On 1/x², up to |x| = 1/0.35 and from there on. */
const near = {
  numerator: [
    -9.864944034847148e-3, -6.938585727071818e-1, -1.0558626225323291e1, -6.2375332450326006e1, -1.6239666946257347e2,
    -1.8460509290671104e2, -8.12874355063066e1, -9.814329344169145,
  ],
  denominator: [
    1, 1.9651271667439257e1, 1.3765775414351904e2, 4.3456587747522923e2, 6.453872717332679e2, 4.2900814002756783e2,
    1.0863500554177944e2, 6.570249770319282, -6.04244152148581e-2,
  ],
}

const far = {
  numerator: [
    -9.8649429247001e-3, -7.99283237680523e-1, -1.7757954917754752e1, -1.6063638485582192e2, -6.375664433683896e2,
    -1.0250951316110772e3, -4.835191916086514e2,
  ],
  denominator: [
    1, 3.033806074348246e1, 3.257925129965739e2, 1.536729586084437e3, 3.1998582195085955e3, 2.5530504064331644e3,
    4.7452854120695537e2, -2.244095244658582e1,
  ],
}

/** erf(1), in few bits. */
const middleValue = 8.450629115104675e-1

export function buildErf(module: ModuleBuilder, exp: Unary): Unary {
  return module.function("erf", ["f64"], ["f64"], (f, x) => {
    const size = f.let(f64.abs(x), "size")
    f.if(f64.lt(size, 0.84375), () => {
      // So near 0 the series is its first term, x · 2/√π; written like this it also keeps −0.
      f.if(f64.lt(size, 2 ** -28), () => f.return(add(x, mul(1.2837916709551256e-1, x))))
      const z = f.let(mul(x, x), "z")
      f.return(add(x, mul(x, div(polynomial(z, small.numerator), polynomial(z, small.denominator)))))
    })
    f.if(f64.lt(size, 1.25), () => {
      const s = f.let(sub(size, 1), "s")
      const value = add(middleValue, div(polynomial(s, middle.numerator), polynomial(s, middle.denominator)))
      f.return(f64.copysign(value, x))
    })
    f.if(f64.ge(size, 6), () => f.return(f64.copysign(1, x)))
    const s = f.let(div(1, mul(size, size)), "s")
    const ratio = f.local("f64", undefined, "ratio")
    f.if(
      f64.lt(size, 1 / 0.35),
      () => f.set(ratio, div(polynomial(s, near.numerator), polynomial(s, near.denominator))),
      () => f.set(ratio, div(polynomial(s, far.numerator), polynomial(s, far.denominator))),
    )
    const exponent = add(sub(f64.neg(mul(size, size)), 0.5625), ratio)
    f.return(f64.copysign(sub(1, div(call(exp, exponent), size)), x))
  })
}
