// Layers run: values against plain loops, initial values against their distributions, sharing and modes.

import { Executor, type Feeds } from "@counterflow/executor"
import { type DType, Program, programGuard, type Variable, verify } from "@counterflow/ir"
import { cpu } from "@counterflow/kernels-cpu"
import {
  batchNorm,
  Constant,
  conv2d,
  conv2dTranspose,
  createParameter,
  data,
  dropout,
  embedding,
  fc,
  FromArray,
  type Initializer,
  layerNorm,
  MSRA,
  Normal,
  TruncatedNormal,
  Uniform,
  Xavier,
} from "@counterflow/layers"
import { legalize, mean, reduceSum } from "@counterflow/ops"
import { SGD } from "@counterflow/optim"
import { describe, expect, test } from "vitest"

function build<T>(body: () => T): { main: Program; startup: Program; made: T; executor: Executor } {
  const [main, startup] = [new Program(), new Program()]
  const made = programGuard(main, startup, body)
  verify(main)
  verify(startup)
  const executor = new Executor(cpu(), { legalize })
  executor.runSync(startup)
  return { main, startup, made, executor }
}

const numbers = (values: Iterable<number | bigint>) => [...values].map(Number)

/** What a net of one layer makes of a feed. */
function outputOf(body: () => Variable, feed: Feeds): number[] {
  const { main, made, executor } = build(body)
  const [output] = executor.runSync(main, { feed, fetch: [made] })
  executor.close()
  return numbers(output?.data ?? [])
}

/** The first value of a parameter. */
function initialValue(initializer: Initializer, shape: readonly number[], dtype: DType = "float32"): number[] {
  const { executor } = build(() => createParameter({ shape, dtype, attr: { name: "w", initializer } }))
  const { data: values } = executor.scope.get("w")
  executor.close()
  return numbers(values)
}

describe("layers compute", () => {
  test("fc: x w + b, then the activation", () => {
    const w = [
      [1, -2],
      [0.5, 3],
      [-1, 0.25],
    ]
    const layer = () => {
      const x = data({ name: "x", shape: [3] })
      return fc(x, { size: 2, paramAttr: new FromArray(w), biasAttr: new FromArray([0.5, -20]), act: "relu" })
    }
    expect(outputOf(layer, { x: [1, 2, 3, -4, 5, 6] })).toEqual([0, 0, 0, 4.5])
    expect(outputOf(layer, { x: [2, 4, -8] })).toEqual([12.5, 0])
  })

  test("fc of two inputs: x u + y v + b", () => {
    const layer = () => {
      const xs = [data({ name: "x", shape: [2] }), data({ name: "y", shape: [1] })]
      const paramAttr = [new FromArray([[1], [2]]), new FromArray([[10]])]
      return fc(xs, { size: 1, paramAttr, biasAttr: new Constant(0.5) })
    }
    expect(outputOf(layer, { x: [1, 1, 2, 3], y: [1, 2] })).toEqual([13.5, 28.5])
  })

  test("conv2d: a filter over every place, plus its bias", () => {
    const layer = () => {
      const x = data({ name: "x", shape: [1, 2, 3] })
      const paramAttr = new FromArray([1, 1, 1, -1])
      return conv2d(x, { numFilters: 2, filterSize: [1, 2], paramAttr, biasAttr: new FromArray([0, 100]) })
    }
    expect(outputOf(layer, { x: [1, 2, 4, 8, 16, 32] })).toEqual([3, 6, 24, 48, 99, 98, 92, 84])
  })

  test("conv2dTranspose: every element spreads the filter", () => {
    const layer = () => {
      const x = data({ name: "x", shape: [1, 1, 2] })
      return conv2dTranspose(x, {
        numFilters: 1,
        filterSize: [1, 2],
        paramAttr: new FromArray([1, 10]),
        biasAttr: new Constant(0.5),
      })
    }
    expect(outputOf(layer, { x: [1, 2] })).toEqual([1.5, 12.5, 20.5])
  })

  test("layerNorm: each sample has mean 0 and variance 1 before scale and shift", () => {
    const layer = () => {
      const x = data({ name: "x", shape: [4] })
      return layerNorm(x, { paramAttr: new Constant(2), biasAttr: new Constant(1), epsilon: 1e-12 })
    }
    const expected = [-1, -1, 1, 1].map((value) => 2 * value + 1)
    const values = outputOf(layer, { x: [3, 3, 5, 5, -10, -10, 10, 10] })
    for (const [i, value] of [...expected, ...expected].entries()) expect(values[i]).toBeCloseTo(value, 5)
  })

  test("embedding: rows by id, zeros for the padding", () => {
    const layer = () => {
      const ids = data({ name: "ids", shape: [3], dtype: "int64" })
      return embedding(ids, { size: [3, 2], paddingIdx: 0, paramAttr: new FromArray([9, 9, 1, 2, 3, 4]) })
    }
    expect(outputOf(layer, { ids: [2, 0, 1] })).toEqual([3, 4, 0, 0, 1, 2])
  })
})

