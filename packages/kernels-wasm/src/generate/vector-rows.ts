// Elementwise kernels that compute four elements at a time: rows along the innermost axis, in which every input lies as the
// result does or is one element throughout. Its loops are those of any elementwise kernel.

import { fail } from "@counterflow/ir"
import type { Local } from "../assembler/index.ts"
import { bytesOf } from "./element.ts"
import type { ElementwiseSpec } from "./elementwise.ts"
import type { KernelContext } from "./kernel.ts"
import { evaluateLanes, laneTypes } from "./vector-scalar.ts"
import { loadVector, splatVector, storeVector, withConstants } from "./vector.ts"
import { walk } from "./walk.ts"

type LaneTypes = NonNullable<ReturnType<typeof laneTypes>>

/** The types of the parts of an expression that has a vector form, on rows of which every input is contiguous or constant. */
export function vectorTypesOf({ scalar, sizes, inputs, output }: ElementwiseSpec): LaneTypes | undefined {
  const last = sizes.length - 1
  const fits = inputs.every(({ dtype, steps }) => last < 0 || steps[last] === 0 || steps[last] === bytesOf(dtype))
  return fits
    ? laneTypes(scalar, Object.fromEntries(inputs.map(({ slot, dtype }) => [slot, dtype])), output.dtype)
    : undefined
}

export function emitVectors(
  { f }: KernelContext,
  at: Readonly<Record<string, Local<"i32">>>,
  { scalar, sizes, inputs, output }: ElementwiseSpec,
  types: LaneTypes,
): void {
  const last = sizes.length - 1
  const length = sizes[last] ?? 1
  const tensors = inputs.map((input, i) => ({
    ...input,
    pointer: pointerOf(at, `x${i}`),
    step: input.steps[last] ?? 0,
  }))
  const z = { ...output, pointer: pointerOf(at, "z"), step: bytesOf(output.dtype) }
  const outer = sizes.slice(0, Math.max(last, 0))
  const walkers = [...tensors, z].map(({ pointer, steps }) => ({ pointer, steps: steps.slice(0, outer.length) }))
  withConstants(f, (lanes) =>
    walk(lanes.f, outer, walkers, () => {
      const row = new Map(
        tensors.map(({ slot, dtype, pointer, step }) => {
          const own = lanes.f.let(pointer)
          return [
            slot,
            { dtype, step, own, kept: step === 0 ? lanes.f.let(splatVector(lanes.f, dtype, own)) : null },
          ] as const
        }),
      )
      const target = lanes.f.let(z.pointer)
      const advance = [...row.values(), { own: target, step: z.step }].flatMap(({ own, step }) =>
        step === 0 ? [] : [[own, 4 * step] as const],
      )
      const vector = (count: number) => {
        const value = evaluateLanes(lanes, scalar, types, (slot) => {
          const input = row.get(slot) ?? fail("CF_INTERNAL", `a scalar expression reads "${slot}", which is no input`)
          return input.kept ?? loadVector(lanes.f, input.dtype, input.own, count)
        })
        storeVector(lanes.f, z.dtype, target, value, count)
      }
      lanes.f.forRange(Math.floor(length / 4), () => vector(4), { advance })
      if (length % 4 > 0) vector(length % 4)
    }),
  )
}

function pointerOf(at: Readonly<Record<string, Local<"i32">>>, name: string): Local<"i32"> {
  return at[name] ?? fail("CF_INTERNAL", `an elementwise kernel has no ${name}`)
}
