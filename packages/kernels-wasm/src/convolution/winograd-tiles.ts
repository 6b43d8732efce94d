// The transforms of Winograd's F(2 × 2, 3 × 3) on image planes, four tiles at a time (Lavin and Gray, Fast Algorithms for
// Convolutional Neural Networks, 2015, section 4.1). A tile is 4 × 4 elements of the source and 2 × 2 of the target:
//
//   sources   Bᵀ d B      targets   Aᵀ m A      their adjoint, for the gradient of filters   A y Aᵀ
//
//        1  0 −1  0            1  1  1  0
//   Bᵀ = 0  1  1  0       Aᵀ = 0  1 −1 −1
//        0 −1  1  0
//        0  1  0 −1
//
// In the domain of the products element (i, j) of all tiles of a plane is one row: [element 4 i + j][plane][tile].

import {
  type Expr,
  f32x4,
  type FunctionBuilder,
  i32,
  type Local,
  type ModuleBuilder,
  v128,
} from "../assembler/index.ts"
import { storeLanes } from "../gemm/lanes.ts"
import { more, type Procedure, procedure } from "../gemm/procedure.ts"
import { finishOf, type ReadyFinish } from "../gemm/store.ts"
import type { Pair } from "../generate/space/plane.ts"
import { bandFunction, type BandSpec } from "./band.ts"
import type { ConvolutionFinish } from "./finish.ts"
import { evenLanes, floatShuffle, oddLanes } from "./lanes.ts"

type Vector = Expr<"v128">
type Four<T> = readonly [T, T, T, T]

export interface TilesSpec {
  readonly planes: number
  readonly plane: Pair
  /** Rows of tiles that are transformed, and tiles in one. */
  readonly rows: number
  readonly across: number
  /** Tiles from plane to plane in the domain of the products: those of several images, maybe. */
  readonly length: number
}

/** Runs `body` on groups of four tiles in a row; the last group overlaps the one before it where there is no whole one left. */
function eachGroup(
  f: FunctionBuilder,
  across: number,
  pointers: readonly (readonly [Local<"i32">, number])[],
  body: (pointers: readonly Local<"i32">[], isLast: boolean) => void,
  hasOwnLast = false,
): void {
  const whole = Math.floor(across / 4)
  const splits = across % 4 > 0 || hasOwnLast
  const count = across % 4 === 0 && splits ? whole - 1 : whole
  const own = pointers.map(([pointer]) => f.let(pointer))
  const advance = own.map((pointer, i) => [pointer, 4 * (pointers[i]?.[1] ?? 0)] as const)
  f.forRange(count, () => body(own, false), { advance })
  if (!splits) return
  const last = pointers.map(([pointer, step]) => f.let(i32.add(pointer, (across - 4) * step)))
  body(last, true)
}

/** A function (x, domain, band, first): the band begins at row `first` of each plane. Its margins are zeros. */
export function sourceTilesFunction(module: ModuleBuilder, spec: TilesSpec, band: BandSpec): Procedure {
  const { planes, plane, rows, across } = spec
  const name = `winogradSource${planes}x${rows}x${across}`
  return procedure(module, name, { ...spec, band }, ["i32", "i32", "i32", "i32"], (f, x, domain, scratch, first) => {
    const row = 4 * across
    const round = () => {
      f.run(bandFunction(module, band), x, scratch, first)
      const [from, to] = [f.let(scratch), f.let(domain)]
      const advance = [[from, 8 * band.width] as const, [to, row] as const]
      f.forRange(rows, () => sourceRow(f, from, to, spec, 4 * band.width), { advance })
    }
    const advance = [[x, 4 * plane[0] * plane[1]] as const, [domain, 4 * spec.length] as const]
    f.forRange(planes, round, { advance })
  })
}