describe("initial values", () => {
  test("of constants and arrays are exact, in every dtype", () => {
    expect(initialValue(new Constant(0.1), [2], "float64")).toEqual([0.1, 0.1])
    expect(initialValue(new Constant(3), [1, 2], "int64")).toEqual([3, 3])
    expect(initialValue(new FromArray([0.1, -0]), [2])).toEqual([Math.fround(0.1), -0])
    expect(initialValue(new FromArray([2 ** 53 - 1]), [], "int64")).toEqual([2 ** 53 - 1])
    expect(initialValue(new FromArray([true, false]), [2], "bool")).toEqual([1, 0])
    expect(initialValue(new FromArray([]), [0, 3])).toEqual([])
  })

  const spread = (values: readonly number[]) => {
    const mean = values.reduce((sum, value) => sum + value, 0) / values.length
    const deviation = Math.sqrt(values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length)
    return { mean, deviation, largest: Math.max(...values.map(Math.abs)) }
  }
  // 50·200 weights: fan in 50, fan out 200. Means and deviations of 10⁴ draws are within 4 standard errors.
  const uniform = (bound: number) => ({ deviation: bound / Math.sqrt(3), bound })
  test.each<[string, Initializer, { deviation: number; bound: number }]>([
    ["Uniform", new Uniform(-2, 2, 5), uniform(2)],
    ["Normal", new Normal(0, 0.5, 5), { deviation: 0.5, bound: 5 * 0.5 }],
    ["TruncatedNormal", new TruncatedNormal(0, 1, 5), { deviation: 0.8796, bound: 2 }],
    ["Xavier", new Xavier({ seed: 5 }), uniform(Math.sqrt(6 / 250))],
    [
      "Xavier, normal",
      new Xavier({ uniform: false, seed: 5 }),
      { deviation: Math.sqrt(2 / 250), bound: 5 * Math.sqrt(2 / 250) },
    ],
    ["MSRA", new MSRA({ seed: 5 }), uniform(Math.sqrt(6 / 50))],
    ["MSRA, normal", new MSRA({ uniform: false, seed: 5 }), { deviation: 0.2, bound: 1 }],
  ])("of %s have its mean, deviation and bound", (_name, initializer, { deviation, bound }) => {
    const found = spread(initialValue(initializer, [50, 200]))
    expect(Math.abs(found.mean)).toBeLessThan((4 * deviation) / 100)
    expect(Math.abs(found.deviation / deviation - 1)).toBeLessThan(4 / Math.sqrt(2 * 10_000))
    expect(found.largest).toBeLessThanOrEqual(bound)
    expect(found.largest).toBeGreaterThan(bound / 2)
  })

  test("differ between parameters, and repeat with the same seed of the program", () => {
    const draw = (seed: number) => {
      const [main, startup] = [new Program(), new Program()]
      startup.randomSeed = seed
      programGuard(main, startup, () => fc(fc(data({ name: "x", shape: [3] }), { size: 3 }), { size: 3 }))
      const executor = new Executor(cpu(), { legalize })
      executor.runSync(startup)
      const [first, second] = ["fc_0.w_0", "fc_1.w_0"].map((name) => numbers(executor.scope.get(name).data))
      executor.close()
      return { first, second }
    }
    const one = draw(90)
    expect(one.first).not.toEqual(one.second)
    expect(draw(90)).toEqual(one)
    expect(draw(91).first).not.toEqual(one.first)
  })

  test("with a seed do not depend on the program's", () => {
    const draw = (seed: number) => initialValue(new Normal(0, 1, seed), [4])
    expect(draw(7)).toEqual(draw(7))
    expect(draw(7)).not.toEqual(draw(8))
  })
})

