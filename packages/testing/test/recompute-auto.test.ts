// Recomputation that decides by itself: what it keeps, how near its estimates are to plans, and what it refuses.

import { appendBackward, type Recompute, recomputeSavings } from "@counterflow/autodiff"
import { type Program, type Variable, verify } from "@counterflow/ir"
import { data, fc } from "@counterflow/layers"
import { matmul, mean, mul, reduceSum, softmax, square, tanh } from "@counterflow/ops"
import { SGD } from "@counterflow/optim"
import { describe, expect, test } from "vitest"
import { build, parameter, refusalOf } from "./building.ts"
import { observed } from "./passes-observed.ts"
import { copies } from "./recompute-run.ts"

function chain(length: number, recompute: Recompute | null) {
  return build((program) => {
    let x: Variable = parameter(program, "w", [100])
    for (let i = 0; i < length; i++) x = tanh(x)
    const [pair] = appendBackward(reduceSum(x), recompute === null ? {} : { recompute })
    return { gradient: pair![1] }
  })
}

/** Layers, each followed by the scores of all rows with all rows: cheap to make for their size. */
function scored(recompute: Recompute | null, rows: number | "batch" = 32) {
  return build(() => {
    let x = data({ name: "x", shape: [rows === "batch" ? -1 : rows, 16], appendBatchSize: false })
    for (let i = 0; i < 4; i++) {
      const h = fc(x, { size: 16, act: "tanh" })
      x = matmul(softmax(matmul(h, h, { transposeY: true })), h)
    }
    const loss = mean(square(x))
    new SGD({ learningRate: 0.1 }).minimize(loss, { recompute })
    return { loss }
  })
}

const peakOf = (main: Program, fetch: Variable, feed = {}) =>
  observed(main, [fetch], feed, { fuses: true }).plan.memory.peakBytes

const timesOf = (main: Program, type: string) => main.globalBlock().ops.filter((op) => op.type === type).length

describe('"auto"', () => {
  test("divides a chain that is the same all along", () => {
    const [all, some] = [null, "auto" as const].map((recompute) => {
      const { main, gradient } = chain(144, recompute)
      verify(main)
      return peakOf(main, gradient) / 400
    })
    expect(all).toBeGreaterThan(140)
    expect(some).toBeLessThan(40)
  })

  test("goes through a thousand operators", () => {
    const { main } = chain(1000, "auto")
    expect(copies(main).length).toBeGreaterThan(900)
  })

  test("computes again what is cheap for its size, and keeps what is not", () => {
    const { main, loss } = scored("auto")
    const again = new Set(copies(main).map(({ producer }) => producer!.type))
    expect(again).toContain("softmax")
    expect(again).not.toContain("flattenMatmul")
    const plain = scored(null)
    expect(timesOf(main, "softmax")).toBeGreaterThan(timesOf(plain.main, "softmax"))
    expect(peakOf(main, loss, { x: [32, 16] })).toBeLessThan(0.7 * peakOf(plain.main, plain.loss, { x: [32, 16] }))
  })

  test("changes nothing where nothing can be saved", () => {
    const texts = [{}, { recompute: "auto" } as const].map((options) =>
      build((program) => {
        const w = parameter(program, "w")
        appendBackward(reduceSum(mul(w, w)), options)
        return {}
      }).main.toString(),
    )
    expect(texts[1]).toBe(texts[0])
  })
})

describe("a budget", () => {
  const feed = { x: [32, 16] }
  const all = peakOf(scored(null).main, scored(null).loss, feed)

  test("is kept with as little work as it takes", () => {
    const flops = [0.95, 0.75].map((part) => {
      const budgetBytes = part * all
      const { main, loss } = scored({ budgetBytes })
      const { memory, flops } = observed(main, [loss], feed, { fuses: true }).plan
      expect(memory.peakBytes).toBeLessThan(1.05 * budgetBytes)
      return flops
    })
    expect(flops[0]).toBeLessThan(flops[1]!)
    expect(copies(scored({ budgetBytes: 2 * all }).main)).toEqual([])
  })

  test("needs sizes, and may be too small", () => {
    expect(refusalOf(() => scored({ budgetBytes: 1000 }))).toMatch(
      /CF_MEMORY_LIMIT.*the values of a step take at least \d+ bytes, 1000 are allowed/,
    )
    expect(refusalOf(() => scored({ budgetBytes: 1e6 }, "batch"))).toMatch(
      /CF_SYMBOL_UNBOUND.*a budget in bytes needs the size of dim_0[^]*symbols: { dim_0: 32 }/,
    )
    expect(copies(scored({ budgetBytes: 1e9, symbols: { dim_0: 8 } }, "batch").main)).toEqual([])
  })
})

describe("what is no way to recompute is refused, and the program is as it was", () => {
  const refused = (options: object) =>
    build((program) => {
      const loss = reduceSum(mul(tanh(parameter(program, "w")), 2))
      const before = program.toString()
      const text = refusalOf(() => appendBackward(loss, options))
      expect(program.toString()).toBe(before)
      return { text }
    }).text

  test.each([
    [{ recompute: "all" }, /CF_BAD_ARGUMENT.*recompute must be "auto" or { budgetBytes, symbols }, got the string all/],
    [{ recompute: { budgetBytes: -1 } }, /CF_BAD_ARGUMENT.*recompute must be/],
    [{ recompute: { budgetBytes: 1e6, symbols: { batch: 3 } } }, /CF_UNKNOWN_NAME.*recompute gives batch a size/],
    [{ recompute: "auto", checkpoints: [] }, /CF_BAD_ARGUMENT.*checkpoints and recompute both say what to keep/],
  ])("%o", (options, text) => {
    expect(refused(options)).toMatch(text)
  })

  test("a size that is none", () => {
    expect(refusalOf(() => scored({ budgetBytes: 1e6, symbols: { dim_0: 0.5 } }, "batch"))).toContain(
      "dim_0 must be a size",
    )
  })
})

describe("savings", () => {
  test("are told of a finished program, close to what a plan says", () => {
    const [plain, auto] = [scored(null), scored("auto")]
    const savings = recomputeSavings(plain.main, new Map())!
    const saved = peakOf(plain.main, plain.loss, { x: [32, 16] }) - peakOf(auto.main, auto.loss, { x: [32, 16] })
    expect(savings.savedBytes / saved).toBeGreaterThan(0.7)
    expect(savings.savedBytes / saved).toBeLessThan(1.3)
    expect(savings.extraFlops).toBeGreaterThan(0)
  })

  test("there are none without a backward part, where it recomputes already, or where nothing can be saved", () => {
    expect(
      recomputeSavings(build(() => ({ y: tanh(data({ name: "x", shape: [2] })) })).main, new Map([["batch", 2]])),
    ).toBe(null)
    expect(recomputeSavings(scored("auto").main, new Map())).toBe(null)
    const { main } = build((program) => {
      const w = parameter(program, "w")
      appendBackward(reduceSum(mul(w, w)))
      return {}
    })
    expect(recomputeSavings(main, new Map())).toBe(null)
  })
})
