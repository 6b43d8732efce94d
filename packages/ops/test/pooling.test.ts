// Spellings of pooling: the operator that each gives, shapes with and without known sizes, and the refusals' texts.

import { describe, expect, test } from "vitest"
import { isCounterflowError, Program, type Shape, symbol, type Variable, verify } from "@counterflow/ir"
import { adaptivePool2d, pool2d, type Pool2dOptions, poolScatter } from "@counterflow/ops"

function image(shape: Shape): Variable {
  return new Program().globalBlock().createVar({ name: "x", shape, dtype: "float32", isData: true })
}

/** The error's text without the places in this file, which are its caller's. */
function refusal(body: () => unknown): string {
  try {
    body()
  } catch (error) {
    if (isCounterflowError(error)) return error.message.replace(/\S*test\.ts:\d+:\d+/g, "(here)")
    throw error
  }
  throw new Error("nothing was refused")
}

describe("shapes", () => {
  const cases: [Pool2dOptions, string][] = [
    [{ poolSize: 2 }, "[2, 3, 6, 9]"],
    [{ poolSize: 2, poolStride: 2 }, "[2, 3, 3, 5]"],
    [{ poolSize: [3, 2], poolStride: [2, 3], poolPadding: [1, 0] }, "[2, 3, 4, 3]"],
    [{ poolSize: 3, poolStride: 2, poolPadding: [0, 1, 1, 0] }, "[2, 3, 3, 5]"],
    [{ poolSize: 3, poolStride: 2 }, "[2, 3, 3, 4]"],
    [{ poolSize: 3, poolStride: 2, ceilMode: true }, "[2, 3, 3, 5]"],
    [{ poolSize: 4, poolStride: 3, ceilMode: true, poolType: "avg" }, "[2, 3, 2, 3]"],
    [{ poolSize: 3, poolStride: 2, poolPadding: "same" }, "[2, 3, 4, 5]"],
    [{ poolSize: 99, globalPooling: true }, "[2, 3, 1, 1]"],
  ]

  test.each(cases)("pool2d of [2, 3, 7, 10] with %j is %s", (options, shape) => {
    expect(pool2d(image([2, 3, 7, 10]), options).type).toBe(`float32${shape}`)
  })

  test("adaptivePool2d has the shape it is asked for, even a larger one", () => {
    expect(adaptivePool2d(image([2, 3, 7, 10]), { poolSize: [3, 4] }).type).toBe("float32[2, 3, 3, 4]")
    expect(adaptivePool2d(image([2, 3, 7, 10]), { poolSize: 12, poolType: "avg" }).type).toBe("float32[2, 3, 12, 12]")
  })

  const symbolic: [Pool2dOptions, string][] = [
    [{ poolSize: 2, poolStride: 2 }, "[batch, 3, floorDiv(h, 2), floorDiv(w, 2)]"],
    [{ poolSize: 2, poolStride: 2, ceilMode: true }, "[batch, 3, floorDiv(h + 1, 2), floorDiv(w + 1, 2)]"],
    [{ poolSize: 3, poolPadding: "same", poolType: "avg" }, "[batch, 3, h, w]"],
    [{ globalPooling: true, poolType: "avg" }, "[batch, 3, 1, 1]"],
  ]

  test.each(symbolic)("pool2d of [batch, 3, h, w] with %j is %s", (options, shape) => {
    const z = pool2d(image([symbol("batch"), 3, symbol("h"), symbol("w")]), options)
    expect(z.type).toBe(`float32${shape}`)
    verify(z.program)
  })
})

test("programs show the operator, variables have Fluid's names", () => {
  const x = image([1, 1, 4, 4])
  const first = pool2d(x, { poolSize: 2 })
  const second = pool2d(x, { poolSize: 2, poolType: "avg", exclusive: false })
  const third = adaptivePool2d(x, { poolSize: 2, poolType: "avg" })
  const made = [first, second, third].map((z) => [z.name, z.producer?.type])
  expect(made).toEqual([
    ["pool2d_0.tmp_0", "maxPool2d"],
    ["pool2d_1.tmp_0", "avgPool2d"],
    ["adaptive_pool2d_0.tmp_0", "avgPool2d"],
  ])
  expect([second, third].map((z) => z.producer?.attrs["exclusive"])).toEqual([false, true])
})

describe("refusals", () => {
  test("a refused pooling leaves the program as it was", () => {
    const x = image([1, 1, 2, 2])
    const before = x.program.toString()
    expect(refusal(() => pool2d(x, { poolSize: 3 }))).toMatchInlineSnapshot(`
      "CF_SHAPE_MISMATCH  maxPool2d: a window of height 3 finds no place in x of height 2, its padding included
          x = x   float32[1, 1, 2, 2]   built at (here)
        this maxPool2d was built at (here)
        fix: take a smaller window, or pad x more"
    `)
    expect(x.program.toString()).toBe(before)
    expect(pool2d(x, { poolSize: 2 }).name).toBe("pool2d_0.tmp_0")
  })

  test("options that are none", () => {
    const x = image([1, 1, 5, 5])
    const texts = [
      refusal(() => pool2d(x, {})),
      refusal(() => pool2d(x, { poolSize: 0 })),
      refusal(() => pool2d(x, { poolSize: 2, poolStride: [1, 2, 3] })),
      refusal(() => pool2d(x, { poolSize: 2, poolPadding: [1, -1] })),
      refusal(() => pool2d(x, { poolSize: 2, poolType: JSON.parse('"median"') as "max" })),
      refusal(() => adaptivePool2d(x, { poolSize: 2.5 })),
    ]
    expect(texts.join("\n")).toMatchInlineSnapshot(`
      "CF_BAD_ATTRIBUTE  pool2d: poolSize is missing
        called at (here)
        fix: give poolSize, or globalPooling: true
      CF_BAD_ATTRIBUTE  pool2d: poolSize must be an integer of at least 1, or two of them, got 0
        called at (here)
      CF_BAD_ATTRIBUTE  pool2d: poolStride must be an integer of at least 1, or two of them, got [1, 2, 3]
        called at (here)
      CF_BAD_ATTRIBUTE  pool2d: poolPadding must be "same", "valid", or one, two or four sizes, got [1, -1]
        called at (here)
        fix: sizes are integers of at least 0: one for all sides, [height, width] or [top, bottom, left, right]
      CF_BAD_ATTRIBUTE  pool2d: poolType must be "max" or "avg", got median
        called at (here)
      CF_BAD_ATTRIBUTE  adaptivePool2d: poolSize must be an integer of at least 1, or two of them, got 2.5
        called at (here)"
    `)
  })

  test("indices of another image", () => {
    const x = image([2, 3, 4, 4])
    const index = x.program
      .globalBlock()
      .createVar({ name: "index", shape: [2, 1, 4, 4], dtype: "int32", isData: true })
    expect(refusal(() => poolScatter(x, index, { inputShape: [2, 3, 8, 8] }))).toMatchInlineSnapshot(`
      "CF_SHAPE_MISMATCH  poolScatter: index of shape [2, 1, 4, 4] names places in 2 × 1 planes, not in the planes of [2, 3, 8, 8]
          dz = x          float32[2, 3, 4, 4]   built at (here)
          index = index   int32[2, 1, 4, 4]     built at (here)
        this poolScatter was built at (here)"
    `)
  })
})