describe("training and testing", () => {
  test("batchNorm moves its running statistics while training and reads them in a test", () => {
    const { main, made, executor } = build(() =>
      batchNorm(data({ name: "x", shape: [1] }), { momentum: 0.5, epsilon: 0 }),
    )
    const [y] = executor.runSync(main, { feed: { x: [1, 3, 5, 7] }, fetch: [made] })
    // mean 4, biased variance 5
    for (const [i, x] of [1, 3, 5, 7].entries()) expect(y?.data[i]).toBeCloseTo((x - 4) / Math.sqrt(5), 5)
    expect(executor.scope.get("batch_norm_0.w_1").item()).toBeCloseTo(0.5 * 4, 6)
    expect(executor.scope.get("batch_norm_0.w_2").item()).toBeCloseTo(0.5 + 0.5 * 5, 6)
    const [tested] = executor.runSync(main.clone({ forTest: true }), { feed: { x: [5] }, fetch: [made.name] })
    expect(tested?.item()).toBeCloseTo((5 - 2) / Math.sqrt(3), 5)
    expect(executor.scope.get("batch_norm_0.w_1").item()).toBeCloseTo(2, 6)
    executor.close()
  })

  test("dropout drops while training and does nothing in a test", () => {
    const { main, made, executor } = build(() =>
      dropout(data({ name: "x", shape: [1000] }), { dropoutProb: 0.25, seed: 3 }),
    )
    const x = Array.from({ length: 1000 }, () => 3)
    const [y] = executor.runSync(main, { feed: { x }, fetch: [made] })
    expect(new Set(numbers(y?.data ?? []))).toEqual(new Set([0, 4]))
    const dropped = numbers(y?.data ?? []).filter((value) => value === 0).length
    expect(Math.abs(dropped - 250)).toBeLessThan(4 * Math.sqrt(1000 * 0.25 * 0.75))
    const [tested] = executor.runSync(main.clone({ forTest: true }), { feed: { x }, fetch: [made.name] })
    expect(numbers(tested?.data ?? [])).toEqual(x)
    executor.close()
  })

  test("a shared parameter gets the sum of its gradients", () => {
    const { main, executor } = build(() => {
      const x = data({ name: "x", shape: [1] })
      const options = { size: 1, paramAttr: { name: "w", initializer: new Constant(3) }, biasAttr: false }
      // (x w) w: the derivative by w is 2 x w
      new SGD({ learningRate: 0.5 }).minimize(reduceSum(fc(fc(x, options), options)))
    })
    executor.runSync(main, { feed: { x: [2] } })
    expect(executor.scope.get("w").item()).toBe(3 - 0.5 * 2 * 2 * 3)
    executor.close()
  })

  test("a padding id is not trained", () => {
    const { main, executor } = build(() => {
      const ids = data({ name: "ids", shape: [3], dtype: "int64" })
      const table = { name: "table", initializer: new Constant(1) }
      new SGD({ learningRate: 1 }).minimize(
        reduceSum(embedding(ids, { size: [4, 1], paddingIdx: 2, paramAttr: table })),
      )
    })
    executor.runSync(main, { feed: { ids: [1, 2, 1] } })
    expect(numbers(executor.scope.get("table").data)).toEqual([1, -1, 1, 1])
    executor.close()
  })

  test("two main programs with one startup program each run on what they were built with", () => {
    const startup = new Program()
    const net = (width: number, value: number) => {
      const main = new Program()
      const made = programGuard(main, startup, () =>
        mean(fc(data({ name: "x", shape: [2] }), { size: width, paramAttr: new Constant(value) })),
      )
      return () => {
        const executor = new Executor(cpu(), { legalize })
        executor.runSync(startup)
        const [output] = executor.runSync(main, { feed: { x: [1, 1] }, fetch: [made] })
        executor.close()
        return output?.item()
      }
    }
    const first = net(3, 0.5)
    expect(first()).toBe(1)
    const second = net(5, 2)
    expect(second()).toBe(4)
    expect(first).toThrow(/^CF_STATE_MISMATCH/)
  })
})
