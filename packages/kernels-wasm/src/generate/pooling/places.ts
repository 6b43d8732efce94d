// Moving elements by places in planes: the gradient of max pooling adds to them, the gradient of that reads from them.

import { type DType, fail, type Scalar } from "@counterflow/ir"
import type { Registry } from "@counterflow/ops"
import {
  type Expr,
  f32,
  f32x4,
  f64,
  type FunctionBuilder,
  i32,
  i32x4,
  i64,
  type Local,
  select,
  v128,
} from "../../assembler/index.ts"
import { storeLanes } from "../../gemm/lanes.ts"
import type { Lanes } from "../../math/simd/lanes.ts"
import { emitFill } from "../movement/copy.ts"
import { bytesOf, realOf } from "../expression/element.ts"
import { emitBehind, type MatrixEpilogue, matrixEpilogue, type PlacedEpilogue } from "../elementwise/epilogue.ts"
import type { Kernel } from "../kernel.ts"
import { emitParts, partsOf } from "../parts.ts"
import { addToPlane, planeBytes, roundPlane } from "../space/plane.ts"
import { pick } from "./rows.ts"
import { behind, type FusedEpilogue, type Generators, type Place, type PlacedTensor } from "../signature.ts"
import { evaluateLanes, laneTypes } from "../expression/vector-scalar.ts"
import { loadVector, splatVector, withConstants } from "../expression/vector.ts"
import { planesOf, type PoolSpec } from "./window.ts"

interface PlaceSpec extends PoolSpec {
  readonly index: DType
}

/** The place in its plane that is named, as an unsigned number: larger than any plane where there is none. */
function placeAt(index: Local<"i32">, dtype: DType, offset = 0): Expr<"i32"> {
  if (dtype !== "int64") return i32.load(index, offset)
  const place = i64.load(index, offset)
  return select(i64.ltU(place, 2 ** 31), i32.wrapI64(place), i32.const(-1))
}

interface ScatterSpec extends PlaceSpec {
  /** What sums go through before they are stored; operands step from plane to plane by their row step. */
  readonly epilogue: MatrixEpilogue | null
}

/**
 * dx[place] = Σ dz over all that name it, summed in f64 in their order. Where windows do not meet, each place has one element at
 * most, and floats are written at once; as soon as two meet, the plane is summed.
 */
const poolScatter: Kernel<"dz" | "index" | "dx" | "sums" | OperandName, ScatterSpec> = {
  name: "poolScatter",
  build: ({ f }, { dz, index, dx, sums, ...others }, spec) => {
    const { dtype, epilogue } = spec
    const pixels = spec.image[0] * spec.image[1]
    const count = spec.pooled[0] * spec.pooled[1]
    const tensors = { dz, index, dx, sums }
    const round = dtype === "float32" ? roundFloats : roundDoubles
    const walk = (to: FunctionBuilder, operands: readonly Operand[], finish: () => void) => {
      const limit = to.let(i32x4.splat(i32.const(pixels)))
      const zero = to.let(i32x4.splat(i32.const(0)))
      const sumUp = () => {
        to.fill(sums, 0, 8 * pixels)
        addPlane(to, tensors, limit, spec)
        round(to, sums, dx, pixels)
      }
      const body = () => {
        if (areVectors(spec)) to.if(writePlane(to, tensors, limit, zero, spec), sumUp)
        else sumUp()
        finish()
      }
      const advance = [
        [dx, pixels * bytesOf(dtype)],
        [dz, count * bytesOf(dtype)],
        [index, count * bytesOf(spec.index)],
      ] as const
      const steps = operands.map(({ pointer, rowStep }) => [pointer, rowStep] as const)
      to.forRange(spec.planes, body, { advance: [...advance, ...steps] })
    }
    if (epilogue === null) return walk(f, [], () => {})
    const operands = epilogue.operands.map((operand, i) => {
      const pointer = others[`operand${i}`] ?? fail("CF_INTERNAL", "an operand of an epilogue has no place")
      return { ...operand, pointer }
    })
    withConstants(f, (lanes) => {
      walk(lanes.f, operands, () => transform(lanes, dx, pixels, epilogue.scalar, operands))
    })
  },
}

/** Whether four elements and four places are vectors. */
function areVectors({ dtype, index }: ScatterSpec): boolean {
  return dtype === "float32" && index === "int32"
}

type Tensors = Readonly<Record<"dz" | "index" | "dx" | "sums", Local<"i32">>>

