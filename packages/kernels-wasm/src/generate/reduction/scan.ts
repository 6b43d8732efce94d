// Operators that walk one axis and leave a result at every place: running sums, products of the others.

import type { DType } from "@counterflow/ir"
import type { Registry } from "@counterflow/ops"
import { f64 } from "../../assembler/index.ts"
import { bytesOf, elementOf, realOf } from "../expression/element.ts"
import type { Kernel } from "../kernel.ts"
import { behind, type Generators } from "../signature.ts"
import { lanesOf } from "../space/space.ts"
import { walk } from "../space/walk.ts"

/** `outer` × `inner` lanes of `length` elements that are `inner` apart. */
interface LaneSpec {
  readonly dtype: DType
  readonly outer: number
  readonly length: number
  readonly inner: number
}

interface CumsumSpec extends LaneSpec {
  readonly exclusive: boolean
  /** Lanes are walked backwards; tensors begin at the last element of the first lane. */
  readonly reverse: boolean
}

const cumsum: Kernel<"x" | "z", CumsumSpec> = {
  name: "cumsum",
  build: ({ f }, { x, z }, { dtype, outer, length, inner, exclusive, reverse }) => {
    const element = elementOf(dtype)
    const { bytes } = element
    const steps = [length * inner * bytes, bytes]
    const walkers = [x, z].map((pointer) => ({ pointer, steps }))
    const sum = f.local(element.type)
    walk(f, [outer, inner], walkers, () => {
      const [from, to] = [f.let(x), f.let(z)]
      f.set(sum, element.constant(0))
      const step = (reverse ? -inner : inner) * bytes
      const advance = [from, to].map((pointer) => [pointer, step] as const)
      f.forRange(
        length,
        () => {
          if (exclusive) {
            const value = f.let(element.load(from))
            element.store(f, to, sum)
            f.set(sum, element.add(sum, value))
          } else {
            f.set(sum, element.add(sum, element.load(from)))
            element.store(f, to, sum)
          }
        },
        { advance },
      )
    })
  },
}

/** The product of what comes before, in scratch, then, on the way back, times the product of what comes after. */
const productOfOthers: Kernel<"x" | "z" | "before", LaneSpec> = {
  name: "productOfOthers",
  build: ({ f }, { x, z, before }, { dtype, outer, length, inner }) => {
    const element = realOf(dtype)
    const { bytes } = element
    const steps = [length * inner * bytes, bytes]
    const walkers = [x, z].map((pointer) => ({ pointer, steps }))
    const product = f.local("f64")
    walk(f, [outer, inner], walkers, () => {
      const [from, to, kept] = [f.let(x), f.let(z), f.let(before)]
      const step = inner * bytes
      f.set(product, 1)
      f.forRange(
        length,
        () => {
          f.store("f64", kept, product)
          f.set(product, f64.mul(product, element.load(from)))
        },
        {
          advance: [
            [from, step],
            [to, step],
            [kept, 8],
          ],
        },
      )
      f.set(product, 1)
      f.forRange(length, () => {
        f.increment(from, -step)
        f.increment(to, -step)
        f.increment(kept, -8)
        // x may lie where z lies: read before it is written.
        const value = f.let(element.load(from))
        element.store(f, to, f64.mul(f64.load(kept), product))
        f.set(product, f64.mul(product, value))
      })
    })
  },
}

export const scan = {
  cumsum: ({ inputs: { x }, outputs: { z }, attrs: { axis, exclusive, reverse } }, emit) => {
    if (z.elements === 0) return
    const lanes = lanesOf(x.shape, axis)
    const start = reverse ? (lanes.length - 1) * lanes.inner * bytesOf(x.dtype) : 0
    const at = { x: behind(x.place, start), z: behind(z.place, start) }
    emit.run(cumsum, at, { dtype: x.dtype, ...lanes, exclusive, reverse })
  },

  productOfOthers: {
    workspace: ({ outputs: { z }, attrs: { axis } }) => 8 * (z.shape[axis] ?? 1),

    emit: ({ inputs: { x }, outputs: { z }, attrs: { axis }, workspace }, emit) => {
      if (z.elements === 0) return
      const at = { x: x.place, z: z.place, before: workspace }
      emit.run(productOfOthers, at, { dtype: x.dtype, ...lanesOf(x.shape, axis) })
    },
  },
} satisfies Generators<Registry>
