// Layers on images: filters, pooling windows and normalization per channel, as programs.

import { printProgram, type Variable } from "@counterflow/ir"
import { describe, expect, test } from "vitest"
import { adaptivePool2d, batchNorm, conv2d, conv2dTranspose, data, dropout, layerNorm, pool2d } from "../src/index.ts"
import { build, refusalOf, untyped } from "./building.ts"

const image = (channels = 3) => data({ name: "x", shape: [channels, 8, 6] })
const parameters = (body: (x: Variable) => unknown, channels = 3) =>
  build(() => body(image(channels)))
    .main.allParameters()
    .map(String)

describe("conv2d", () => {
  test("is a convolution, a bias per filter and an activation", () => {
    const { main } = build(() => conv2d(image(), { numFilters: 4, filterSize: 3, padding: 1, act: "relu" }))
    expect(printProgram(main)).toMatchInlineSnapshot(`
      "program
        data x : float32[batch, 3, 8, 6]
        parameter conv2d_0.w_0 : float32[4, 3, 3, 3] initializer="normal(0, 0.2721655269759087)"
        conv2d_0.tmp_0 : float32[batch, 4, 8, 6] = conv2d(x: x, w: conv2d_0.w_0) {stride: [1, 1], padding: [1, 1, 1, 1], dilation: [1, 1], groups: 1}
        parameter conv2d_0.b_0 : float32[4] initializer="constant(0)"
        conv2d_0.broadcast_0 : float32[4, 1, 1] = reshape(x: conv2d_0.b_0) {shape: [4, 1, 1]}
        conv2d_0.broadcast_1 : float32[batch, 4, 8, 6] = broadcastTo(x: conv2d_0.broadcast_0) {shape: [batch, 4, 8, 6]}
        conv2d_0.tmp_1 : float32[batch, 4, 8, 6] = add(x: conv2d_0.tmp_0, y: conv2d_0.broadcast_1)
        conv2d_0.tmp_2 : float32[batch, 4, 8, 6] = relu(x: conv2d_0.tmp_1)
        names {conv2d: 1, conv2d_0.w: 1, conv2d_0.tmp: 3, conv2d_0.b: 1, conv2d_0.broadcast: 2}
      "
    `)
  })

  test("has filters of its own height and width, split among groups", () => {
    expect(parameters((x) => conv2d(x, { numFilters: 4, filterSize: [3, 2], biasAttr: false, groups: 2 }), 6)).toEqual([
      "conv2d_0.w_0 float32[4, 3, 3, 2]",
    ])
  })

  test("starts from the standard deviation √(2/(kh·kw·c))", () => {
    const { main } = build(() => conv2d(image(4), { numFilters: 1, filterSize: [2, 4] }))
    expect(main.allParameters()[0]?.initializer).toBe("normal(0, 0.25)")
  })
})

describe("conv2dTranspose", () => {
  test("has filters [in, out/groups, kh, kw]", () => {
    expect(parameters((x) => conv2dTranspose(x, { numFilters: 4, filterSize: 2 }))).toEqual([
      "conv2d_transpose_0.w_0 float32[3, 4, 2, 2]",
      "conv2d_transpose_0.b_0 float32[4]",
    ])
    expect(parameters((x) => conv2dTranspose(x, { numFilters: 6, filterSize: 2, groups: 3, biasAttr: false }))).toEqual(
      ["conv2d_transpose_0.w_0 float32[3, 2, 2, 2]"],
    )
  })

  test("finds the filter that makes the wanted size", () => {
    const { main, made } = build(() =>
      conv2dTranspose(image(), { numFilters: 1, outputSize: [18, 13], stride: 2, padding: 1 }),
    )
    expect(main.allParameters()[0]?.shape).toEqual([3, 1, 6, 5])
    expect(made.type).toBe("float32[batch, 1, 18, 13]")
  })
})

