// Elementwise ops where they are delicate: gradients at kinks follow the documented policy, and values and gradients far out are
// neither NaN nor infinite. Smooth points are checked by the gradient check over all samples.

import { gradients } from "@counterflow/autodiff"
import { Executor } from "@counterflow/executor"
import { Program, type Variable } from "@counterflow/ir"
import { cpu } from "@counterflow/kernels-cpu"
import {
  abs,
  cast,
  ceil,
  clip,
  elu,
  erf,
  floor,
  gelu,
  greater,
  hardSigmoid,
  hardSwish,
  leakyRelu,
  legalize,
  log,
  logSigmoid,
  logSoftmax,
  max,
  min,
  mish,
  pow,
  relu,
  relu6,
  round,
  selu,
  sigmoid,
  sign,
  softmax,
  softplus,
  softsign,
  swish,
  tanh,
  where,
} from "@counterflow/ops"
import { describe, expect, test } from "vitest"

/** z = build(inputs), and dz/dx, d²z/dx² along ones, for float64 inputs. */
async function derivatives(build: (...inputs: Variable[]) => Variable, ...points: number[][]) {
  const program = new Program()
  const block = program.globalBlock()
  const inputs = points.map((point, i) =>
    block.createVar({ name: `x${i}`, shape: [point.length], dtype: "float64", isData: true, stopGradient: false }),
  )
  const feed = Object.fromEntries(points.map((point, i) => [`x${i}`, point]))
  const z = build(...inputs)
  const first = gradients([z], inputs)
  const second = first.map((dx) => (dx === null ? [] : gradients([dx], inputs)))
  const executor = new Executor(cpu(), { legalize: legalize })
  const valuesOf = async (variable: Variable | null | undefined) => {
    if (variable === null || variable === undefined) return null
    const results = await executor.run(program, { feed, fetch: [variable] })
    // Adding 0 makes −0 a 0: which of both a zero gradient is does not matter.
    return results.flatMap((result) => [...result.data].map((value) => Number(value) + 0))
  }
  return {
    z: await valuesOf(z),
    dx: await valuesOf(first[0]),
    dy: await valuesOf(first[1]),
    dxx: await valuesOf(second[0]?.[0]),
    dxy: await valuesOf(second[0]?.[1]),
  }
}

describe("gradients at kinks", () => {
  const kinks: [string, (x: Variable) => Variable, number[], number[]][] = [
    ["relu", relu, [-1, 0, 2], [0, 0, 1]],
    ["relu6", relu6, [-1, 0, 2, 6, 7], [0, 0, 1, 0, 0]],
    ["leakyRelu", leakyRelu, [-1, 0, 2], [0.02, 0.02, 1]],
    ["elu", (x) => elu(x, { alpha: 0.5 }), [0, 2], [0.5, 1]],
    ["abs", abs, [-1, 0, 2], [-1, 0, 1]],
    ["softsign", softsign, [0], [1]],
    ["clip", (x) => clip(x, { min: -1, max: 1 }), [-2, -1, 0, 1, 2], [0, 0, 1, 0, 0]],
    ["clip below", (x) => clip(x, { min: -1 }), [-2, -1, 9], [0, 0, 1]],
    ["hardSigmoid", hardSigmoid, [-2.5, 0, 2.5], [0, 0.2, 0]],
    ["hardSwish", hardSwish, [-3, 0, 3], [0, 0.5, 1]],
  ]
  test.each(kinks)("%s", async (_name, build, x, dx) => {
    expect((await derivatives(build, x)).dx).toEqual(dx)
  })

  test.each([
    ["max", max, [0, 1, 1], [1, 0, 0]],
    ["min", min, [1, 1, 0], [0, 0, 1]],
  ] as const)("%s of equal operands: the first gets the gradient", async (_name, op, dx, dy) => {
    expect(await derivatives((x, y) => op(x ?? 0, y ?? 0), [1, 2, 3], [2, 2, 1])).toMatchObject({ dx, dy })
  })

  test.each(Object.entries({ sign, floor, ceil, round }))(
    "%s is a step function without gradient",
    async (_name, op) => {
      expect(await derivatives(op, [0, 0.5, 1.5])).toMatchObject({ dx: null })
    },
  )

  test("a cast through integers has no gradient, between floats it has", async () => {
    const through = (dtype: "int32" | "float32") => (x: Variable) => cast(cast(x, { dtype }), { dtype: "float64" })
    expect(await derivatives(through("int32"), [1.5, -2.5])).toMatchObject({ z: [1, -2], dx: null })
    expect(await derivatives(through("float32"), [1.5, -2.5])).toMatchObject({ z: [1.5, -2.5], dx: [1, 1] })
  })

  test("what where does not choose cannot spoil the gradient", async () => {
    const safeLog = (x: Variable) => where(greater(x, 0), log(x), 0)
    expect(await derivatives(safeLog, [-1, 2])).toMatchObject({ z: [0, Math.log(2)], dx: [0, 0.5] })
  })
})

