// What random programs have found, by hand: each of these was wrong once.

import { Executor } from "@counterflow/executor"
import { symbol, verify } from "@counterflow/ir"
import { cpu } from "@counterflow/kernels-cpu"
import { wasm } from "@counterflow/kernels-wasm"
import { add, batchNorm, dropout, legalize, reshape, sum, write } from "@counterflow/ops"
import { describe, expect, test } from "vitest"
import { build, input, parameter } from "./building.ts"

describe.each([
  ["cpu", cpu],
  ["wasm", wasm],
])("on %s", (_name, backend) => {
  test("a composite that stands for a state has the value before the step writes it", async () => {
    const { main, fetch } = build((program) => {
      const w = parameter(program, "w", [2])
      const alias = sum([w])
      const dropped = dropout(alias, { isTest: true, dropoutProb: 0.5, dropoutImplementation: "upscaleInTrain" })
      write(w, add(w, w))
      return { fetch: [alias, dropped, reshape(dropped, { shape: [2, 1] }), w] }
    })
    const executor = new Executor(backend(), { legalize })
    const results = await executor.run(main, { fetch })
    expect(results.map(({ data }) => [...data])).toEqual([
      [1, 1],
      [1, 1],
      [1, 1],
      [2, 2],
    ])
    expect((await executor.run(main, { fetch: [fetch[0]!.name] }))[0].toArray()).toEqual([2, 2])
    executor.close()
  })
})

test("batch normalization of channels of unknown number writes statistics of the size that the state has", async () => {
  const { main, y } = build((program) => {
    const state = (name: string) =>
      program.globalBlock().createVar({ name, shape: [3], dtype: "float32", persistable: true, initialValue: 1 })
    const x = input(program, "x", [2, symbol("n")])
    const [scale, bias] = [input(program, "scale", [3]), input(program, "bias", [3])]
    return { y: batchNorm(x, scale, bias, state("mean"), state("variance"), { momentum: 0.5 }).y }
  })
  expect(() => verify(main)).not.toThrow()
  const executor = new Executor(cpu(), { legalize })
  const feed = { x: { data: [1, 2, 3, 3, 4, 5], shape: [2, 3] }, scale: [1, 1, 1], bias: [0, 0, 0] }
  await executor.run(main, { feed, fetch: [y] })
  expect(executor.scope.get("mean").toArray()).toEqual([1.5, 2, 2.5])
  const wrong = { ...feed, x: { data: [1, 2], shape: [2, 1] } }
  await expect(executor.run(main, { feed: wrong, fetch: [y] })).rejects.toThrow(/CF_SYMBOL_CONFLICT/)
  executor.close()
})
