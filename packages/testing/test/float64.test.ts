// toFloat64: the same program with more digits.

import { appendBackward } from "@counterflow/autodiff"
import { Executor } from "@counterflow/executor"
import { Parameter, Program, programGuard, symbol, type Variable, verify } from "@counterflow/ir"
import { cpu } from "@counterflow/kernels-cpu"
import {
  accuracy,
  add,
  cast,
  dropout,
  flattenMatmul,
  legalize,
  mean,
  mul,
  softmax,
  square,
  sub,
  uniform,
  write,
} from "@counterflow/ops"
import { toFloat64 } from "@counterflow/testing"
import { expect, test } from "vitest"

function training() {
  const main = new Program()
  main.randomSeed = 3
  return programGuard(main, () => {
    const block = main.globalBlock()
    const x = block.createVar({ name: "x", shape: [symbol("batch"), 2], dtype: "float32", isData: true })
    const i = block.createVar({ name: "i", shape: [symbol("batch"), 1], dtype: "int64", isData: true })
    const w = block.createParameter({
      name: "w",
      shape: [2, 3],
      dtype: "float32",
      initialValue: 0.1,
      learningRate: 0.5,
    })
    const probabilities = softmax(dropout(flattenMatmul(x, w), { dropoutProb: 0.25 }))
    const hits = accuracy(probabilities, i)
    const loss = mean(square(sub(probabilities, cast(i, { dtype: "float32" }))))
    for (const [parameter, gradient] of appendBackward(loss)) {
      main.within({ role: "optimize" }, () => write(parameter, sub(parameter, mul(gradient, 0.1))))
    }
    return { main, loss, hits, w }
  })
}

test("every float32 becomes float64, integers, names, roles, links and writes stay", () => {
  const { main, loss } = training()
  const copy = toFloat64(main)
  verify(copy)
  const names = [...main.variables.keys()]
  expect(names.filter((name) => !copy.variables.has(name))).toEqual([])
  // What counts hits answers float32 whatever it is given; its readers get a float64.
  const widened = ({ name, dtype }: Variable) =>
    dtype === "float32" && name !== "accuracy_0.tmp_0" ? "float64" : dtype
  for (const variable of main.variables.values()) {
    const now = copy.variables.get(variable.name)
    const got = [now?.dtype, now?.role, now?.gradientOf?.name]
    expect([variable.name, ...got]).toEqual([
      variable.name,
      widened(variable),
      variable.role,
      variable.gradientOf?.name,
    ])
  }
  const own = copy.globalBlock().ops.filter((op) => op.outputList().some(({ name }) => main.variables.has(name)))
  expect(own.map((op) => [op.type, op.role, op.isLoss, op.derivedFrom?.type])).toEqual(
    main.globalBlock().ops.map((op) => [op.type, op.role, op.isLoss, op.derivedFrom?.type]),
  )
  expect(own.flatMap((op) => op.writes.map(({ state }) => state.name))).toEqual(
    main.globalBlock().ops.flatMap((op) => op.writes.map(({ state }) => state.name)),
  )
  const w = copy.variables.get("w")
  expect(w instanceof Parameter && [w.trainable, w.learningRate, w.initialValue]).toEqual([true, 0.5, 0.1])
  expect(copy.randomSeed).toBe(3)
  expect(copy.streams).toBe(main.streams)
  expect(copy.variables.get(loss.name)?.producer?.isLoss).toBe(true)
})

test("it runs to the same numbers, with more digits, and draws the same mask", () => {
  const { main, loss, hits } = training()
  const feed = { x: [0.5, -1, 2, 0.25, -0.75, 1.5], i: [0, 2, 1] }
  const run = (program: Program) => {
    const executor = new Executor(cpu(), { legalize })
    const found = executor.runSync(program, { feed, fetch: [loss.name, hits.name, "dropout_0.tmp_0"] })
    return { found, w: executor.scope.get("w"), step: executor.scope.get("random_step").item() }
  }
  const [narrow, wide] = [run(main), run(toFloat64(main))]
  expect(wide.found[0]?.dtype).toBe("float64")
  expect(wide.found[0]?.item()).toBeCloseTo(narrow.found[0]?.item() ?? NaN, 6)
  expect(wide.found[0]?.item()).not.toBe(narrow.found[0]?.item())
  expect(wide.found[1]?.item()).toBe(narrow.found[1]?.item())
  const zeros = (values: ArrayLike<number | bigint> = []) =>
    Array.from({ length: values.length }, (_, i) => values[i] === 0)
  expect(zeros(wide.found[2]?.data)).toEqual(zeros(narrow.found[2]?.data))
  expect(zeros(narrow.found[2]?.data)).toContain(true)
  expect(wide.w.dtype).toBe("float64")
  expect([wide.step, narrow.step]).toEqual([1, 1])
})

test("what an op answers in float32 whatever it is given is widened for its readers", () => {
  const main = new Program()
  const z = programGuard(main, () => {
    const block = main.globalBlock()
    const x = block.createVar({ name: "x", shape: [2, 3], dtype: "float32", isData: true })
    const label = block.createVar({ name: "label", shape: [2, 1], dtype: "int64", isData: true })
    return add(accuracy(x, label), mean(x))
  })
  const copy = toFloat64(main)
  verify(copy)
  expect(copy.variables.get(z.name)?.dtype).toBe("float64")
  const executor = new Executor(cpu(), { legalize })
  const [value] = executor.runSync(copy, { feed: { x: [1, 2, 3, 6, 5, 4], label: [2, 1] }, fetch: [z.name] })
  expect(value?.item()).toBe(0.5 + 3.5)
})

test("a test clone and a pruned program keep that they write no state", () => {
  const { main, loss } = training()
  for (const program of [main.clone({ forTest: true }), main.prune(loss)]) {
    const copy = toFloat64(program)
    verify(copy)
    expect([...copy.operators()].flatMap((op) => op.writes)).toEqual([])
  }
})

test("attributes of kind dtype follow, draws too", () => {
  const main = new Program()
  const drawn = programGuard(main, () => uniform({ shape: [4], program: main }))
  const copy = toFloat64(main)
  expect(copy.variables.get(drawn.name)?.producer?.attrs["dtype"]).toBe("float64")
  expect(main.variables.get(drawn.name)?.producer?.attrs["dtype"]).toBe("float32")
})
