// The conformance suite of backends: the reference backend passes it, and backends that are wrong do not.

import type { Backend } from "@counterflow/executor"
import { cpu } from "@counterflow/kernels-cpu"
import { backendCases } from "@counterflow/testing"
import { afterAll, describe, expect, test } from "vitest"
import { refusalOf } from "./building.ts"
import { register } from "./registering.ts"

describe("cpu", () => {
  const suite = backendCases(cpu)
  register(suite.cases)
  afterAll(() => {
    console.log(suite.summary())
    suite.close()
  })
})

describe("backends that are wrong", () => {
  const reported = async (backend: () => Backend, name: string) => {
    const suite = backendCases(backend)
    const found = suite.cases.find((each) => each.name === name)
    const failure: unknown = await found?.run().then(
      () => null,
      (error: unknown) => error,
    )
    suite.close()
    return String(failure)
  }

  test("a kernel that is off by a little", async () => {
    const exp =
      ({ inputs: { x }, outputs: { z } }: Call) =>
      () =>
        z.data.set(x.data.map((value) => Math.exp(value) * 1.0001))
    expect(await reported(() => cpu({ kernels: { exp } }), "exp")).toMatch(
      /exp, sample 0: exp_0.tmp_0: element 0 is .*, expected .* within 0.00001 of the largest value/,
    )
  })

  test("a kernel that moves elements to other places", async () => {
    const transpose =
      ({ inputs: { x }, outputs: { z } }: Call) =>
      () =>
        z.data.set(x.data)
    expect(await reported(() => cpu({ kernels: { transpose } }), "transpose")).toMatch(/within 0 of the largest value/)
  })

  test("a kernel that adds to what memory held", async () => {
    const reduceSum =
      ({ inputs: { x }, outputs: { z } }: Call) =>
      () => {
        for (let i = 0; i < x.data.length; i++)
          z.data[i % z.data.length] = (z.data[i % z.data.length] ?? 0) + (x.data[i] ?? 0)
      }
    expect(await reported(() => cpu({ kernels: { reduceSum } }), "reduceSum")).toContain("reduceSum, sample")
  })

  test("an integer result that is off by one", async () => {
    const argmax =
      ({ outputs: { z } }: Call) =>
      () =>
        z.data.fill(1)
    expect(await reported(() => cpu({ kernels: { argmax } }), "argmax")).toMatch(
      /argmax, sample \d.*element \d+ is 1, expected/,
    )
  })

  test("a draw that is another draw", async () => {
    const uniformRandom =
      ({ outputs: { z } }: Call) =>
      () =>
        z.data.fill(0.5)
    expect(await reported(() => cpu({ kernels: { uniformRandom } }), "uniformRandom")).toMatch(
      /element 0 is 0.5, expected/,
    )
  })

  test("a step that hides its failure", async () => {
    const silent = (): Backend => {
      const own = cpu()
      return {
        ...own,
        load: (plan, memory, states) => {
          const loaded = own.load(plan, memory, states)
          const runSync = () => {
            try {
              loaded.runSync()
            } catch {
              // Nobody hears of it: that is the mistake.
            }
          }
          return { view: (id) => loaded.view(id), close: () => loaded.close(), runSync }
        },
      }
    }
    expect(await reported(silent, "program: a step that fails leaves state as it was")).toContain(
      "must fail with CF_INDEX_RANGE, got",
    )
  })

  test("state that two executors share", async () => {
    const own = cpu()
    const regions = new Map<string, ReturnType<ReturnType<Backend["openMemory"]>["allocateState"]>>()
    const shared = (): Backend => ({
      ...own,
      openMemory: () => {
        const memory = own.openMemory()
        const allocate = memory.allocateState.bind(memory)
        memory.allocateState = (dtype, elements) => {
          const key = `${dtype} ${elements}`
          const region = regions.get(key) ?? allocate(dtype, elements)
          regions.set(key, region)
          return region
        }
        return memory
      },
    })
    expect(await reported(shared, "program: executors share nothing")).toContain("state of the")
  })

  test("updates in place before the last reader", async () => {
    const hasty = (): Backend => {
      const own = cpu()
      return {
        ...own,
        load: (plan, memory, states) => {
          // Every operator that makes a new state value is run first.
          const isUpdate = (op: (typeof plan.block.ops)[number]) =>
            Object.values(op.outputs)
              .flat()
              .some((id) => plan.layout.placements[id]?.region === "state")
          const ops = plan.block.ops.toSorted((a, b) => Number(isUpdate(b)) - Number(isUpdate(a)))
          return own.load({ ...plan, block: { ...plan.block, ops } }, memory, states)
        },
      }
    }
    expect(await reported(hasty, "program: state written in place is read before and after")).toContain(
      "what reads the old value",
    )
  })
})

interface Call {
  readonly inputs: Readonly<Record<"x", { readonly data: Float32Array }>>
  readonly outputs: Readonly<Record<"z", { readonly data: Float32Array }>>
}

describe("skips", () => {
  test("are named with a reason, and printed", () => {
    const suite = backendCases(cpu, { skip: [{ op: "conv2d", why: "no images here" }] })
    expect(suite.cases.map(({ name }) => name)).not.toContain("conv2d")
    expect(suite.cases.map(({ name }) => name)).toContain("conv2dTranspose")
    expect(suite.summary()).toMatch(/; skipped: conv2d \(no images here\)$/)
    suite.close()
  })

  test("of nothing, or for nothing, are refused", () => {
    expect(refusalOf(() => backendCases(cpu, { skip: [{ op: "conv2D" as "conv2d", why: "a slip" }] })))
      .toMatchInlineSnapshot(`
      "CounterflowError: CF_UNKNOWN_NAME  backendCases: there is no op "conv2D" to skip
        fix: did you mean "conv2d"?"
    `)
    expect(refusalOf(() => backendCases(cpu, { skip: [{ op: "conv2d", why: " " }] }))).toMatchInlineSnapshot(
      `"CounterflowError: CF_BAD_ARGUMENT  backendCases: the skip of conv2d gives no reason"`,
    )
  })
})
