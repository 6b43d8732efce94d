// One program for every batch size, in memory and in files; its test clone on the same scope.

import { appendBackward } from "@counterflow/autodiff"
import { Executor } from "@counterflow/executor"
import { parseProgram, Program, verify } from "@counterflow/ir"
import { cpu } from "@counterflow/kernels-cpu"
import { batchNorm, conv2d, data, dropout, fc, pool2d } from "@counterflow/layers"
import {
  accuracy,
  legalize,
  matmul,
  mean,
  registry,
  resolve,
  softmaxWithCrossEntropy,
  square,
  sub,
} from "@counterflow/ops"
import { Adam, exponentialDecay } from "@counterflow/optim"
import { describe, expect, test } from "vitest"
import { build, input, refusalOf } from "./building.ts"

/** A small network with everything that differs between training and test, on images of 6 × 6. */
function network() {
  return build((main, startup) => {
    main.randomSeed = 5
    startup.randomSeed = 6
    const image = data({ name: "image", shape: [1, 6, 6] })
    const label = data({ name: "label", shape: [1], dtype: "int64" })
    let h = conv2d(image, { numFilters: 3, filterSize: 3, act: "relu" })
    h = pool2d(batchNorm(h), { poolSize: 2, poolStride: 2, poolType: "max" })
    const logits = fc(dropout(h, { dropoutProb: 0.3 }), { size: 4 })
    const loss = mean(softmaxWithCrossEntropy(logits, label))
    const hits = accuracy(logits, label)
    const before = main.clone({ forTest: true }).toString()
    new Adam({ learningRate: exponentialDecay({ learningRate: 0.05, decaySteps: 10, decayRate: 0.9 }) }).minimize(loss)
    return { loss, logits, hits, before }
  })
}

const feedOf = (batch: number) => ({
  image: Float32Array.from({ length: 36 * batch }, (_, i) => Math.sin(7 * i)),
  label: Array.from({ length: batch }, (_, i) => i % 4),
})

describe("unknown sizes", () => {
  test("the batch follows from the feed; one program runs at any size", () => {
    const { main, startup, logits } = network()
    verify(main)
    expect(logits.type).toBe("float32[batch, 4]")
    const executor = new Executor(cpu(), { legalize })
    executor.runSync(startup)
    for (const batch of [1, 7, 2, 64, 3]) {
      const [value] = executor.runSync(main, { feed: feedOf(batch), fetch: [logits] })
      expect(value.shape).toEqual([batch, 4])
    }
  })

  test("a batch's rows are computed apart: test results do not depend on who else is in it", () => {
    const { main, startup, logits } = network()
    const test = main.clone({ forTest: true })
    const executor = new Executor(cpu(), { legalize })
    executor.runSync(startup)
    const { image } = feedOf(5)
    const [all] = executor.runSync(test, { feed: { image }, fetch: [logits] })
    for (let row = 0; row < 5; row++) {
      const [one] = executor.runSync(test, { feed: { image: image.slice(36 * row, 36 * row + 36) }, fetch: [logits] })
      expect(Array.from(one.data as Float32Array)).toEqual(
        Array.from(all.data as Float32Array).slice(4 * row, 4 * row + 4),
      )
    }
  })

  test("the mean's gradient divides by the size that is fed", () => {
    const { main } = build((program) => {
      const x = input(program, "x", [program.freshSymbol(), 2])
      appendBackward(mean(square(x)), { parameterList: [x] })
      return {}
    })
    const executor = new Executor(cpu(), { legalize })
    for (const rows of [1, 2, 8]) {
      const [gradient] = executor.runSync(main, { feed: { x: new Float32Array(2 * rows).fill(1) }, fetch: ["x@GRAD"] })
      expect(Array.from(gradient.data as Float32Array)).toEqual(Array.from({ length: 2 * rows }, () => 1 / rows))
    }
  })

  test("two feeds that say different sizes, and sizes that do not fit each other, are refused with both lines", () => {
    const { main, z } = build((program) => {
      const x = data({ name: "x", shape: [-1, 3], appendBatchSize: false })
      const y = data({ name: "y", shape: [-1, 2], appendBatchSize: false })
      const one = data({ name: "one", shape: [2] })
      const two = data({ name: "two", shape: [2] })
      void program
      return { z: matmul(matmul(x, y), sub(one, two), { transposeY: true }) }
    })
    const executor = new Executor(cpu(), { legalize })
    const shapes = { x: [5, 3], y: [3, 2], one: [4, 2], two: [4, 2] }
    expect(executor.compileSync(main, { feed: shapes, fetch: [z] }).plan.vars.at(-1)?.shape).toEqual([5, 4])
    expect(refusalOf(() => executor.compileSync(main, { feed: { ...shapes, two: [3, 2] }, fetch: [z] })))
      .toMatchInlineSnapshot(`
      "CounterflowError: CF_SYMBOL_CONFLICT  batch is 4 in the feed of one and 3 in the feed of two
          two is float32[batch, 2], fed [3, 2]
        fix: feed both with the same batch"
    `)
    expect(refusalOf(() => executor.compileSync(main, { feed: { ...shapes, y: [4, 2] }, fetch: [z] })))
      .toMatchInlineSnapshot(`
        "CounterflowError: CF_SYMBOL_CONFLICT  matmul: 3 and dim_1 = 4 must be equal
            x has 3 columns where y has dim_1 rows
            dim_0 = 5
            dim_1 = 4
            batch = 4
          this matmul was built at LINE
          fix: feed sizes for which both are equal"
      `)
  })
})

