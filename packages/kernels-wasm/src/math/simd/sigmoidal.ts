// tanh and erf of four float32 as x P(x²) / Q(x²), with the coefficients of the Eigen library. Within 7 units in the last
// place; small arguments keep all their bits, and large ones give exactly ±1.

import { type Expr, f32x4, type Local, v128 } from "../../assembler/index.ts"
import { copySign, type Lanes, polynomial } from "./lanes.ts"

interface Rational {
  readonly numerator: readonly number[]
  readonly denominator: readonly number[]
  /** Where the quotient is no longer meant. */
  readonly limit: number
  /** From here on the value is 1. */
  readonly saturation: number
  /** Below this the function is `slope` times x. */
  readonly linear: number
  readonly slope: number
}

const tanhParts: Rational = {
  numerator: [
    4.89352455891786e-3, 6.37261928875436e-4, 1.48572235717979e-5, 5.12229709037114e-8, -8.60467152213735e-11,
    2.00018790482477e-13, -2.76076847742355e-16,
  ],
  denominator: [4.89352518554385e-3, 2.268434632439e-3, 1.18534705686654e-4, 1.19825839466702e-6],
  limit: 7.90531110763549805,
  saturation: 9.02,
  linear: 0.0004,
  slope: 1,
}

const erfParts: Rational = {
  numerator: [
    -1.60960333262415e-2, -2.95459980854025e-3, -7.34990630326855e-4, -5.69250639462346e-5, -2.10102402082508e-6,
    2.77068142495902e-8, -2.72614225801306e-10,
  ],
  denominator: [
    -1.42647390514189e-2, -7.37332916720468e-3, -1.68282697438203e-3, -2.13374055278905e-4, -1.45660718464996e-5,
  ],
  limit: 4,
  saturation: 4,
  linear: 0.0002,
  slope: 2 / Math.sqrt(Math.PI),
}

export function tanh(lanes: Lanes, x: Local<"v128">): Expr<"v128"> {
  return quotient(lanes, x, tanhParts)
}

export function erf(lanes: Lanes, x: Local<"v128">): Expr<"v128"> {
  return quotient(lanes, x, erfParts)
}

function quotient(lanes: Lanes, x: Local<"v128">, parts: Rational): Expr<"v128"> {
  const { f, float } = lanes
  const { numerator, denominator, limit, saturation, linear, slope } = parts
  const size = f.let(f32x4.abs(x))
  const clamped = f.let(f32x4.pmax(f32x4.pmin(x, float(limit)), float(-limit)))
  const square = f.let(f32x4.mul(clamped, clamped))
  const p = f32x4.mul(clamped, polynomial(lanes, square, numerator))
  const raw = f32x4.div(p, polynomial(lanes, square, denominator))
  // Where the value rounds to ±1 the quotient may come out a unit beyond.
  const value = f32x4.pmax(f32x4.pmin(raw, float(1)), float(-1))
  const line = slope === 1 ? x : f32x4.mul(x, float(slope))
  const inner = v128.bitselect(line, value, f32x4.lt(size, float(linear)))
  return v128.bitselect(copySign(lanes, float(1), x), inner, f32x4.ge(size, float(saturation)))
}