/** Writes the floats of one plane to their places; answers whether that was in vain: two of them meet, or one has no place. */
function writePlane(
  f: FunctionBuilder,
  tensors: Tensors,
  limit: Local<"v128">,
  zero: Local<"v128">,
  { image, pooled }: ScatterSpec,
): Local<"i32"> {
  const { dx } = tensors
  const [dz, index] = [f.let(tensors.dz), f.let(tensors.index)]
  const pixels = image[0] * image[1]
  const count = pooled[0] * pooled[1]
  const isInVain = f.local("i32", 0)
  // All places are 0 at first, never −0: bits that are not 0 are those of an element.
  const note = (at: Local<"i32">) => f.set(isInVain, i32.or(isInVain, i32.load(at)))
  f.fill(dx, 0, 4 * pixels)
  f.block((end) => {
    const four = () => {
      const places = f.let(v128.load(index, 0, 4))
      f.set(isInVain, i32.eqz(i32x4.allTrue(i32x4.ltU(places, limit))))
      f.branch(end, isInVain)
      const at = f.let(i32x4.add(i32x4.shl(places, 2), i32x4.splat(dx)))
      // As a sum that begins with 0: of −0 it is 0.
      const values = f.let(f32x4.add(v128.load(dz, 0, 4), zero))
      for (const lane of [0, 1, 2, 3]) {
        const target = f.let(i32x4.extractLane(lane, at))
        note(target)
        f.storeLane(32, lane, target, values)
      }
      f.branch(end, isInVain)
    }
    const advance = [dz, index].map((pointer) => [pointer, 16] as const)
    f.forRange(Math.floor(count / 4), four, { advance })
    for (let i = 0; i < count % 4; i++) {
      const place = f.let(i32.load(index, 4 * i))
      f.set(isInVain, i32.or(isInVain, i32.geU(place, pixels)))
      f.branch(end, isInVain)
      const target = f.let(i32.add(dx, i32.shl(place, 2)))
      note(target)
      f.store("f32", target, f32.add(f32.load(dz, 4 * i), 0))
    }
  })
  return isInVain
}

type OperandName = `operand${number}`

/** Adds the elements of one plane to their sums. */
function addPlane(f: FunctionBuilder, tensors: Tensors, limit: Local<"v128">, spec: ScatterSpec): void {
  const element = realOf(spec.dtype)
  const pixels = spec.image[0] * spec.image[1]
  const count = spec.pooled[0] * spec.pooled[1]
  const { sums } = tensors
  const [dz, index] = [f.let(tensors.dz), f.let(tensors.index)]
  const add = (at: number) => {
    const place = f.let(placeAt(index, spec.index, at * bytesOf(spec.index)))
    f.if(i32.ltU(place, pixels), () => addToPlane(f, sums, place, f.let(element.load(dz, at * element.bytes))))
  }
  const group = areVectors(spec) ? 4 : 1
  const step = [[dz, group * element.bytes] as const, [index, group * bytesOf(spec.index)] as const]
  const some = () => {
    if (group === 1) return add(0)
    const places = f.let(v128.load(index, 0, 4))
    f.if(
      i32x4.allTrue(i32x4.ltU(places, limit)),
      () => addFour(f, dz, places, sums),
      () => [0, 1, 2, 3].forEach(add),
    )
  }
  f.forRange(Math.floor(count / group), some, { advance: step })
  for (let at = 0; at < count % group; at++) add(at)
}

/** Adds four floats to sums at places that are known to be there, one after the other: places may be equal. */
function addFour(f: FunctionBuilder, dz: Local<"i32">, places: Local<"v128">, sums: Local<"i32">): void {
  const at = f.let(i32x4.add(i32x4.shl(places, 3), i32x4.splat(sums)))
  for (const lane of [0, 1, 2, 3]) {
    const sum = f.let(i32x4.extractLane(lane, at))
    f.store("f64", sum, f64.add(f64.load(sum), f64.promoteF32(f32.load(dz, 4 * lane))))
  }
}

/** Rounds sums to float32, four at a time. */
export function roundFloats(f: FunctionBuilder, sums: Local<"i32">, to: Local<"i32">, elements: number): void {
  const [from, target] = [f.let(sums), f.let(to)]
  const some = (count: number) => storeLanes(f, target, f.let(rounded(from, count)), 0, count)
  const advance = [[from, 32] as const, [target, 16] as const]
  f.forRange(Math.floor(elements / 4), () => some(4), { advance })
  if (elements % 4 > 0) some(elements % 4)
}

function roundDoubles(f: FunctionBuilder, sums: Local<"i32">, to: Local<"i32">, elements: number): void {
  roundPlane(f, sums, to, elements, "float64")
}

/** As many sums as floats side by side. */
function rounded(sums: Local<"i32">, count: number): Expr<"v128"> {
  const pair = (at: number, present: number) =>
    f32x4.demoteF64x2Zero(present > 1 ? v128.load(sums, at, 8) : v128.load64Zero(sums, at))
  return count > 2 ? pick([0, 1, 4, 5], pair(0, 2), pair(16, count - 2)) : pair(0, count)
}

type Operand = MatrixEpilogue["operands"][number] & { readonly pointer: Local<"i32"> }