describe("batchNorm", () => {
  test("has scale, shift and running statistics, in Fluid's order", () => {
    const { main } = build(() => batchNorm(image(), { act: "relu" }))
    expect(printProgram(main)).toMatchInlineSnapshot(`
      "program
        data x : float32[batch, 3, 8, 6]
        parameter batch_norm_0.w_0 : float32[3] initializer="constant(1)"
        parameter batch_norm_0.b_0 : float32[3] initializer="constant(0)"
        parameter batch_norm_0.w_1 : float32[3] trainable=false initializer="constant(0)" stopGradient=true
        parameter batch_norm_0.w_2 : float32[3] trainable=false initializer="constant(1)" stopGradient=true
        (y: batch_norm_0.tmp_0 : float32[batch, 3, 8, 6], meanOut: batch_norm_0.w_1@NEXT : float32[3], varianceOut: batch_norm_0.w_2@NEXT : float32[3], savedMean: batch_norm_0.tmp_1 : float32[3], savedInvStd: batch_norm_0.tmp_2 : float32[3]) = batchNorm(x: x, scale: batch_norm_0.w_0, bias: batch_norm_0.b_0, mean: batch_norm_0.w_1, variance: batch_norm_0.w_2) {momentum: 0.9, epsilon: 0.00001, isTest: false, useGlobalStats: false, dataLayout: "NCHW"} writes={meanOut: batch_norm_0.w_1, varianceOut: batch_norm_0.w_2}
        batch_norm_0.tmp_3 : float32[batch, 3, 8, 6] = relu(x: batch_norm_0.tmp_0)
        names {batch_norm: 1, batch_norm_0.w: 3, batch_norm_0.b: 1, batch_norm_0.tmp: 4}
      "
    `)
  })

  test("keeps scale and shift at 1 and 0 where none is wanted", () => {
    const { main } = build(() => batchNorm(image(), { paramAttr: false, biasAttr: false, movingMeanName: "mean" }))
    expect(main.allParameters().map(({ name, trainable }) => `${name} ${trainable}`)).toEqual([
      "batch_norm_0.w_0 false",
      "batch_norm_0.b_0 false",
      "mean false",
      "batch_norm_0.w_1 false",
    ])
  })

  test("finds the channels in the last axis if told so", () => {
    expect(parameters((x) => batchNorm(x, { dataLayout: "NHWC" }))[0]).toBe("batch_norm_0.w_0 float32[6]")
  })

  test("a clone for test reads the statistics and writes none", () => {
    const { main } = build(() => batchNorm(image()))
    const [op] = main.clone({ forTest: true }).globalBlock().ops
    expect([op?.attrs["isTest"], op?.writes]).toEqual([true, []])
  })
})

describe("layerNorm", () => {
  test("has a flat scale and shift for what is normalized", () => {
    expect(parameters((x) => layerNorm(x, { beginNormAxis: 2 }))).toEqual([
      "layer_norm_0.w_0 float32[48]",
      "layer_norm_0.b_0 float32[48]",
    ])
    expect(parameters((x) => layerNorm(x, { scale: false }))).toEqual(["layer_norm_0.b_0 float32[144]"])
    expect(parameters((x) => layerNorm(x, { scale: false, shift: false, beginNormAxis: -1 }))).toEqual([])
  })
})

describe("layers without parameters", () => {
  test("name what they make", () => {
    const { made } = build(() => {
      const x = image()
      const max = pool2d(x, { poolSize: 2, poolStride: 2 })
      const mean = pool2d(x, { poolType: "avg", globalPooling: true, name: "summary" })
      return [max, mean, adaptivePool2d(x, { poolSize: [4, 3] }), dropout(x, { dropoutProb: 0.1 })]
    })
    expect(made.map(String)).toEqual([
      "pool2d_0.tmp_0 float32[batch, 3, 4, 3]",
      "summary.tmp_0 float32[batch, 3, 1, 1]",
      "adaptive_pool2d_0.tmp_0 float32[batch, 3, 4, 3]",
      "dropout_0.tmp_0 float32[batch, 3, 8, 6]",
    ])
  })
})

