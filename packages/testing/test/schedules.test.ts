// Schedules against their closed forms, step by step.

import { Executor } from "@counterflow/executor"
import { Program, programGuard, type Variable } from "@counterflow/ir"
import { cpu } from "@counterflow/kernels-cpu"
import { createParameter, FromArray } from "@counterflow/layers"
import { legalize, reduceSum } from "@counterflow/ops"
import {
  cosineDecay,
  exponentialDecay,
  inverseTimeDecay,
  linearLrWarmup,
  naturalExpDecay,
  noamDecay,
  piecewiseDecay,
  polynomialDecay,
  SGD,
} from "@counterflow/optim"
import { describe, expect, test } from "vitest"

/** The rate of each of the first steps. */
function ratesOf(schedule: () => Variable, steps: number): number[] {
  const [main, startup] = [new Program(), new Program()]
  const rate = programGuard(main, startup, schedule)
  const executor = new Executor(cpu(), { legalize })
  executor.runSync(startup)
  const rates = Array.from({ length: steps }, () => executor.runSync(main, { fetch: [rate] })[0]?.item() ?? NaN)
  executor.close()
  return rates.map(Number)
}

describe("a schedule follows its formula", () => {
  const decay = { learningRate: 0.5, decaySteps: 4, decayRate: 0.8 }
  const poly = { learningRate: 0.5, decaySteps: 4, endLearningRate: 0.1, power: 2 }
  const falling = (done: number) => 0.4 * (1 - done) ** 2 + 0.1
  const noam = (step: number) => 2 * 64 ** -0.5 * Math.min((step + 1) ** -0.5, (step + 1) * 6 ** -1.5)

  test.each<[string, () => Variable, (step: number) => number]>([
    ["exponentialDecay", () => exponentialDecay(decay), (step) => 0.5 * 0.8 ** (step / 4)],
    [
      "exponentialDecay (staircase)",
      () => exponentialDecay({ ...decay, staircase: true }),
      (step) => 0.5 * 0.8 ** Math.floor(step / 4),
    ],
    ["naturalExpDecay", () => naturalExpDecay(decay), (step) => 0.5 * Math.exp((-0.8 * step) / 4)],
    [
      "naturalExpDecay (staircase)",
      () => naturalExpDecay({ ...decay, staircase: true }),
      (step) => 0.5 * Math.exp(-0.8 * Math.floor(step / 4)),
    ],
    ["inverseTimeDecay", () => inverseTimeDecay(decay), (step) => 0.5 / (1 + (0.8 * step) / 4)],
    [
      "inverseTimeDecay (staircase)",
      () => inverseTimeDecay({ ...decay, staircase: true }),
      (step) => 0.5 / (1 + 0.8 * Math.floor(step / 4)),
    ],
    ["polynomialDecay", () => polynomialDecay(poly), (step) => falling(Math.min(step, 4) / 4)],
    [
      "polynomialDecay (cycle)",
      () => polynomialDecay({ ...poly, cycle: true }),
      (step) => falling(step / (4 * (step === 0 ? 1 : Math.ceil(step / 4)))),
    ],
    [
      "polynomialDecay (defaults)",
      () => polynomialDecay({ learningRate: 0.5, decaySteps: 4 }),
      (step) => (0.5 - 1e-4) * (1 - Math.min(step, 4) / 4) + 1e-4,
    ],
    [
      "piecewiseDecay",
      () => piecewiseDecay({ boundaries: [2, 5], values: [1, 0.5, 0.25] }),
      (step) => (step < 2 ? 1 : step < 5 ? 0.5 : 0.25),
    ],
    ["piecewiseDecay (one value)", () => piecewiseDecay({ boundaries: [], values: [0.5] }), () => 0.5],
    [
      "cosineDecay",
      () => cosineDecay({ learningRate: 0.5, stepEachEpoch: 2, epochs: 5 }),
      (step) => 0.5 * 0.5 * (Math.cos((Math.floor(step / 2) * Math.PI) / 5) + 1),
    ],
    ["noamDecay", () => noamDecay({ dModel: 64, warmupSteps: 6, learningRate: 2 }), noam],
    [
      "linearLrWarmup to a number",
      () => linearLrWarmup({ learningRate: 0.5, warmupSteps: 4, startLr: 0.1, endLr: 0.9 }),
      (step) => (step < 4 ? 0.1 + (0.8 * step) / 4 : 0.5),
    ],
    [
      "linearLrWarmup to a schedule",
      () =>
        linearLrWarmup(noamDecay({ dModel: 64, warmupSteps: 6, learningRate: 2 }), {
          warmupSteps: 4,
          startLr: 1,
          endLr: 0,
        }),
      (step) => (step < 4 ? 1 - step / 4 : noam(step)),
    ],
  ])("%s", (_name, schedule, formula) => {
    const rates = ratesOf(schedule, 11)
    for (const [step, rate] of rates.entries()) expect(rate, `step ${step}`).toBeCloseTo(formula(step), 6)
  })

  test("staircases step exactly at multiples that float division must not miss", () => {
    const rates = ratesOf(
      () => exponentialDecay({ learningRate: 1, decaySteps: 3, decayRate: 0.5, staircase: true }),
      31,
    )
    expect(rates).toEqual(rates.map((_, step) => 0.5 ** Math.floor(step / 3)))
  })
})

test("an optimizer uses the rate of the step, and the counter survives in the scope", () => {
  const [main, startup] = [new Program(), new Program()]
  programGuard(main, startup, () => {
    const w = createParameter({ shape: [1], attr: { name: "w", initializer: new FromArray([8]) } })
    const learningRate = piecewiseDecay({ boundaries: [1, 2], values: [1, 0.5, 0.25] })
    new SGD({ learningRate }).minimize(reduceSum(w))
  })
  const executor = new Executor(cpu(), { legalize })
  executor.runSync(startup)
  const values = [1, 2, 3, 4].map(() => {
    executor.runSync(main)
    return executor.scope.get("w").item()
  })
  expect(values).toEqual([7, 6.5, 6.25, 6])
  expect(executor.scope.get("lr_counter").item()).toBe(4)
  executor.scope.set("lr_counter", [0])
  executor.runSync(main)
  expect(executor.scope.get("w").item()).toBe(5)
  executor.close()
})
