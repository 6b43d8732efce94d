// What follows a matrix product, applied to its entries while they are still in registers: an elementwise expression becomes
// an epilogue of gemm wherever its operands lie evenly along rows and columns. Columns may be several axes of the output: the
// pixels of a plane, of which each row has a channel.

import { type DType, fail, type Scalar } from "@counterflow/ir"
import { type Expr, FunctionBuilder, i32, type Local, v128 } from "../../assembler/index.ts"
import type { Epilogue, EpiloguePoint } from "../../gemm/index.ts"
import { loadLanes } from "../../gemm/lanes.ts"
import type { Lanes } from "../../math/simd/lanes.ts"
import { bytesOf } from "../expression/element.ts"
import { emitElementwise } from "./elementwise.ts"
import { keyOf } from "../kernel.ts"
import { shareParts } from "../expression/sharing.ts"
import type { Emit, FusedEpilogue, Place, PlacedTensor, TensorShape } from "../signature.ts"
import { collapse, rowMajor } from "../space/space.ts"
import { evaluateLanes, laneTypes } from "../expression/vector-scalar.ts"
import { bitsOf, loadVector, splatVector } from "../expression/vector.ts"

/** Plain data, for the spec of a kernel. */
export interface MatrixEpilogue {
  readonly scalar: Scalar
  /** Steps in bytes; along columns an operand is one element throughout, or lies as the output does. */
  readonly operands: readonly {
    readonly slot: string
    readonly dtype: DType
    readonly rowStep: number
    readonly columnStep: number
  }[]
}

export interface PlacedEpilogue {
  readonly spec: MatrixEpilogue
  /** Of each operand: its place, and its steps in bytes along the axes in front of rows and columns. */
  readonly operands: readonly { readonly place: Place; readonly outer: readonly number[] }[]
}

/**
 * The epilogue for an output whose last `columnAxes` axes are the columns of a matrix, the axis in front of them its rows, and
 * the others a batch; undefined where it does not fit, and an elementwise pass must follow the product instead.
 */
export function matrixEpilogue(
  { scalar, inputs }: FusedEpilogue,
  { shape, dtype }: TensorShape,
  columnAxes = 1,
): PlacedEpilogue | undefined {
  if (dtype !== "float32") return undefined
  const slots = [...slotsOf(scalar)].filter((slot) => slot !== own)
  const rows = shape.length - columnAxes - 1
  const operands = slots.map((slot) => {
    const { tensor, strides } = inputs[slot] ?? fail("CF_INTERNAL", `an epilogue reads "${slot}", which is no input`)
    const bytes = bytesOf(tensor.dtype)
    const steps = (strides ?? rowMajor(shape)).map((step) => step * bytes)
    const columnStep = evenStep(shape.slice(rows + 1), steps.slice(rows + 1))
    const isEven = columnStep === 0 || columnStep === bytes
    return {
      slot,
      dtype: tensor.dtype,
      place: tensor.place,
      outer: steps.slice(0, rows),
      rowStep: shape[rows] === 1 ? 0 : (steps[rows] ?? 0),
      columnStep: isEven ? columnStep : undefined,
    }
  })
  const types = typesOf(scalar, operands)
  if (types === undefined) return undefined
  const spec: MatrixEpilogue["operands"][number][] = []
  for (const { slot, dtype: type, rowStep, columnStep } of operands) {
    if (columnStep === undefined || rowStep < 0) return undefined
    spec.push({ slot, dtype: type, rowStep, columnStep })
  }
  return { spec: { scalar: shareParts(scalar), operands: spec }, operands }
}

/** An epilogue as a pass of its own, over what the operator has stored. */
export function emitBehind({ scalar, inputs }: FusedEpilogue, z: PlacedTensor, emit: Emit): void {
  const read = Object.entries(inputs).filter(([slot]) => slotsOf(scalar).has(slot))
  emitElementwise(scalar, { ...Object.fromEntries(read), [own]: { tensor: z } }, z, emit)
}

/** The slot of what the operator itself makes. */
const own = ""

