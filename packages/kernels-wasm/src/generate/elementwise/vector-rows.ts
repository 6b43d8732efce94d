// Elementwise kernels that compute four elements at a time: rows along the innermost axis, in which every input lies as the
// results do or is one element throughout. Its loops are those of any elementwise kernel.

import { fail } from "@counterflow/ir"
import type { Local } from "../../assembler/index.ts"
import type { Lanes } from "../../math/simd/lanes.ts"
import { bytesOf } from "../expression/element.ts"
import { type ElementwiseSpec, placed } from "./spec.ts"
import type { KernelContext } from "../kernel.ts"
import { allLaneTypes, laneEvaluator, type LaneTypes } from "../expression/vector-scalar.ts"
import { loadVector, splatVector, storeVector, withConstants } from "../expression/vector.ts"
import { walkRows } from "../space/walk.ts"

/** The types of the parts of expressions that have a vector form, on rows of which every input is contiguous or constant. */
export function vectorTypesOf({ inner, inputs, outputs }: ElementwiseSpec): LaneTypes | undefined {
  const axis = inner.length
  const fits = inputs.every(({ dtype, steps }) => steps[axis] === 0 || steps[axis] === bytesOf(dtype))
  return fits ? allLaneTypes(outputs, Object.fromEntries(inputs.map(({ slot, dtype }) => [slot, dtype]))) : undefined
}

export function emitVectors(
  { f, module }: KernelContext,
  at: Readonly<Record<string, Local<"i32">>>,
  spec: ElementwiseSpec,
  types: LaneTypes,
): void {
  const { inner } = spec
  const { n } = at
  if (n === undefined) return fail("CF_INTERNAL", "an elementwise kernel is not told its size")
  const inputs = placed(spec.inputs, at, "x")
  const outputs = placed(spec.outputs, at, "y")
  const axis = inner.length
  const build = (lanes: Lanes) => {
    const row = (own: (pointer: Local<"i32">) => Local<"i32">, length: number | null) => {
      const read = new Map(
        inputs.map(({ slot, dtype, steps, pointer }) => {
          const from = own(pointer)
          const step = steps[axis] ?? 0
          const kept = step === 0 ? lanes.f.let(splatVector(lanes.f, dtype, from)) : null
          return [slot, { dtype, step, from, kept }] as const
        }),
      )
      const written = outputs.map(({ pointer, steps, ...output }) => ({
        ...output,
        to: own(pointer),
        step: steps[axis] ?? 0,
      }))
      const advance = [
        ...[...read.values()].map(({ from, step }) => [from, 4 * step] as const),
        ...written.map(({ to, step }) => [to, 4 * step] as const),
      ].filter(([, step]) => step !== 0)
      const vector = (count: number) => {
        const evaluate = laneEvaluator(lanes, types, (slot) => {
          const input = read.get(slot) ?? fail("CF_INTERNAL", `a scalar expression reads "${slot}", which is no input`)
          return input.kept ?? loadVector(lanes.f, input.dtype, input.from, count)
        })
        // All results are there before the first is stored: it may lie where an input lies.
        const values = written.map(({ scalar }) => evaluate(scalar))
        written.forEach(({ dtype, to }, i) => {
          const value = values[i]
          if (value !== undefined) storeVector(lanes.f, dtype, to, value, count)
        })
      }
      if (length === null) return lanes.f.forRange(n, () => vector(4), { step: 4, advance })
      lanes.f.forRange(Math.floor(length / 4), () => vector(4), { advance })
      if (length % 4 > 0) vector(length % 4)
    }
    if (axis === 0) return row((pointer) => pointer, null)
    const walkers = [...inputs, ...outputs].map(({ pointer, steps }) => ({ pointer, steps: steps.slice(0, axis) }))
    walkRows(lanes.f, n, inner.slice(0, -1), walkers, () =>
      row((pointer) => lanes.f.let(pointer), inner[axis - 1] ?? 1),
    )
  }
  withConstants(f, build, module)
}