describe("powers", () => {
  test.each([
    [0, [1, 1, 1], null, null],
    [1, [-2, 0, 1], [1, 1, 1], null],
    [2, [4, 0, 1], [-4, 0, 2], [2, 2, 2]],
    [3, [-8, 0, 1], [12, 0, 3], [-12, 0, 6]],
  ])("x^%i at −2, 0 and 1", async (n, z, dx, dxx) => {
    expect(await derivatives((x) => pow(x, n), [-2, 0, 1])).toMatchObject({ z, dx, dxx })
  })

  test("variable exponents, also at x = 0 and for negative x", async () => {
    const power = (x: Variable, y?: Variable) => pow(x, y ?? 0)
    const result = await derivatives(power, [0, 0, 0, 2, -2], [0, 1, 2, 0, 3])
    expect(result).toMatchObject({ z: [1, 0, 0, 1, -8], dx: [0, 1, 0, 0, 12], dy: [0, 0, 0, Math.log(2), NaN] })
    // d²/dxdy x^y = x^(y−1) (1 + y log x), which is 1/x where y = 0
    expect(result.dxy?.[3]).toBe(0.5)
  })
})

describe("far out", () => {
  const far = [-1e4, -1000, -745, -100, 0, 100, 745, 1000, 1e4]
  const smooth = {
    sigmoid,
    logSigmoid,
    softplus,
    softsign,
    swish,
    mish,
    gelu,
    "gelu by tanh": (x: Variable) => gelu(x, { approximate: true }),
    elu,
    selu,
    tanh,
    erf,
    softmax,
    logSoftmax,
  }
  test.each(Object.entries(smooth))("%s and two derivatives are finite", async (_name, op) => {
    const { z, dx, dxx } = await derivatives((x) => op(x), far)
    for (const values of [z, dx, dxx]) expect(values?.filter((value) => !Number.isFinite(value))).toEqual([])
  })

  test("tails are right, not just finite", async () => {
    expect((await derivatives(softplus, [-50, 50])).z).toEqual([Math.exp(-50), 50])
    expect((await derivatives(logSigmoid, [-50, 50])).z).toEqual([-50, -Math.exp(-50)])
    expect((await derivatives(sigmoid, [-50])).z?.[0]).toBeCloseTo(Math.exp(-50), 30)
    expect((await derivatives((x) => elu(x), [-1e-10])).z?.[0]).toBeCloseTo(Math.expm1(-1e-10), 24)
    expect((await derivatives(mish, [-50])).z?.[0]).toBeCloseTo(-50 * Math.exp(-50), 30)
    expect((await derivatives((x) => softmax(x), [1e4, 1e4, -1e4])).z).toEqual([0.5, 0.5, 0])
    expect((await derivatives((x) => logSoftmax(x), [0, -1e4])).z).toEqual([0, -1e4])
  })
})