/** Rows of the 4 × 4 tile that row i of Bᵀ combines. */
const combined: Four<readonly [number, number, (x: Vector, y: Vector) => Vector]> = [
  [0, 2, f32x4.sub],
  [1, 2, f32x4.add],
  [2, 1, f32x4.sub],
  [1, 3, f32x4.sub],
]

/** One row of the transformed tiles after the other: all sixteen elements at once would not find registers. */
function sourceRow(
  f: FunctionBuilder,
  from: Local<"i32">,
  to: Local<"i32">,
  { planes, across, length }: TilesSpec,
  width: number,
): void {
  const element = 4 * planes * length
  combined.forEach(([a, b, combine], i) => {
    const pointers = [[from, 8] as const, [to, 4] as const]
    eachGroup(f, across, pointers, ([p = from, q = to]) => {
      const line = (offset: number) =>
        f.let(combine(v128.load(p, a * width + offset, 4), v128.load(p, b * width + offset, 4)))
      const [x, y] = [line(0), line(16)]
      const [e, o] = [f.let(evenLanes(x, y)), f.let(oddLanes(x, y))]
      const [z, w] = [line(8), line(24)]
      const [nextE, nextO] = [f.let(evenLanes(z, w)), f.let(oddLanes(z, w))]
      const lines = [f32x4.sub(e, nextE), f32x4.add(o, nextE), f32x4.sub(nextE, o), f32x4.sub(o, nextO)]
      lines.forEach((value, j) => f.store("v128", q, value, (4 * i + j) * element, 4))
    })
  })
}

/** A function (domain, z, first, …operands of the epilogue): the first row of tiles of every plane is number `first`. */
export function targetTilesFunction(module: ModuleBuilder, spec: TilesSpec, finish?: ConvolutionFinish): Procedure {
  const { planes, plane, rows, across } = spec
  const name = `winogradTarget${planes}x${rows}x${across}`
  const params = ["i32", "i32", "i32", ...more(finish?.epilogue.operands ?? 0)] as const
  const key = { ...spec, epilogue: finish?.epilogue.key }
  return procedure(module, name, key, params, (f, domain, z, first, ...operands) => {
    const ready = finishOf(f, finish?.epilogue, operands)
    f.increment(z, i32.mul(first, 8 * plane[1]))
    f.forRange(
      planes,
      (channel) => {
        const [from, to, row] = [f.let(domain), f.let(z), f.let(first)]
        const advance = [[from, 4 * across] as const, [to, 8 * plane[1]] as const, [row, 1] as const]
        f.forRange(rows, () => targetRow(f, { from, to, row, channel }, spec, ready), { advance })
      },
      {
        advance: [
          [domain, 4 * spec.length],
          [z, 4 * plane[0] * plane[1]],
        ],
      },
    )
  })
}

