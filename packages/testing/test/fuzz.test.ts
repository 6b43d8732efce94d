// Random programs on the WebAssembly backend, from fixed seeds; `npm run fuzz` goes on from there. And the fuzzer itself: it
// finds bugs that were planted, and leaves little of the programs that show them.

import { type AnyCall, type AnyKernel, cpu } from "@counterflow/kernels-cpu"
import { wasm } from "@counterflow/kernels-wasm"
import { fuzz, variantsOf } from "@counterflow/testing"
import { describe, expect, test } from "vitest"

test("random programs run on wasm as on kernels-cpu in float64", async () => {
  const { found, tally, uses } = await fuzz({ tested: variantsOf(wasm), seed: 1, programs: 50 })
  expect(found.map(({ report }) => report)).toEqual([])
  // What was run is worth something: many ops, gradients, and results that are decided.
  expect([...uses.values()].filter((count) => count > 0).length).toBeGreaterThan(75)
  expect(tally.operators).toBeGreaterThan(10 * tally.programs)
  expect(tally.refused).toBeLessThan(0.2 * tally.programs)
  expect(tally.undecided).toBeLessThan(0.01 * tally.elements)
  console.log(
    `${tally.programs} programs of ${tally.operators} operators, ${tally.elements} elements compared, ${tally.undecided} not decided`,
  )
}, 60_000)

test("a seed gives the same programs again", async () => {
  const run = async () => (await fuzz({ tested: [], seed: 77, programs: 5 })).tally
  expect(await run()).toEqual(await run())
}, 60_000)

/** kernels-cpu with one kernel that does something wrong after it has run. */
function planted(op: string, spoil: (call: AnyCall, runs: number) => void) {
  const right = cpu().kernels[op]
  const spoilt = (bind: (call: AnyCall) => () => void) => (call: AnyCall) => {
    const run = bind(call)
    let runs = 0
    return () => {
      run()
      spoil(call, runs++)
    }
  }
  if (right === undefined) throw new Error(`kernels-cpu has no kernel for ${op}`)
  const wrong: AnyKernel = typeof right === "function" ? spoilt(right) : { ...right, bind: spoilt(right.bind) }
  return fuzz({ tested: [{ name: "planted", backend: cpu({ kernels: { [op]: wrong } }) }], seed: 1, seconds: 60 })
}

interface Typed {
  readonly data: Float64Array
  readonly shape: readonly number[]
}

const outputOf = ({ outputs }: AnyCall, slot: string) => outputs[slot] as object as Typed

describe("planted bugs are found, and made small", { timeout: 60_000 }, () => {
  test("a running sum that is wrong from the end", async () => {
    const { found } = await planted("cumsum", (call) => {
      if (call.attrs["reverse"] === true) outputOf(call, "z").data.reverse()
    })
    const [{ recipe, report, kind } = { recipe: null, report: "nothing found", kind: null }] = found
    expect(kind, report).toBe("differs")
    expect(recipe?.steps.map(({ op }) => op.name)).toEqual(["cumsum"])
    expect(recipe?.inputs.map(({ values }) => values.length)).toEqual([2])
    expect(recipe?.backward).toBeNull()
    expect(report).toMatch(/^seed \d+: planted differs: cumsum_0\.tmp_0: element \d is \S+, expected \S+ within/)
    expect(report).toMatch(/cumsum\(x: \w+\) \{axis: \d, exclusive: \w+, reverse: true\}/)
  })

  test("a sum whose last element is lost where it has many", async () => {
    const { found } = await planted("reduceSum", (call) => {
      const x = call.inputs["x"] as object as Typed
      const z = outputOf(call, "z")
      if (z.data.length === 1 && x.data.length > 8) z.data[0]! -= x.data.at(-1) ?? 0
    })
    const [{ recipe, report } = { recipe: null, report: "nothing found" }] = found
    expect(report).toContain("planted differs")
    expect(recipe?.steps).toHaveLength(1)
    const [input] = recipe?.inputs ?? []
    expect(input?.values.length).toBeGreaterThan(8)
    expect(input?.values.length, report).toBeLessThan(17)
  })

  test("a gradient that is wrong where windows overlap", async () => {
    const { found } = await planted("poolScatter", (call) => {
      const { data } = outputOf(call, "dx")
      const dz = call.inputs["dz"] as object as Typed
      // As if the last cotangent had overwritten what was there.
      data.forEach((value, i) => {
        if (value !== 0 && !dz.data.includes(value)) data[i] = dz.data.at(-1) ?? 0
      })
    })
    const [{ recipe, report } = { recipe: null, report: "nothing found" }] = found
    expect(report).toContain("planted differs")
    expect(recipe?.steps.length, report).toBeLessThanOrEqual(4)
  })

  test("memory that a kernel does not clear", async () => {
    const { found } = await planted("concat", (call, runs) => {
      const { data } = outputOf(call, "z")
      if (runs > 0 && data.length > 0) data[0]! += 1
    })
    const [{ recipe, report, kind } = { recipe: null, report: "nothing found", kind: null }] = found
    expect(kind, report).toBe("does not repeat")
    expect(recipe?.steps).toHaveLength(1)
    // A stack is a concatenation of what it reshapes.
    expect(report).toMatch(/(concat|stack)\(/)
  })

  test("a kernel that fails", async () => {
    const { found } = await planted("cumsum", () => {
      throw new Error("planted")
    })
    const [{ recipe, report } = { recipe: null, report: "nothing found" }] = found
    expect(report).toContain("planted fails: planted")
    expect(recipe?.steps).toHaveLength(1)
  })
})
