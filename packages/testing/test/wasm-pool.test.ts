// Pooling on WebAssembly against the reference backend, bit for bit: windows of every kind, four results at a time and single
// ones, with values that comparisons trip over.

import { gradients } from "@counterflow/autodiff"
import { Executor } from "@counterflow/executor"
import { Program, type Variable } from "@counterflow/ir"
import { wasm } from "@counterflow/kernels-wasm"
import {
  adaptivePool2d,
  greater,
  legalize,
  mul,
  pool2d,
  poolGather,
  poolScatter,
  relu,
  sub,
  where,
} from "@counterflow/ops"
import fc from "fast-check"
import { describe, expect, test } from "vitest"
import { input } from "./building.ts"
import { dtypeOf, expectEquality, floats, holds, tameValueOf, tensorOf, valueOf } from "./wasm-pair.ts"

const pair = (min: number, max: number) => fc.tuple(fc.integer({ min, max }), fc.integer({ min, max }))

/** Sizes, window, stride and padding for which there are windows. */
const windows = fc
  .record({
    dtype: dtypeOf(floats),
    planes: pair(1, 2),
    image: pair(1, 21),
    poolSize: pair(1, 5),
    poolStride: pair(1, 4),
    padding: fc.array(fc.integer({ min: 0, max: 3 }), { minLength: 4, maxLength: 4 }),
    ceilMode: fc.boolean(),
    exclusive: fc.boolean(),
  })
  .map(({ padding, ...rest }) => {
    const [top = 0, bottom = 0, left = 0, right = 0] = padding
    const poolPadding = [top, bottom, left, right] as const
    const fits = ([top + bottom, left + right] as const).every(
      (around, axis) => (rest.image[axis] ?? 0) + around >= (rest.poolSize[axis] ?? 0),
    )
    return { ...rest, poolPadding, fits }
  })
  .filter(({ fits }) => fits)

type Windows = typeof windows extends fc.Arbitrary<infer T> ? T : never

function pooled(
  x: Variable,
  poolType: "max" | "avg",
  { fits: _, dtype: _dtype, planes: _planes, image: _image, ...options }: Windows,
): Variable {
  return pool2d(x, { poolType, ...options })
}

function shapeOf({ planes, image }: Windows): number[] {
  return [...planes, ...image]
}

describe("windows", () => {
  test.each(["max", "avg"] as const)("%s pooling", (poolType) => {
    const cases = windows.chain((window) =>
      tensorOf(
        window.dtype,
        shapeOf(window),
        poolType === "max" ? valueOf(window.dtype) : tameValueOf(window.dtype),
      ).map((x) => ({ window, x })),
    )
    holds([cases], ({ window, x }) => expectEquality({ x }, (v) => [pooled(v.x, poolType, window)]), 120)
  })

  test.each(["max", "avg"] as const)("the gradient of %s pooling, to second order", (poolType) => {
    const cases = windows.chain((window) =>
      fc
        .tuple(...[1, 2, 3].map(() => tensorOf(window.dtype, shapeOf(window), tameValueOf(window.dtype))))
        .map(([x, scale, other]) => ({ window, x, scale, other })),
    )
    holds(
      [cases],
      ({ window, x, scale, other }) => {
        if (x === undefined || scale === undefined || other === undefined) return
        expectEquality({ x, scale, other }, (v) => {
          const z = pooled(v.x, poolType, window)
          const dz = pooled(v.scale, "max", window)
          const [dx] = gradients(z, v.x, { targetGradients: dz })
          if (dx === undefined || dx === null) return [z]
          const [ddz] = gradients(dx, dz, { targetGradients: v.other })
          return ddz === undefined || ddz === null ? [dx] : [dx, ddz]
        })
      },
      90,
    )
  })

  test("images that are cut into parts", () => {
    const shape = [16, 32, 30, 30]
    const data = Array.from({ length: 16 * 32 * 900 }, (_, i) => Math.fround(Math.sin(i * 7.3)))
    expectEquality({ x: { dtype: "float32", shape, data } }, ({ x }) => {
      const found = (["max", "avg"] as const).map((poolType) => {
        const z = pool2d(x, { poolType, poolSize: 3, poolStride: 2, poolPadding: 1 })
        const apart = pool2d(x, { poolType, poolSize: 3, poolStride: 3 })
        return [z, apart, ...gradients([z, apart], x)]
      })
      return found.flat().filter((v) => v !== null)
    })
  })
})

