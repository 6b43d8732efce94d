// What has no vector form of its own: functions that are called once for each lane, in float64 as everywhere, and powers with
// exponents that are a few products.

import type { Scalar } from "@counterflow/ir"
import { fail } from "@counterflow/ir"
import { call, type Expr, f32, f32x4, f64, f64x2, i8x16, type Local, v128 } from "../../assembler/index.ts"
import { type MathFunctions, mathFunctions } from "../../math/index.ts"
import type { Lanes } from "../../math/simd/lanes.ts"

/** The second operand is made when it is asked for. */
export type LaneCall = (x: Local<"v128">, lanes: Lanes, y?: () => Local<"v128">) => Expr<"v128">

type Single = (math: MathFunctions, x: Expr<"f64">, y: Expr<"f64">) => Expr<"f64">

function laneByLane(single: Single): LaneCall {
  return (x, { f, module }, y) => {
    if (module === undefined) return fail("CF_INTERNAL", "a function is called where none can be")
    const math = mathFunctions(module)
    const second = y?.() ?? x
    const lane = (i: number, v: Local<"v128">) => f64.promoteF32(f32x4.extractLane(i, v))
    const result = f.let(x)
    for (let i = 0; i < 4; i++) {
      const value = f32.demoteF64(single(math, lane(i, x), lane(i, second)))
      f.set(result, f32x4.replaceLane(i, result, value))
    }
    return result
  }
}

/** By the operation of a scalar expression. */
export const laneCalls: ReadonlyMap<string, LaneCall> = new Map([
  ["sin", laneByLane((math, x) => call(math.sin, x))],
  ["cos", laneByLane((math, x) => call(math.cos, x))],
  ["pow", laneByLane((math, x, y) => call(math.pow, x, y))],
])

/** x³ in float64, where it is rounded but once before it is rounded to float32. */
function cube(x: Local<"v128">, { f }: Lanes): Expr<"v128"> {
  const high = i8x16.shuffle([8, 9, 10, 11, 12, 13, 14, 15, 0, 1, 2, 3, 4, 5, 6, 7], x, x)
  const [low, upper] = [f.let(f64x2.promoteLowF32x4(x)), f.let(f64x2.promoteLowF32x4(high))]
  const third = (v: Local<"v128">) => f32x4.demoteF64x2Zero(f64x2.mul(f64x2.mul(v, v), v))
  return i8x16.shuffle([0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23], third(low), third(upper))
}

const powers: ReadonlyMap<number, LaneCall> = new Map<number, LaneCall>([
  [1, (x) => x],
  [2, (x) => f32x4.mul(x, x)],
  [3, cube],
  [-1, (x, lanes) => f32x4.div(lanes.float(1), x)],
  // pow(−0, ½) is 0 and pow(−∞, ½) is ∞, unlike their square roots.
  [
    0.5,
    (x, lanes) => {
      const root = f32x4.sqrt(f32x4.add(x, lanes.float(0)))
      return v128.bitselect(lanes.float(Infinity), root, f32x4.eq(x, lanes.float(-Infinity)))
    },
  ],
])

/** How to raise to a constant power, where that is a few instructions. */
export function powerOf(exponent: Scalar): LaneCall | undefined {
  return exponent.op === "const" ? powers.get(exponent.value) : undefined
}
