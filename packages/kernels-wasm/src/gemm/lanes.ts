// Vectors of which only the first lanes count, and the 4×4 transpose: what edges and transposed operands are made of.

import { type Expr, f32x4, type FunctionBuilder, i8x16, type Local, type Operand, v128 } from "../assembler/index.ts"

type Address = Operand<"i32">

/** The first `lanes` floats at an address, zeros behind them. Nothing past them is read: memory may end there. */
export function loadLanes(address: Address, offset: number, lanes: number): Expr<"v128"> {
  if (lanes === 1) return v128.load32Zero(address, offset)
  if (lanes === 2) return v128.load64Zero(address, offset, 4)
  if (lanes === 3) return v128.load32Lane(2, address, v128.load64Zero(address, offset, 4), offset + 8)
  return v128.load(address, offset, 4)
}

export function storeLanes(
  f: FunctionBuilder,
  address: Address,
  value: Local<"v128">,
  offset: number,
  lanes: number,
): void {
  if (lanes === 4) return f.store("v128", address, value, offset, 4)
  if (lanes === 1) return f.storeLane(32, 0, address, value, offset)
  f.storeLane(64, 0, address, value, offset, 4)
  if (lanes === 3) f.storeLane(32, 2, address, value, offset + 8)
}

type Four<T> = readonly [T, T, T, T]

/** Lane j of result i is lane i of vector j. */
export function transpose(f: FunctionBuilder, [x, y, z, w]: Four<Expr<"v128">>): Four<Local<"v128">> {
  const [xyLow, zwLow] = [f.let(i8x16.shuffle(lowPairs, x, y)), f.let(i8x16.shuffle(lowPairs, z, w))]
  const [xyHigh, zwHigh] = [f.let(i8x16.shuffle(highPairs, x, y)), f.let(i8x16.shuffle(highPairs, z, w))]
  return [
    f.let(i8x16.shuffle(lowHalves, xyLow, zwLow)),
    f.let(i8x16.shuffle(highHalves, xyLow, zwLow)),
    f.let(i8x16.shuffle(lowHalves, xyHigh, zwHigh)),
    f.let(i8x16.shuffle(highHalves, xyHigh, zwHigh)),
  ]
}

/** Lane i of the result is the sum of the lanes of vector i. */
export function sumOfLanes(f: FunctionBuilder, [x, y, z, w]: Four<Expr<"v128">>): Expr<"v128"> {
  const pairs = (a: Expr<"v128">, b: Expr<"v128">) =>
    f.let(f32x4.add(i8x16.shuffle(lowPairs, a, b), i8x16.shuffle(highPairs, a, b)))
  const [xy, zw] = [pairs(x, y), pairs(z, w)]
  return f32x4.add(i8x16.shuffle(lowHalves, xy, zw), i8x16.shuffle(highHalves, xy, zw))
}

// Shuffles of 32-bit lanes, 0 to 3 from the first vector and 4 to 7 from the second.
const lowPairs = bytesOf([0, 4, 1, 5])
const highPairs = bytesOf([2, 6, 3, 7])
const lowHalves = bytesOf([0, 1, 4, 5])
const highHalves = bytesOf([2, 3, 6, 7])

function bytesOf(lanes: Four<number>): number[] {
  return lanes.flatMap((lane) => [0, 1, 2, 3].map((byte) => 4 * lane + byte))
}
