// What the front door's Executor says of a training step that needs too much: all three ways down, each with its figure.

import { Executor, layers, microBatches, optim, Program, programGuard, wasm } from "counterflow"
import { expect, test } from "vitest"

function deep(options: optim.MinimizeOptions) {
  const main = new Program()
  return programGuard(main, new Program(), () => {
    let h = layers.data({ name: "x", shape: [32] })
    for (let i = 0; i < 16; i++) h = layers.fc(h, { size: 32, act: "tanh" })
    const loss = layers.mean(layers.square(h))
    new optim.SGD({ learningRate: 0.1 }).minimize(loss, options)
    return { main, loss }
  })
}

async function refusal(options: optim.MinimizeOptions, memoryLimit: number): Promise<string> {
  const { main, loss } = deep(options)
  const exe = new Executor(wasm(), { memoryLimit })
  const compiled = exe.compile(main, { feed: { x: [1024, 32] }, fetch: [loss] })
  return compiled.then(
    () => "",
    (error: Error) => error.message,
  )
}

test("a step over budget is refused with recomputation, micro-batches and a smaller batch, and the figures hold", async () => {
  const message = await refusal({}, 1_900_000)
  const figure = (what: RegExp) => Number(what.exec(message)?.[1]) * 1e6
  expect(message).toContain("CF_MEMORY_LIMIT")
  const recomputed = figure(/recompute activations: about ([\d.]+) MB, saves/)
  const accumulated = figure(/microBatches\(\d+\): about ([\d.]+) MB/)
  const smaller = figure(/a batch of \d+ instead of 1024: ([\d.]+) MB/)
  for (const bytes of [recomputed, accumulated, smaller]) expect(bytes).toBeLessThanOrEqual(1_900_000)

  const { main, loss } = deep({ recompute: "auto" })
  const step = new Executor().compileSync(main, { feed: { x: [1024, 32] }, fetch: [loss] })
  const { arenaBytes, stateBytes } = step.memory
  expect(Math.abs((arenaBytes + stateBytes) / recomputed - 1)).toBeLessThan(0.2)
})

test("recomputation is not proposed to a program that recomputes, or that takes its batch in parts", async () => {
  const recomputing = await refusal({ recompute: "auto" }, 100_000)
  const inParts = await refusal({ backward: microBatches(4) }, 100_000)
  for (const message of [recomputing, inParts]) {
    expect(message).toContain("CF_MEMORY_LIMIT")
    expect(message).not.toContain("recompute activations")
  }
})
