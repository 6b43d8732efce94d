// Elementwise operators, single or fused, with one result or several: one nest of loops over the output, from the scalar
// expressions alone. No op is named here. Axes along which all tensors just run on are one, so without broadcasting it is one
// flat loop. How long the outermost axis is a kernel is told when it is called, so that one flat loop serves tensors of every
// size, and equal parts of a large one. Elements of up to four bytes are computed four at a time, wider ones one by one.
//
// A flat loop of vectors goes on to the end of the last one: memory is given out in multiples of 16 bytes.

import type { Strides } from "@counterflow/compiler"
import type { Scalar } from "@counterflow/ir"
import type { Expr, FunctionBuilder, Local } from "../../assembler/index.ts"
import { costOf } from "../expression/cost.ts"
import { bytesOf, elementOf, type Work } from "../expression/element.ts"
import { type ElementwiseSpec, placed } from "./spec.ts"
import type { Kernel, KernelContext } from "../kernel.ts"
import { emitParts } from "../parts.ts"
import { evaluator } from "../expression/scalar.ts"
import { shareAll } from "../expression/sharing.ts"
import { argument, behind, type Emit, type PlacedTensor } from "../signature.ts"
import { collapse, rowMajor } from "../space/space.ts"
import { emitVectors, vectorTypesOf } from "./vector-rows.ts"
import { walkRows } from "../space/walk.ts"

/** y0[…], y1[…], … from x0[…], x1[…], …; a result may lie where an input lies that is read element by element. */
const elementwise: Kernel<string, ElementwiseSpec> = {
  name: "elementwise",
  build: (context, at, spec) => {
    const types = vectorTypesOf(spec)
    if (types === undefined) emitScalars(context, at, spec)
    else emitVectors(context, at, spec, types)
  },
}

function emitScalars(context: KernelContext, at: Readonly<Record<string, Local<"i32">>>, spec: ElementwiseSpec): void {
  const { f } = context
  const { inner } = spec
  const { n } = at
  if (n === undefined) return
  const inputs = placed(spec.inputs, at, "x")
  const outputs = placed(spec.outputs, at, "y")
  const axis = inner.length
  const row = (own: (pointer: Local<"i32">) => Local<"i32">, length: Local<"i32"> | number) => {
    const read = inputs.map(({ slot, dtype, steps, pointer }) => {
      const from = own(pointer)
      const step = steps[axis] ?? 0
      const kept = step === 0 ? f.let(elementOf(dtype).load(from)) : null
      return { slot, dtype, from, step, load: () => kept ?? elementOf(dtype).load(from) }
    })
    const written = outputs.map(({ pointer, steps, ...output }) => ({
      ...output,
      to: own(pointer),
      step: steps[axis] ?? 0,
    }))
    const advance = [
      ...read.map(({ from, step }) => [from, step] as const),
      ...written.map(({ to, step }) => [to, step] as const),
    ].filter(([, step]) => step !== 0)
    const body = () => {
      const value = evaluator(context, Object.fromEntries(read.map(({ slot, dtype, load }) => [slot, { dtype, load }])))
      const values = written.map(({ scalar, dtype }) => asLocal(f, value(scalar, dtype)))
      written.forEach(({ dtype, to }, i) => {
        const result = values[i]
        if (result !== undefined) elementOf(dtype).store(f, to, result)
      })
    }
    f.forRange(length, body, { advance })
  }
  if (axis === 0) return row((pointer) => pointer, n)
  const walkers = [...inputs, ...outputs].map(({ pointer, steps }) => ({ pointer, steps: steps.slice(0, axis) }))
  walkRows(f, n, inner.slice(0, -1), walkers, () => row((pointer) => f.let(pointer), inner[axis - 1] ?? 1))
}

/** All results are there before the first is stored: it may lie where an input lies. */
function asLocal(f: FunctionBuilder, value: Expr<Work>): Expr<Work> {
  return value.code.kind === "get" || value.code.kind === "const" ? value : f.let(value)
}

/** An input, and its steps in elements along the axes of the output where it is not read element by element. */
export interface ElementwiseInput {
  readonly tensor: PlacedTensor
  readonly strides?: Strides | undefined
}

export interface ElementwiseResult {
  readonly scalar: Scalar
  readonly tensor: PlacedTensor
}

/** z[…] = scalar(inputs[…]) everywhere, inputs by slot. */
export function emitElementwise(
  scalar: Scalar,
  inputs: Readonly<Record<string, ElementwiseInput>>,
  z: PlacedTensor,
  emit: Emit,
): void {
  emitLoop([{ scalar, tensor: z }], inputs, emit)
}

/** Several results of the same inputs, all of one shape. */
export function emitLoop(
  results: readonly ElementwiseResult[],
  inputs: Readonly<Record<string, ElementwiseInput>>,
  emit: Emit,
): void {
  const [first] = results
  if (first === undefined || first.tensor.elements === 0) return
  const { shape } = first.tensor
  const entries = Object.entries(inputs)
  const read = entries.map(([, { tensor, strides }]) => {
    const bytes = bytesOf(tensor.dtype)
    return strides === undefined ? rowMajor(shape, bytes) : strides.map((stride) => stride * bytes)
  })
  const written = results.map(({ tensor }) => rowMajor(shape, bytesOf(tensor.dtype)))
  const space = collapse({ sizes: shape, steps: [...read, ...written] })
  // A single element is a row of one, so that its kernel is that of every other row.
  const isSingle = space.sizes.length === 0
  const sizes = isSingle ? [1] : space.sizes
  const steps = isSingle
    ? [
        ...entries.map(([, { tensor, strides }]) => [strides === undefined ? bytesOf(tensor.dtype) : 0]),
        ...results.map(({ tensor }) => [bytesOf(tensor.dtype)]),
      ]
    : space.steps
  const scalars = shareAll(results.map(({ scalar }) => scalar))
  const spec: ElementwiseSpec = {
    inner: sizes.slice(1),
    inputs: entries.map(([slot, { tensor }], i) => ({ slot, dtype: tensor.dtype, steps: steps[i] ?? [] })),
    outputs: results.map(({ scalar, tensor }, i) => ({
      scalar: scalars[i] ?? scalar,
      dtype: tensor.dtype,
      steps: steps[entries.length + i] ?? [],
    })),
  }
  const tensors = [
    ...entries.map(([, { tensor }], i) => [`x${i}`, tensor.place, steps[i]?.[0] ?? 0] as const),
    ...results.map(({ tensor }, i) => [`y${i}`, tensor.place, steps[entries.length + i]?.[0] ?? 0] as const),
  ]
  // Parts of a flat loop are whole vectors.
  const unit = sizes.length === 1 ? 4 : 1
  const count = sizes[0] ?? 1
  const each = (first.tensor.elements / count) * costOf(scalars, entries.length)
  const run = (start: number, length: number) => {
    const at = Object.fromEntries(tensors.map(([name, place, step]) => [name, behind(place, start * step)]))
    emit.run(elementwise, { ...at, n: argument(length) }, spec)
  }
  emitParts(count, each, emit, run, unit)
}