describe("training and test on one scope", () => {
  test("the test clone is the same before and after minimize, and sees what training does", () => {
    const { main, startup, loss, hits, before } = network()
    const test = main.clone({ forTest: true })
    expect(test.toString()).toBe(before)
    const executor = new Executor(cpu(), { legalize })
    executor.runSync(startup)
    const measure = () => executor.runSync(test, { feed: feedOf(8), fetch: [loss, hits] }).map((value) => value.item())
    const [first = NaN] = measure()
    const state = [...executor.scope.entries()].map(String)
    expect(measure()[0]).toBe(first)
    expect([...executor.scope.entries()].map(String)).toEqual(state)
    for (let i = 0; i < 60; i++) executor.runSync(main, { feed: feedOf(8) })
    const [last = NaN, share] = measure()
    expect(last).toBeLessThan(0.5 * first)
    expect(share).toBeGreaterThan(0.8)
  })

  test("a prediction needs no labels; the training program says where to find one", () => {
    const { main, startup, logits } = network()
    const executor = new Executor(cpu(), { legalize })
    executor.runSync(startup)
    const { image } = feedOf(2)
    expect(executor.runSync(main.clone({ forTest: true }), { feed: { image }, fetch: [logits] })[0].shape).toEqual([
      2, 4,
    ])
    expect(refusalOf(() => executor.runSync(main, { feed: { image }, fetch: [logits] }))).toMatchInlineSnapshot(`
      "CounterflowError: CF_FEED_MISSING  label is needed by this run and was not fed
        fix: feed label; to predict without labels and without training, run main.clone({ forTest: true })"
    `)
  })
})

describe("files", () => {
  test("programs read from text and from JSON train to the same numbers, bit for bit", () => {
    const { main, startup, loss } = network()
    const [texts, jsons] = [[startup, main].map(String), [startup, main].map((program) => JSON.stringify(program))]
    const pairs = [
      [startup, main],
      texts.map((text) => resolve(parseProgram(text), registry)),
      jsons.map((json) => resolve(Program.fromJSON(JSON.parse(json)), registry)),
    ] as [Program, Program][]
    const trained = pairs.map(([first, program]) => {
      verify(program)
      const executor = new Executor(cpu(), { legalize })
      executor.runSync(first)
      const losses = [3, 5, 3, 8].map((batch) =>
        executor.runSync(program, { feed: feedOf(batch), fetch: [loss.name] })[0].item(),
      )
      const clone = executor
        .runSync(program.clone({ forTest: true }), { feed: feedOf(2), fetch: [loss.name] })[0]
        .item()
      return JSON.stringify([losses, clone, [...executor.scope.entries()].map(String)])
    })
    expect(trained[1]).toBe(trained[0])
    expect(trained[2]).toBe(trained[0])
  })

  test("training goes on where it stopped: weights, moments, schedule and draws are state", () => {
    const { main, startup, loss } = network()
    const run = (executor: Executor, steps: number) => {
      const losses: number[] = []
      for (let i = 0; i < steps; i++) losses.push(executor.runSync(main, { feed: feedOf(4), fetch: [loss] })[0].item())
      return losses
    }
    const whole = new Executor(cpu(), { legalize })
    whole.runSync(startup)
    const expected = run(whole, 10)
    const [one, two] = [new Executor(cpu(), { legalize }), new Executor(cpu(), { legalize })]
    one.runSync(startup)
    const found = run(one, 4)
    for (const [name, value] of one.scope.entries()) two.scope.set(name, value)
    expect([...found, ...run(two, 6)]).toEqual(expected)
  })
})