/** Stores what an expression makes of floats in their place. */
function transform(
  lanes: Lanes,
  floats: Local<"i32">,
  elements: number,
  scalar: Scalar,
  operands: readonly Operand[],
): void {
  const { f } = lanes
  const target = f.let(floats)
  const own = operands.map((operand) => ({ ...operand, at: f.let(operand.pointer) }))
  const read = own.map(({ slot, dtype }) => [slot, dtype] as const)
  const types = laneTypes(scalar, { ...Object.fromEntries(read), "": "float32" }, "float32")
  if (types === undefined) return fail("CF_INTERNAL", "an epilogue has no vector form")
  const some = (count: number) => {
    const value = evaluateLanes(lanes, scalar, types, (slot) => {
      const operand = own.find((each) => each.slot === slot)
      if (operand === undefined) return loadVector(f, "float32", target, count)
      const { dtype, at, columnStep } = operand
      return columnStep === 0 ? splatVector(f, dtype, at) : loadVector(f, dtype, at, count)
    })
    storeLanes(f, target, value, 0, count)
  }
  const steps = own.map(({ at, columnStep }) => [at, 4 * columnStep] as const)
  f.forRange(Math.floor(elements / 4), () => some(4), { advance: [[target, 16], ...steps] })
  if (elements % 4 > 0) some(elements % 4)
}

/** The epilogue where all operands step evenly from plane to plane, over images and channels alike. */
function planeEpilogue(epilogue: FusedEpilogue | undefined, dx: PlacedTensor): PlacedEpilogue | null {
  const placed = epilogue && matrixEpilogue(epilogue, dx, 2)
  if (placed === undefined) return null
  const [images = 1, channels = 1] = dx.shape
  const isEven = placed.spec.operands.every(
    ({ rowStep }, i) => images === 1 || placed.operands[i]?.outer[0] === channels * rowStep,
  )
  return isEven && channels > 1 ? placed : null
}

const poolGather: Kernel<"x" | "index" | "z", PlaceSpec> = {
  name: "poolGather",
  build: ({ f }, { x, index, z }, spec) => {
    const element = realOf(spec.dtype)
    const pixels = spec.image[0] * spec.image[1]
    const value = f.local("f64")
    const shift = Math.log2(element.bytes)
    f.forRange(
      spec.planes,
      () => {
        const advance = [[z, element.bytes] as const, [index, bytesOf(spec.index)] as const]
        f.forRange(
          spec.pooled[0] * spec.pooled[1],
          () => {
            const place = f.let(placeAt(index, spec.index))
            f.set(value, 0)
            f.if(i32.ltU(place, pixels), () => f.set(value, element.load(i32.add(x, i32.shl(place, shift)))))
            element.store(f, z, value)
          },
          { advance },
        )
      },
      { advance: [[x, pixels * element.bytes]] },
    )
  },
}

/** Nanoseconds for a plane, roughly. */
function scatterCost({ image, pooled }: PoolSpec): number {
  return 0.3 * image[0] * image[1] + 0.8 * pooled[0] * pooled[1]
}

export const poolPlaces = {
  poolScatter: {
    workspace: ({ inputs: { dz }, outputs: { dx } }) => {
      const spec = planesOf(dx, dz)
      return planeBytes(dx.shape) * partsOf(spec.planes, scatterCost(spec))
    },
    absorbs: ({ outputs: { dx } }) => dx.dtype === "float32",
    emit: ({ inputs: { dz, index }, outputs: { dx }, workspace, epilogue: following }, emit) => {
      if (dx.elements === 0) return
      const behindAll = () => {
        if (following !== undefined) emitBehind(following, dx, emit)
      }
      if (dz.elements === 0) {
        emitFill(dx, 0, emit)
        return behindAll()
      }
      const spec = planesOf(dx, dz)
      const placed = planeEpilogue(following, dx)
      const bytesOfPlane = ({ elements, dtype }: PlacedTensor) => (elements / spec.planes) * bytesOf(dtype)
      emitParts(spec.planes, scatterCost(spec), emit, (start, planes, part) => {
        const from = (tensor: PlacedTensor) => behind(tensor.place, start * bytesOfPlane(tensor))
        const operands = placed?.spec.operands.map(({ rowStep }, i): [OperandName, Place] => [
          `operand${i}`,
          behind(placed.operands[i]?.place ?? dx.place, start * rowStep),
        ])
        const at = {
          dz: from(dz),
          index: from(index),
          dx: from(dx),
          sums: behind(workspace, part * planeBytes(dx.shape)),
          ...(Object.fromEntries(operands ?? []) as Record<OperandName, Place>),
        }
        emit.run(poolScatter, at, { ...spec, planes, index: index.dtype, epilogue: placed?.spec ?? null })
      })
      if (placed === null) behindAll()
    },
  },

  poolGather: ({ inputs: { x, index }, outputs: { z } }, emit) => {
    if (z.elements === 0) return
    emit.run(poolGather, { x: x.place, index: index.place, z: z.place }, { ...planesOf(x, z), index: index.dtype })
  },
} satisfies Generators<Registry>