test("layers on images refuse what does not fit, by name", () => {
  const refusals: [what: string, body: (x: Variable) => unknown][] = [
    ["a filter of no size", (x) => conv2d(x, { numFilters: 4, filterSize: 0 })],
    ["three sizes", (x) => conv2d(x, { numFilters: 4, filterSize: [1, 2, 3] })],
    ["no filter", (x) => conv2d(x, untyped({ numFilters: 4 }))],
    ["groups that do not divide the channels", (x) => conv2d(x, { numFilters: 4, filterSize: 1, groups: 2 })],
    ["a filter larger than the image", (x) => conv2d(x, { numFilters: 4, filterSize: 9 })],
    ["neither filter nor size", (x) => conv2dTranspose(x, { numFilters: 4 })],
    ["groups that do not divide the filters", (x) => conv2dTranspose(x, { numFilters: 4, filterSize: 1, groups: 3 })],
    ["a layout that there is not", (x) => batchNorm(x, { dataLayout: untyped("CHWN") })],
    ["an axis beyond the tensor", (x) => layerNorm(x, { beginNormAxis: 4 })],
    ["a misspelt pooling", (x) => pool2d(x, { poolSize: 2, poolType: untyped("mean") })],
    ["a probability beyond 1", (x) => dropout(x, { dropoutProb: 1.5 })],
  ]
  const { main, made } = build(() => {
    const x = image()
    return refusals.map(([what, body]) => `${what}\n${refusalOf(() => body(x))}`).join("\n\n")
  })
  expect(made).toMatchInlineSnapshot(`
    "a filter of no size
    CF_BAD_ATTRIBUTE  conv2d: filterSize must be a positive integer or two of them, got 0
      this conv2d was built at HERE

    three sizes
    CF_BAD_ATTRIBUTE  conv2d: filterSize must be a positive integer or two of them, got [1,2,3]
      this conv2d was built at HERE

    no filter
    CF_BAD_ATTRIBUTE  conv2d: filterSize is missing
      this conv2d was built at HERE

    groups that do not divide the channels
    CF_SHAPE_MISMATCH  conv2d: the 3 channels of x cannot be split into 2 groups
      this conv2d was built at HERE

    a filter larger than the image
    CF_SHAPE_MISMATCH  conv2d: a filter of height 9 finds no place in x of height 8, its padding included
        x = x              float32[batch, 3, 8, 6]   built at HERE
        w = conv2d_0.w_0   float32[4, 3, 9, 9]       built at HERE
      this conv2d was built at HERE
      fix: take a smaller filter, or pad x more

    neither filter nor size
    CF_BAD_ATTRIBUTE  conv2dTranspose: filterSize is missing
      this conv2dTranspose was built at HERE
      fix: give filterSize; outputSize can stand for it where the sizes of x and outputSize are numbers

    groups that do not divide the filters
    CF_BAD_ATTRIBUTE  conv2dTranspose: 4 filters cannot be split into 3 groups
      this conv2dTranspose was built at HERE

    a layout that there is not
    CF_BAD_ATTRIBUTE  batchNorm: dataLayout must be "NCHW" or "NHWC", got the string CHWN
      this batchNorm was built at HERE

    an axis beyond the tensor
    CF_BAD_ATTRIBUTE  layerNorm: axis 4 is outside a tensor of rank 4
      this layerNorm was built at HERE
      fix: use an axis from -4 to 3

    a misspelt pooling
    CF_BAD_ATTRIBUTE  pool2d: poolType must be "max" or "avg", got the string mean
      this pool2d was built at HERE

    a probability beyond 1
    CF_BAD_ATTRIBUTE  dropout: dropoutProb must lie between 0 and 1, got 1.5
        x = x                float32[batch, 3, 8, 6]   built at HERE
        step = random_step   int32[]                   built at HERE
      this dropout was built at HERE"
  `)
  expect(main.allParameters()).toEqual([])
})
