// counterflow as a peer: it has every workload, under the names the harness knows, at the sizes the data have.

import { cpu, Executor } from "counterflow"
import { describe, expect, test } from "vitest"
import start, { backends, jobs } from "../src/counterflow/peer.ts"
import { draw, elementsOf, type Source, streams } from "../src/data.ts"
import { oneHot, probe } from "../src/probe.ts"
import { arrays } from "../src/sizes.ts"
import { workloads } from "../src/workloads.ts"

const specs = new Map(streams(arrays).map(([spec, stream]) => [spec.name, { spec, stream }]))
const source: Source = (name) => {
  const found = specs.get(name)
  if (found === undefined) throw new Error(`there is no array ${name}`)
  const { spec, stream } = found
  return { data: draw(spec.draw, elementsOf(spec.shape), stream), shape: spec.shape }
}

describe("counterflow", () => {
  test("has a job for every workload and no other", () => {
    const own = Object.keys(jobs(() => new Executor(cpu()), source))
    expect(own.toSorted()).toEqual(workloads.map(({ id }) => id).toSorted())
  })

  describe.each(Object.keys(backends))("on %s", (backend) => {
    test.each([
      ["regression", 0.391596],
      ["mlp.forward", 0.918445],
      ["lenet.forward", 0.800837],
      ["gemm.nt.64", 2.199717],
    ])("%s at full size gives what PyTorch gives", async (id, expected) => {
      const job = await start(backend, { load: source, probe, oneHot }).workloads[id]?.()
      expect(job?.check).toBeCloseTo(expected, 5)
    })
  })

  test("names the backends there are when it is asked for another", () => {
    expect(() => start("gpu", { load: source, probe, oneHot })).toThrow(
      'there is no backend "gpu"; there is wasm, wasm-2threads, cpu',
    )
  })
})
