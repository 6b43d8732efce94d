// Arithmetic on floats with one text for both dtypes: float32 four at a time, float64 one by one. What is written with it gives
// the bits that the elementwise operators give.

import type { DType } from "@counterflow/ir"
import {
  call,
  type Expr,
  f32x4,
  f64,
  f64x2,
  type FunctionBuilder,
  i32x4,
  type Local,
  v128,
} from "../../assembler/index.ts"
import { loadLanes, storeLanes } from "../../gemm/lanes.ts"
import { mathFunctions } from "../../math/index.ts"
import { decay } from "../../math/simd/decay.ts"
import type { Lanes } from "../../math/simd/lanes.ts"
import { log } from "../../math/simd/logarithm.ts"
import type { KernelContext } from "../kernel.ts"
import { pick } from "../pooling/rows.ts"
import { withConstants } from "../expression/vector.ts"

export type NumberType = "v128" | "f64"

export interface Numbers<T extends NumberType> {
  readonly f: FunctionBuilder
  readonly type: T
  /** Of one element. */
  readonly bytes: number
  /** How many elements a value holds. */
  readonly width: number
  /** In all lanes. */
  constant(value: number): Expr<T>
  /** The first `count` elements at an address, zeros behind them. */
  load(address: Local<"i32">, offset: number, count: number): Expr<T>
  /** The element at an address, in all lanes. */
  repeat(address: Local<"i32">, offset?: number): Expr<T>
  /** Elements at several addresses side by side. */
  gather(addresses: readonly Local<"i32">[]): Expr<T>
  store(address: Local<"i32">, value: Local<T>, offset: number, count: number): void
  storeOne(address: Local<"i32">, value: Local<T>, lane: number): void
  add(x: Expr<T>, y: Expr<T>): Expr<T>
  sub(x: Expr<T>, y: Expr<T>): Expr<T>
  mul(x: Expr<T>, y: Expr<T>): Expr<T>
  div(x: Expr<T>, y: Expr<T>): Expr<T>
  sqrt(x: Expr<T>): Expr<T>
  /** e^x of an x that is not positive. */
  decay(x: Local<T>): Expr<T>
  log(x: Local<T>): Expr<T>
  /** The larger one; of a NaN and a number either. */
  larger(x: Local<T>, y: Local<T>): Expr<T>
  /** The largest lane, in all lanes. */
  largestLane(x: Local<T>): Local<T>
  /** The first `count` lanes of a value, others from `rest`. */
  only(count: number, value: Expr<T>, rest: Expr<T>): Expr<T>
  sums: SumKind<T>
}

/** Running sums in f64. */
export interface Sum<T extends NumberType> {
  /** Adds vector `half` of every two to the partial sums. */
  add(value: Local<T>, half: 0 | 1): void
  total(): Local<T>
}

interface SumKind<T extends NumberType> {
  /**
   * Of all elements, in all lanes. Those of float32 are eight partial sums, sum j of the elements j, j + 8, …; then sums 0 to 7
   * as ((0 + 2) + (4 + 6)) + ((1 + 3) + (5 + 7)).
   */
  across(): Sum<T>
  /** Of every lane its own, in order. */
  beside(): Sum<T>
}

/** Writes a kernel of a float dtype. */
export function withNumbers(
  { f, module }: KernelContext,
  dtype: DType,
  build: <T extends NumberType>(numbers: Numbers<T>) => void,
): void {
  if (dtype === "float32") return withConstants(f, (lanes) => build(vectors(lanes)))
  const math = mathFunctions(module)
  build(doubles(f, { decay: (x) => call(math.exp, x), log: (x) => call(math.log, x) }))
}