function slotsOf(scalar: Scalar, found = new Set<string>(), seen = new Set<Scalar>()): Set<string> {
  if (seen.has(scalar)) return found
  seen.add(scalar)
  if (scalar.op === "input") found.add(scalar.slot)
  else if (scalar.op !== "const") {
    slotsOf(scalar.x, found, seen)
    if ("y" in scalar) slotsOf(scalar.y, found, seen)
    if ("condition" in scalar) slotsOf(scalar.condition, found, seen)
  }
  return found
}

/** The one step of all these axes; undefined if there is none. */
function evenStep(sizes: readonly number[], steps: readonly number[]): number | undefined {
  const merged = collapse({ sizes, steps: [steps] })
  if (merged.sizes.length > 1) return undefined
  return merged.steps[0]?.[0] ?? 0
}

function typesOf(scalar: Scalar, operands: readonly { readonly slot: string; readonly dtype: DType }[]) {
  const types = Object.fromEntries(operands.map(({ slot, dtype }) => [slot, dtype]))
  return laneTypes(scalar, { ...types, [own]: "float32" }, "float32")
}

/** As gemm takes it: with an address for each operand. */
export function gemmEpilogue(spec: MatrixEpilogue): Epilogue {
  const { scalar, operands } = spec
  const types = typesOf(scalar, operands) ?? fail("CF_INTERNAL", "an epilogue has no vector form")
  const apply = (f: FunctionBuilder, point: EpiloguePoint, lanes: Lanes): Expr<"v128"> =>
    evaluateLanes(lanes, scalar, types, (slot) => {
      if (slot === own) return point.acc
      const index = operands.findIndex((operand) => operand.slot === slot)
      const [operand, base] = [operands[index], point.operands[index]]
      if (operand === undefined || base === undefined)
        return fail("CF_INTERNAL", `an epilogue has no operand "${slot}"`)
      return loadOperand(f, operand, base, point)
    })
  return {
    key: keyOf(spec),
    operands: operands.length,
    constants: constantsOf(apply, operands.length),
    apply: (f, point) => {
      const constant = (bits: number) =>
        point.constants.get(bits) ?? fail("CF_INTERNAL", "a constant of an epilogue was not made")
      return apply(f, point, { f, float: (value) => constant(bitsOf(value)), bits: constant })
    },
  }
}

function loadOperand(
  f: FunctionBuilder,
  { dtype, rowStep, columnStep }: MatrixEpilogue["operands"][number],
  base: Local<"i32">,
  { tile, offset, lanes }: EpiloguePoint,
): Expr<"v128"> {
  // What is the same for a whole tile is the same expression for all of its entries, which engines compute once.
  let address: Expr<"i32"> = base
  if (rowStep !== 0) address = i32.add(address, i32.mul(tile.row, rowStep))
  if (columnStep !== 0) address = i32.add(address, i32.mul(tile.column, columnStep))
  const ahead = offset.row * rowStep + offset.column * columnStep
  if (dtype === "float32") {
    return columnStep === 0 ? v128.load32Splat(address, ahead) : loadLanes(address, ahead, lanes)
  }
  const own = f.let(ahead === 0 ? address : i32.add(address, ahead))
  return columnStep === 0 ? splatVector(f, dtype, own) : loadVector(f, dtype, own, lanes)
}

/** The constants that are asked for while it is written on trial. */
function constantsOf(
  apply: (f: FunctionBuilder, point: EpiloguePoint, lanes: Lanes) => unknown,
  operands: number,
): number[] {
  const f = new FunctionBuilder([])
  const found = new Map<number, Local<"v128">>()
  const note = (bits: number) => {
    const local = found.get(bits) ?? f.local("v128")
    found.set(bits, local)
    return local
  }
  const zero = i32.const(0)
  const point = {
    acc: f.local("v128"),
    row: zero,
    column: zero,
    tile: { row: zero, column: zero },
    offset: { row: 0, column: 0 },
    lanes: 4,
    operands: Array.from({ length: operands }, () => f.local("i32")),
    constants: found,
  }
  apply(f, point, { f, float: (value) => note(bitsOf(value)), bits: note })
  return [...found.keys()]
}
