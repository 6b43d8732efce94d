// The front door's example of trust: a user checks the gradients of a whole model, and a wrong one is found.

import { Executor } from "@counterflow/executor"
import { Program, programGuard } from "@counterflow/ir"
import { cpu } from "@counterflow/kernels-cpu"
import { createParameter, data, fc } from "@counterflow/layers"
import * as ops from "@counterflow/ops"
import { gradCheck } from "@counterflow/testing"
import { expect, test } from "vitest"

const feed = { x: [0.3, -1.2, 0.7, 2, 0.1, -0.4], y: [1, -1] }

function model() {
  const [main, startup] = [new Program(), new Program()]
  const built = programGuard(main, startup, () => {
    const x = data({ name: "x", shape: [3] })
    const y = data({ name: "y", shape: [1] })
    const w = createParameter({ shape: [3, 4], name: "w" })
    const predict = fc(ops.tanh(ops.matmul(x, w)), { size: 1 })
    return { x, w, loss: ops.mean(ops.squareErrorCost(predict, y)) }
  })
  return { main, startup, ...built }
}

test("gradCheck with the parameters of a startup program, at orders 1 and 2", async () => {
  const { main, startup, loss, x, w } = model()
  const report = await gradCheck(main, { loss, wrt: [x, w], startup, feed, order: 2 })
  expect(report.toString()).toMatch(/^gradient check \(seed 1\): ok\ninput/)
  expect(report.ok).toBe(true)
  const checked = report.checks.map(({ input, order }) => `${input} ${order}`)
  expect(checked).toEqual(["x 1", "w 1", "x 2", "w 2", `cotangent of ${loss.name} 2`])
})

test("gradCheck with the parameters of a scope, which stay as they were", async () => {
  const { main, startup, loss, w } = model()
  const exe = new Executor(cpu(), { legalize: ops.legalize })
  await exe.run(startup)
  const before = exe.scope.get("w").toArray()
  const text = main.toString()
  const report = await gradCheck(main, { loss, wrt: [w], scope: exe.scope, feed })
  expect(report.ok).toBe(true)
  expect(exe.scope.get("w").toArray()).toEqual(before)
  expect(main.toString()).toBe(text)
})

test("a model whose gradient is cut on the way is reported, by input", async () => {
  const [main, startup] = [new Program(), new Program()]
  const loss = programGuard(main, startup, () => {
    const h = fc(data({ name: "x", shape: [3] }), { size: 4, act: "tanh" })
    h.stopGradient = true
    return ops.mean(ops.square(fc(h, { size: 1 })))
  })
  const report = await gradCheck(main, { loss, wrt: ["fc_0.w_0", "fc_1.w_0"], startup, feed: { x: feed.x } })
  expect(report.ok).toBe(false)
  expect(report.checks.map(({ input, ok }) => [input, ok])).toEqual([
    ["fc_0.w_0", false],
    ["fc_1.w_0", true],
  ])
})
