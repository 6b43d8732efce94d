// Schedules as programs: one counter, operators of the schedule part, a rate that optimizers take.

import { printProgram, programGuard } from "@counterflow/ir"
import { describe, expect, test } from "vitest"
import { Adam, exponentialDecay, linearLrWarmup, noamDecay, piecewiseDecay, SGD } from "../src/index.ts"
import { regression, under } from "./building.ts"

describe("a schedule", () => {
  test("is a variable computed from a counter that advances once a step", () => {
    const model = regression()
    under(model, () => exponentialDecay({ learningRate: 0.5, decaySteps: 10, decayRate: 0.9, staircase: true }))
    expect(printProgram(model.main, { brief: true, roles: ["schedule"] })).toMatchInlineSnapshot(`
      "lr_counter.schedule_0 = scale(lr_counter) {scale: 1, bias: 1}
      lr_counter@NEXT = write(lr_counter.schedule_0) writes lr_counter
      exponential_decay_0.schedule_0 = cast(lr_counter) {dtype: "float32"}
      exponential_decay_0.schedule_1 = fillConstant() {shape: [], value: 10, dtype: "float32"}
      exponential_decay_0.schedule_2 = div(exponential_decay_0.schedule_0, exponential_decay_0.schedule_1)
      exponential_decay_0.schedule_3 = floor(exponential_decay_0.schedule_2)
      exponential_decay_0.schedule_4 = fillConstant() {shape: [], value: 0.9, dtype: "float32"}
      exponential_decay_0.schedule_5 = pow(exponential_decay_0.schedule_4, exponential_decay_0.schedule_3)
      exponential_decay_0.schedule_6 = scale(exponential_decay_0.schedule_5) {scale: 0.5, bias: 0}"
    `)
  })

  test("shares the counter with all others of its program", () => {
    const model = regression()
    under(model, () => {
      const rate = noamDecay({ dModel: 64, warmupSteps: 100 })
      linearLrWarmup(rate, { warmupSteps: 10, startLr: 0, endLr: 0.1 })
      piecewiseDecay({ boundaries: [100, 200], values: [1, 0.5, 0.25] })
    })
    const writes = model.main.globalBlock().ops.flatMap((op) => op.writes.map(({ state }) => state.name))
    expect(writes).toEqual(["lr_counter"])
    expect(model.startup.globalBlock().vars.has("lr_counter")).toBe(true)
  })

  test("feeds an optimizer, as a variable or as a function that makes it", () => {
    const build = (asFunction: boolean) => {
      const model = regression()
      const schedule = () => noamDecay({ dModel: 64, warmupSteps: 100 })
      under(model, () => {
        new SGD({ learningRate: asFunction ? schedule : schedule() }).minimize(model.loss)
      })
      return model.main.globalBlock().var("w@NEXT").producer?.inputs["learningRate"]?.[0]
    }
    for (const rate of [build(true), build(false)]) {
      expect(rate?.name).toMatch(/^noam_decay_0\.schedule_\d$/)
      expect(rate?.producer?.role).toBe("schedule")
    }
  })

  test("takes the parameters' dtype where it is another", () => {
    const model = regression({ dtype: "float64", learningRate: 2 })
    under(model, () => new SGD({ learningRate: noamDecay({ dModel: 64, warmupSteps: 100 }) }).minimize(model.loss))
    const text = printProgram(model.main, { brief: true, roles: ["optimize"] })
    expect(text).toMatchInlineSnapshot(`
      "noam_decay_0.schedule_5.update_0 = cast(noam_decay_0.schedule_5) {dtype: "float64"}
      noam_decay_0.schedule_5.update_1 = scale(noam_decay_0.schedule_5.update_0) {scale: 2, bias: 0}
      w@NEXT = sgd(w, w@GRAD, noam_decay_0.schedule_5.update_1) writes w
      b@NEXT = sgd(b, b@GRAD, noam_decay_0.schedule_5.update_0) writes b"
    `)
  })

  test("is dropped from a clone for test, counter and all", () => {
    const [plain, trained] = [regression(), regression()]
    under(trained, () => {
      const learningRate = () => exponentialDecay({ learningRate: 1, decaySteps: 1, decayRate: 1 })
      new Adam({ learningRate }).minimize(trained.loss)
    })
    expect(trained.main.variables.has("lr_counter")).toBe(true)
    expect(trained.main.clone({ forTest: true }).toString()).toBe(plain.main.clone({ forTest: true }).toString())
  })

  test("refuses a counter that is something else", () => {
    const model = regression()
    model.main.globalBlock().createVar({ name: "lr_counter", shape: [3], dtype: "float32" })
    programGuard(model.main, model.startup, () => {
      expect(() => noamDecay({ dModel: 64, warmupSteps: 100 })).toThrow(
        /^CF_DUPLICATE_NAME {2}noamDecay: "lr_counter" is the name of the state that counts steps for schedules/,
      )
    })
  })
})
