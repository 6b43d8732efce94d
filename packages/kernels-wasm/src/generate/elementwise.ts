// Elementwise operators, single or fused: one nest of loops over the output, from the scalar expression alone. No op is named
// here. Axes along which all tensors just run on are one, so without broadcasting it is one flat loop. Rows of float32 and
// bool are computed four elements at a time, all others one by one.

import type { Strides } from "@counterflow/compiler"
import type { DType, Scalar } from "@counterflow/ir"
import type { Expr, FunctionBuilder, Local } from "../assembler/index.ts"
import { bytesOf, elementOf, type Work } from "./element.ts"
import type { Kernel } from "./kernel.ts"
import { evaluate } from "./scalar.ts"
import { shareParts } from "./sharing.ts"
import type { Emit, Place, PlacedTensor } from "./signature.ts"
import { collapse, rowMajor } from "./space.ts"
import { emitVectors, vectorTypesOf } from "./vector-rows.ts"
import { walk } from "./walk.ts"

export interface ElementwiseSpec {
  readonly scalar: Scalar
  readonly sizes: readonly number[]
  /** Input i lies at `x{i}`; steps in bytes. */
  readonly inputs: readonly { readonly slot: string; readonly dtype: DType; readonly steps: readonly number[] }[]
  readonly output: { readonly dtype: DType; readonly steps: readonly number[] }
}

/** z[…] = scalar(x0[…], x1[…], …); z may be an input that is read element by element. */
const elementwise: Kernel<string, ElementwiseSpec> = {
  name: "elementwise",
  build: (context, at, spec) => {
    const types = vectorTypesOf(spec)
    if (types !== undefined) return emitVectors(context, at, spec, types)
    const { f } = context
    const { scalar, sizes, inputs, output } = spec
    const last = sizes.length - 1
    const tensors = [...inputs, { slot: null, ...output }].flatMap((tensor, i) => {
      const pointer = at[tensor.slot === null ? "z" : `x${i}`]
      return pointer === undefined ? [] : [{ ...tensor, pointer, step: tensor.steps[last] ?? 0 }]
    })
    const walkers = tensors.map(({ pointer, steps }) => ({ pointer, steps: steps.slice(0, Math.max(last, 0)) }))
    walk(f, sizes.slice(0, Math.max(last, 0)), walkers, () => {
      const row = tensors.map((tensor) => ({ ...tensor, pointer: f.let(tensor.pointer) }))
      const kept = new Map(row.map((tensor) => [tensor, isConstant(tensor) ? loadOf(f, tensor) : null]))
      const advance = row.flatMap(({ pointer, step }) => (step === 0 ? [] : [[pointer, step] as const]))
      f.forRange(
        sizes[last] ?? 1,
        () => {
          const values = row.flatMap((tensor) => {
            const { slot, dtype, pointer } = tensor
            const load = () => kept.get(tensor) ?? elementOf(dtype).load(pointer)
            return slot === null ? [] : [[slot, { dtype, load }] as const]
          })
          const value = evaluate(context, scalar, Object.fromEntries(values), output.dtype)
          for (const { slot, pointer } of row) if (slot === null) elementOf(output.dtype).store(f, pointer, value)
        },
        { advance },
      )
    })
  },
}

interface RowTensor {
  readonly slot: string | null
  readonly dtype: DType
  readonly pointer: Local<"i32">
  readonly step: number
}

/** An input that is one element all along the innermost axis: it is loaded once. */
function isConstant({ slot, step }: RowTensor): boolean {
  return slot !== null && step === 0
}

function loadOf(f: FunctionBuilder, { dtype, pointer }: RowTensor): Expr<Work> {
  return f.let(elementOf(dtype).load(pointer))
}

/** An input, and its steps in elements along the axes of the output where it is not read element by element. */
export interface ElementwiseInput {
  readonly tensor: PlacedTensor
  readonly strides?: Strides | undefined
}

/** z[…] = scalar(inputs[…]) everywhere, inputs by slot. */
export function emitElementwise(
  scalar: Scalar,
  inputs: Readonly<Record<string, ElementwiseInput>>,
  z: PlacedTensor,
  emit: Emit,
): void {
  if (z.elements === 0) return
  const entries = Object.entries(inputs)
  const own = entries.map(([, { tensor, strides }]) => {
    const bytes = bytesOf(tensor.dtype)
    return strides === undefined ? rowMajor(z.shape, bytes) : strides.map((stride) => stride * bytes)
  })
  const { sizes, steps } = collapse({ sizes: z.shape, steps: [...own, rowMajor(z.shape, bytesOf(z.dtype))] })
  const places = entries.map(([, { tensor }], i) => [`x${i}`, tensor.place] as const)
  const at: Record<string, Place> = { ...Object.fromEntries(places), z: z.place }
  emit.run(elementwise, at, {
    scalar: shareParts(scalar),
    sizes,
    inputs: entries.map(([slot, { tensor }], i) => ({ slot, dtype: tensor.dtype, steps: steps[i] ?? [] })),
    output: { dtype: z.dtype, steps: steps[entries.length] ?? [] },
  })
}