function targetRow(
  f: FunctionBuilder,
  { from, to, row, channel }: Readonly<Record<"from" | "to" | "row" | "channel", Local<"i32">>>,
  { planes, plane, across, length }: TilesSpec,
  finish: ReadyFinish | undefined,
): void {
  const element = 4 * planes * length
  const [height, width] = plane
  const isOdd = width % 2 === 1
  const place = f.let(i32.mul(row, 2 * width))
  const pointers = [[from, 4] as const, [to, 8] as const, ...(finish === undefined ? [] : [[place, 2] as const])]
  const body = ([p = from, q = to, column = place]: readonly Local<"i32">[], isLast: boolean) => {
    // Row i of m A, of four tiles.
    const line = (i: number) => {
      const load = (j: number) => f.let(v128.load(p, (4 * i + j) * element, 4))
      const [a, b, c] = [load(0), load(1), load(2)]
      const even = f.let(f32x4.add(a, f32x4.add(b, c)))
      return [even, f.let(f32x4.sub(f32x4.sub(b, c), load(3)))] as const
    }
    const [first, second, third] = [line(0), line(1), line(2)]
    const upper = ([0, 1] as const).map((j) => f.let(f32x4.add(first[j], f32x4.add(second[j], third[j]))))
    const fourth = line(3)
    const lower = ([0, 1] as const).map((j) => f.let(f32x4.sub(f32x4.sub(second[j], third[j]), fourth[j])))
    const write = (value: Local<"v128">, ahead: number, lanes: number) => {
      if (finish !== undefined) {
        const { epilogue, operands, constants } = finish
        const at = { row: channel, column: i32.add(column, ahead), tile: { row: channel, column } }
        const point = { ...at, offset: { row: 0, column: ahead }, lanes, operands, constants, acc: value }
        f.set(value, epilogue.apply(f, point))
      }
      storeLanes(f, q, value, 4 * ahead, lanes)
    }
    const store = ([even, odd]: readonly Local<"v128">[], ahead: number) => {
      if (even === undefined || odd === undefined) return
      write(f.let(floatShuffle([0, 4, 1, 5], even, odd)), ahead, 4)
      write(f.let(floatShuffle([2, 6, 3, 7], even, odd)), ahead + 4, isLast && isOdd ? 3 : 4)
    }
    store(upper, 0)
    if (height % 2 === 0) store(lower, width)
    else f.if(i32.ne(row, (height - 1) / 2), () => store(lower, width))
  }
  eachGroup(f, across, pointers, body, isOdd)
}

/** A function (z, domain, band, first) for the adjoint: the band begins at row `first` of each plane; its margins are zeros. */
export function targetGradientFunction(module: ModuleBuilder, spec: TilesSpec, band: BandSpec): Procedure {
  const { planes, plane, rows, across } = spec
  const name = `winogradGradient${planes}x${rows}x${across}`
  // Planes of even size are read where they lie.
  const isWhole = plane.every((size) => size % 2 === 0)
  return procedure(module, name, { ...spec, band }, ["i32", "i32", "i32", "i32"], (f, z, domain, scratch, first) => {
    const row = 4 * across
    const start = f.let(i32.mul(first, 4 * plane[1]))
    const round = () => {
      if (!isWhole) f.run(bandFunction(module, band), z, scratch, first)
      const [from, to] = [f.let(isWhole ? i32.add(z, start) : scratch), f.let(domain)]
      const advance = [[from, 8 * band.width] as const, [to, row] as const]
      f.forRange(rows, () => gradientRow(f, from, to, spec, 4 * band.width), { advance })
    }
    const advance = [[z, 4 * plane[0] * plane[1]] as const, [domain, 4 * spec.length] as const]
    f.forRange(planes, round, { advance })
  })
}

function gradientRow(
  f: FunctionBuilder,
  from: Local<"i32">,
  to: Local<"i32">,
  { planes, across, length }: TilesSpec,
  width: number,
): void {
  const element = 4 * planes * length
  const pointers = [[from, 8] as const, [to, 4] as const]
  eachGroup(f, across, pointers, ([p = from, q = to]) => {
    const line = (offset: number) => {
      const [x, y] = [f.let(v128.load(p, offset, 4)), f.let(v128.load(p, offset + 16, 4))]
      return [f.let(evenLanes(x, y)), f.let(oddLanes(x, y))] as const
    }
    const store = (i: number, e: Local<"v128">, o: Local<"v128">) => {
      const lines = [e, f32x4.add(e, o), f32x4.sub(e, o), f32x4.neg(o)]
      lines.forEach((value, j) => f.store("v128", q, value, (4 * i + j) * element, 4))
    }
    const [upper, lower] = [line(0), line(width)]
    store(0, ...upper)
    store(1, f.let(f32x4.add(upper[0], lower[0])), f.let(f32x4.add(upper[1], lower[1])))
    store(2, f.let(f32x4.sub(upper[0], lower[0])), f.let(f32x4.sub(upper[1], lower[1])))
    store(3, f.let(f32x4.neg(lower[0])), f.let(f32x4.neg(lower[1])))
  })
}