function vectors(lanes: Lanes): Numbers<"v128"> {
  const { f } = lanes
  return {
    f,
    type: "v128",
    bytes: 4,
    width: 4,
    constant: lanes.float,
    load: loadLanes,
    repeat: (address, offset = 0) => v128.load32Splat(address, offset),
    gather: ([first, ...others]) =>
      others.reduce<Expr<"v128">>(
        (vector, address, i) => v128.load32Lane(i + 1, address, vector),
        v128.load32Zero(first ?? 0),
      ),
    store: (address, value, offset, count) => storeLanes(f, address, value, offset, count),
    storeOne: (address, value, lane) => f.storeLane(32, lane, address, value),
    add: f32x4.add,
    sub: f32x4.sub,
    mul: f32x4.mul,
    div: f32x4.div,
    sqrt: f32x4.sqrt,
    decay: (x) => decay(lanes, x),
    log: (x) => log(lanes, x),
    larger: (x, y) => f32x4.pmax(x, y),
    largestLane: (x) => {
      const pairs = f.let(f32x4.pmax(x, f.let(pick([2, 3, 0, 1], x, x))))
      return f.let(f32x4.pmax(pairs, pick([1, 0, 3, 2], pairs, pairs)))
    },
    only: (count, value, rest) => (count === 4 ? value : v128.bitselect(value, rest, firstLanes(count))),
    sums: {
      across: () => {
        const partial = zeros(f, 4)
        return {
          add: (value, half) => addPairs(f, partial.slice(2 * half, 2 * half + 2), value),
          total: () => {
            const [a, b, c, d] = partial as [Local<"v128">, Local<"v128">, Local<"v128">, Local<"v128">]
            const pairs = f.let(f64x2.add(f64x2.add(a, b), f64x2.add(c, d)))
            const total = f64.add(f64x2.extractLane(0, pairs), f64x2.extractLane(1, pairs))
            const rounded = f.let(f32x4.demoteF64x2Zero(f64x2.splat(total)))
            return f.let(pick([0, 0, 0, 0], rounded, rounded))
          },
        }
      },
      beside: () => {
        const [low, high] = zeros(f, 2) as [Local<"v128">, Local<"v128">]
        return {
          add: (value) => addPairs(f, [low, high], value),
          total: () => f.let(pick([0, 1, 4, 5], f32x4.demoteF64x2Zero(low), f32x4.demoteF64x2Zero(high))),
        }
      },
    },
  }
}

function zeros(f: FunctionBuilder, count: number): Local<"v128">[] {
  return Array.from({ length: count }, () => f.let(f64x2.splat(f64.const(0))))
}

function addPairs(f: FunctionBuilder, [low, high]: readonly Local<"v128">[], value: Local<"v128">): void {
  if (low === undefined || high === undefined) return
  f.set(low, f64x2.add(low, f64x2.promoteLowF32x4(value)))
  f.set(high, f64x2.add(high, f64x2.promoteLowF32x4(pick([2, 3, 2, 3], value, value))))
}

function firstLanes(count: number): Expr<"v128"> {
  return i32x4.const(...[0, 1, 2, 3].map((lane) => (lane < count ? -1 : 0)))
}

type Unary = (x: Expr<"f64">) => Expr<"f64">

function doubles(f: FunctionBuilder, math: Record<"decay" | "log", Unary>): Numbers<"f64"> {
  const sum = (): Sum<"f64"> => {
    const total = f.let(f64.const(0))
    return { add: (value) => f.set(total, f64.add(total, value)), total: () => total }
  }
  return {
    f,
    type: "f64",
    bytes: 8,
    width: 1,
    constant: (value) => f64.const(value),
    load: (address, offset) => f64.load(address, offset),
    repeat: (address, offset = 0) => f64.load(address, offset),
    gather: ([address]) => f64.load(address ?? 0),
    store: (address, value, offset) => f.store("f64", address, value, offset),
    storeOne: (address, value) => f.store("f64", address, value),
    add: f64.add,
    sub: f64.sub,
    mul: f64.mul,
    div: f64.div,
    sqrt: f64.sqrt,
    ...math,
    larger: (x, y) => f64.max(x, y),
    largestLane: (x) => x,
    only: (_count, value) => value,
    sums: { across: sum, beside: sum },
  }
}
