// Normalizations in programs: values against their definitions in float64, running statistics as state, large means.

import { Executor } from "@counterflow/executor"
import { Program, programGuard, symbol, type Variable } from "@counterflow/ir"
import { cpu } from "@counterflow/kernels-cpu"
import { batchNorm, type BatchNormOptions, l2Normalize, layerNorm, legalize, transpose } from "@counterflow/ops"
import { describe, expect, test } from "vitest"

const newExecutor = () => new Executor(cpu(), { legalize })
const batch = symbol("batch")

/** Reproducible numbers around `center`. */
function numbers(count: number, center = 0): number[] {
  let state = 17
  return Array.from({ length: count }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) | 0
    return center + state / 2 ** 31
  })
}

function moments(values: readonly number[]): { mean: number; variance: number } {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length
  return { mean, variance: values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length }
}

/** The largest difference; NaN counts as infinite. */
function distance(got: ArrayLike<number>, wanted: readonly number[]): number {
  if (got.length !== wanted.length) return Infinity
  const differences = wanted.map((value, i) => Math.abs(value - (got[i] ?? NaN)))
  return differences.some(Number.isNaN) ? Infinity : Math.max(...differences)
}

describe("batchNorm", () => {
  const [rows, channels, width] = [4, 3, 5]

  function network(options: BatchNormOptions) {
    const program = new Program()
    const y = programGuard(program, () => {
      const block = program.globalBlock()
      const isLast = options.dataLayout === "NHWC"
      const given = block.createVar({ name: "x", shape: [batch, channels, width], dtype: "float32", isData: true })
      const state = (name: string) => block.createVar({ name, shape: [channels], dtype: "float32", persistable: true })
      const x = isLast ? transpose(given, { perm: [0, 2, 1] }) : given
      const made = batchNorm(x, state("scale"), state("bias"), state("mean"), state("variance"), options)
      return isLast ? transpose(made.y, { perm: [0, 2, 1] }) : made.y
    })
    const exe = newExecutor()
    const values = { scale: [1, 2, -1], bias: [0, 1, 5], mean: [0.5, -1, 2], variance: [1, 4, 0.25] }
    for (const [name, value] of Object.entries(values)) {
      exe.scope.set(name, { data: Float32Array.from(value), shape: [channels], dtype: "float32" })
    }
    const run = (main: Program, x: readonly number[]) =>
      [...(exe.runSync(main, { feed: { x: [...x] }, fetch: [y.name] })[0]?.data ?? [])].map(Number)
    const stateOf = (name: string) => [...exe.scope.get(name).data].map(Number)
    return { program, run, stateOf, values }
  }

  const ofChannel = (x: readonly number[], c: number) => x.filter((_, i) => Math.floor(i / width) % channels === c)

  function expected(
    x: readonly number[],
    { scale, bias }: { scale: number[]; bias: number[] },
    statistics: { mean: number; variance: number }[],
  ) {
    return x.map((value, i) => {
      const c = Math.floor(i / width) % channels
      const { mean, variance } = statistics[c] ?? { mean: NaN, variance: NaN }
      return ((value - mean) / Math.sqrt(variance + 1e-5)) * (scale[c] ?? NaN) + (bias[c] ?? NaN)
    })
  }

  const eachChannel = <T>(body: (c: number) => T) => Array.from({ length: channels }, (_, c) => body(c))

  test.each(["NCHW", "NHWC"] as const)(
    "%s: normalizes with the batch and moves the running statistics",
    (dataLayout) => {
      const { program, run, stateOf, values } = network({ dataLayout, momentum: 0.75 })
      const x = numbers(rows * channels * width, 3)
      const statistics = eachChannel((c) => moments(ofChannel(x, c)))
      expect(distance(run(program, x), expected(x, values, statistics))).toBeLessThan(1e-5)
      expect(
        distance(
          stateOf("mean"),
          eachChannel((c) => 0.75 * (values.mean[c] ?? NaN) + 0.25 * (statistics[c]?.mean ?? NaN)),
        ),
      ).toBeLessThan(1e-6)
      expect(
        distance(
          stateOf("variance"),
          eachChannel((c) => 0.75 * (values.variance[c] ?? NaN) + 0.25 * (statistics[c]?.variance ?? NaN)),
        ),
      ).toBeLessThan(1e-6)
    },
  )

  test.each([
    ["a test clone", {}],
    ["useGlobalStats", { useGlobalStats: true }],
    ["isTest", { isTest: true }],
  ] as const)("%s normalizes with the running statistics and leaves them", (name, options) => {
    const { program, run, stateOf, values } = network(options)
    const x = numbers(2 * channels * width)
    const main = name === "a test clone" ? program.clone({ forTest: true }) : program
    const statistics = eachChannel((c) => ({ mean: values.mean[c] ?? NaN, variance: values.variance[c] ?? NaN }))
    expect(distance(run(main, x), expected(x, values, statistics))).toBeLessThan(1e-5)
    expect(stateOf("mean")).toEqual(values.mean)
    expect(stateOf("variance")).toEqual(values.variance)
  })

  test("keeps its digits where the mean is far larger than the deviation", () => {
    const { program, run, stateOf } = network({ momentum: 0 })
    const x = numbers(rows * channels * width, 4096).map(Math.fround)
    run(program, x)
    expect(
      distance(
        stateOf("variance"),
        eachChannel((c) => moments(ofChannel(x, c)).variance),
      ),
    ).toBeLessThan(1e-5)
  })
})

function onData(x: readonly number[], shape: readonly [number, number], body: (x: Variable) => Variable): number[] {
  const program = new Program()
  const y = programGuard(program, () =>
    body(program.globalBlock().createVar({ name: "x", shape: [batch, shape[1]], dtype: "float32", isData: true })),
  )
  return [
    ...(newExecutor().runSync(program, { feed: { x: { data: Float32Array.from(x), shape } }, fetch: [y] })[0]?.data ??
      []),
  ].map(Number)
}

describe("layerNorm", () => {
  test("normalizes each row, for any batch size", () => {
    const x = numbers(12, -2)
    const wanted = x.map((value, i) => {
      const { mean, variance } = moments(x.slice(4 * Math.floor(i / 4), 4 * Math.floor(i / 4) + 4))
      return (value - mean) / Math.sqrt(variance + 1e-5)
    })
    expect(
      distance(
        onData(x, [3, 4], (v) => layerNorm(v)),
        wanted,
      ),
    ).toBeLessThan(1e-5)
    expect(
      distance(
        onData(x.slice(0, 4), [1, 4], (v) => layerNorm(v, null, null, { beginNormAxis: -1 })),
        wanted.slice(0, 4),
      ),
    ).toBeLessThan(1e-5)
  })
})

describe("l2Normalize", () => {
  test("neither overflows nor divides by zero", () => {
    const rows = [3e30, 4e30, 0, 0, 3e-30, 4e-30, 3, -4]
    expect(
      distance(
        onData(rows, [4, 2], (x) => l2Normalize(x)),
        [0.6, 0.8, 0, 0, 0, 0, 0.6, -0.8],
      ),
    ).toBeLessThan(1e-6)
  })
})
