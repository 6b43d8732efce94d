// tanh and erf of four float32 as x P(x²) / Q(x²), with the coefficients of the Eigen library. Within 7 units in the last
// place; small arguments keep all their bits, and large ones give exactly ±1: there the quotient, which is meant for arguments
// below a limit, has passed 1, and is cut off.

import { type Expr, f32x4, type Local, v128 } from "../../assembler/index.ts"
import { type Lanes, polynomial } from "./lanes.ts"

interface Rational {
  readonly numerator: readonly number[]
  readonly denominator: readonly number[]
  /** Where the quotient is larger than 1. */
  readonly limit: number
}

const tanhParts: Rational = {
  // At 0 the quotient is exactly 1, so that x times it is x.
  numerator: [
    4.89352518554385e-3, 6.37261928875436e-4, 1.48572235717979e-5, 5.12229709037114e-8, -8.60467152213735e-11,
    2.00018790482477e-13, -2.76076847742355e-16,
  ],
  denominator: [4.89352518554385e-3, 2.268434632439e-3, 1.18534705686654e-4, 1.19825839466702e-6],
  limit: 9.5,
}

const erfParts: Rational = {
  numerator: [
    -1.60960333262415e-2, -2.95459980854025e-3, -7.34990630326855e-4, -5.69250639462346e-5, -2.10102402082508e-6,
    2.77068142495902e-8, -2.72614225801306e-10,
  ],
  denominator: [
    -1.42647390514189e-2, -7.37332916720468e-3, -1.68282697438203e-3, -2.13374055278905e-4, -1.45660718464996e-5,
  ],
  limit: 4.2,
}

export function tanh(lanes: Lanes, x: Local<"v128">): Expr<"v128"> {
  const { clamped, p, q } = parts(lanes, x, tanhParts)
  return cut(lanes, f32x4.mul(clamped, f32x4.div(p, q)))
}

/** Below this erf is a multiple of x; the quotient would lose bits of numbers that are almost denormal. */
const linear = 0.0002

export function erf(lanes: Lanes, x: Local<"v128">): Expr<"v128"> {
  const { f, float } = lanes
  const { clamped, p, q } = parts(lanes, x, erfParts)
  const value = cut(lanes, f32x4.div(f32x4.mul(clamped, p), q))
  const line = f32x4.mul(x, float(2 / Math.sqrt(Math.PI)))
  return v128.bitselect(line, value, f.let(f32x4.lt(f32x4.abs(x), float(linear))))
}

function parts(lanes: Lanes, x: Local<"v128">, { numerator, denominator, limit }: Rational) {
  const { f, float } = lanes
  const clamped = f.let(f32x4.pmax(f32x4.pmin(x, float(limit)), float(-limit)))
  const square = f.let(f32x4.mul(clamped, clamped))
  return { clamped, p: polynomial(lanes, square, numerator), q: polynomial(lanes, square, denominator) }
}

/** NaN is not less, and stays. */
function cut({ float }: Lanes, value: Expr<"v128">): Expr<"v128"> {
  return f32x4.pmax(f32x4.pmin(value, float(1)), float(-1))
}