test.each(["max", "avg"] as const)("adaptive %s pooling: even bins, uneven ones, all of the image", (poolType) => {
  const cases = fc
    .record({ dtype: dtypeOf(floats), image: pair(1, 17), poolSize: pair(1, 9) })
    .chain((bins) => tensorOf(bins.dtype, [2, 2, ...bins.image], tameValueOf(bins.dtype)).map((x) => ({ ...bins, x })))
  holds(
    [cases],
    ({ x, poolSize, image }) => {
      if (poolSize.some((size, axis) => size > (image[axis] ?? 0))) return
      expectEquality({ x }, (v) => {
        const z = adaptivePool2d(v.x, { poolSize, poolType })
        const global = pool2d(v.x, { poolType, globalPooling: true })
        return [z, global, ...gradients([z, global], v.x)].filter((each) => each !== null)
      })
    },
    80,
  )
})

describe("places", () => {
  const planes = fc.record({ dtype: dtypeOf(floats), image: pair(1, 6), pooled: pair(1, 6) })
  test("those that meet, those outside", () => {
    const cases = planes.chain(({ dtype, image, pooled }) => {
      const place = fc.oneof(fc.integer({ min: 0, max: image[0] * image[1] - 1 }), fc.constantFrom(-1, 2 ** 31 - 1, 40))
      return fc.record({
        dz: tensorOf(dtype, [2, 3, ...pooled]),
        x: tensorOf(dtype, [2, 3, ...image]),
        index: tensorOf("int32", [2, 3, ...pooled], place),
      })
    })
    holds(
      [cases],
      ({ dz, x, index }) =>
        expectEquality({ dz, x, index }, (v) => [
          poolScatter(v.dz, v.index, { inputShape: x.shape }),
          poolGather(v.x, v.index),
        ]),
      100,
    )
  })

  test("what follows is applied to sums as they are stored", () => {
    const cases = planes.chain(({ dtype, image, pooled }) =>
      fc.tuple(fc.integer({ min: 1, max: 2 }), fc.integer({ min: 1, max: 3 })).chain(([images, channels]) => {
        const tensor = (...shape: number[]) => tensorOf(dtype, shape, tameValueOf(dtype))
        return fc.record({
          dz: tensor(images, channels, ...pooled),
          index: tensorOf("int32", [images, channels, ...pooled], fc.nat({ max: image[0] * image[1] - 1 })),
          whole: tensor(images, channels, ...image),
          perChannel: tensor(channels, 1, 1),
          perImage: tensor(images, 1, 1, 1),
          perRow: tensor(image[0], 1),
          single: tensor(),
        })
      }),
    )
    holds(
      [cases],
      ({ whole, ...fed }) => {
        const scatter = (v: Readonly<Record<"dz" | "index", Variable>>) =>
          poolScatter(v.dz, v.index, { inputShape: whole.shape })
        const { dz, index, perChannel, perImage, perRow, single } = fed
        expectEquality({ dz, index, whole }, (v) => [where(greater(v.whole, 0), scatter(v), 0)])
        expectEquality({ dz, index, whole, perChannel }, (v) => [mul(mul(scatter(v), v.whole), v.perChannel)])
        expectEquality({ dz, index, perImage }, (v) => [mul(scatter(v), v.perImage)])
        expectEquality({ dz, index, perRow }, (v) => [mul(v.perRow, scatter(v))])
        expectEquality({ dz, index, single }, (v) => [relu(sub(scatter(v), v.single))])
      },
      20,
    )
  })

  test("a gated gradient is one operator", () => {
    const program = new Program()
    const x = input(program, "x", [4, 3, 8, 8])
    const [dx] = gradients(pool2d(relu(x), { poolSize: 2, poolStride: 2 }), x)
    const executor = new Executor(wasm(), { legalize })
    const step = executor.compileSync(program, {
      feed: { x: [4, 3, 8, 8] },
      fetch: dx === null || dx === undefined ? [] : [dx],
    })
    const [last] = step.plan.block.ops.slice(-1)
    expect(last?.type).toBe("poolScatter")
    expect(last?.epilogue).toBeDefined()
    executor.close()
  })
})
