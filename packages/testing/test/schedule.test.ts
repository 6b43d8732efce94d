// Phase 6: the order in which operators run. It needs less memory, and everything that depended on the order before still holds.

import { idsOf, type PassName } from "@counterflow/compiler"
import { Program, programGuard, type Variable } from "@counterflow/ir"
import { data, fc } from "@counterflow/layers"
import { add, broadcastTo, exp, fillConstant, gather, mean, mul, neg, reduceSum, sub, write } from "@counterflow/ops"
import { Adam } from "@counterflow/optim"
import { describe, expect, test } from "vitest"
import { type Observed, observed, type Shapes } from "./passes-observed.ts"
import { lenet, mlp, type Network, trained, transformer, waves } from "./passes-programs.ts"

function plans({ main, fetches, feed }: Network, fuses: boolean) {
  const shapes = Object.fromEntries(Object.entries(feed).map(([name, { shape }]) => [name, shape]))
  const plan = (off: readonly PassName[]) => observed(main, fetches, shapes, { fuses, off }).plan
  return { before: plan(["schedule"]), after: plan([]) }
}

describe("less memory", () => {
  const cases = [
    ["mlp", mlp(32, 300, 100)],
    ["lenet", lenet(16)],
    ["transformer", transformer(4, 32, 64, 4)],
  ] as const
  const figures = cases.flatMap(([name, network]) =>
    [false, true].map((fuses) => ({ name, fuses, ...plans(network, fuses) })),
  )

  test.each(figures)("$name, fused: $fuses: never more, and as much in place", ({ before, after }) => {
    expect(after.memory.arenaBytes).toBeLessThanOrEqual(before.memory.arenaBytes)
    expect(after.memory.peakBytes).toBeLessThanOrEqual(before.memory.peakBytes)
    expect(after.layout.inPlace.size).toBeGreaterThanOrEqual(before.layout.inPlace.size)
    expect(after.block.ops.length).toBe(before.block.ops.length)
  })

  test("by so much", () => {
    const ratio = ({ before, after }: (typeof figures)[number]) => after.memory.peakBytes / before.memory.peakBytes
    expect(figures.map((figure) => `${figure.name} ${figure.fuses ? "fused" : "plain"} ${ratio(figure).toFixed(3)}`))
      .toMatchInlineSnapshot(`
        [
          "mlp plain 0.894",
          "mlp fused 0.800",
          "lenet plain 0.981",
          "lenet fused 0.981",
          "transformer plain 0.897",
          "transformer fused 1.000",
        ]
      `)
  })

  test("of a deep network the gradients of weights need not live at one time", () => {
    const network = trained({ x: waves([2, 32]) }, new Adam({ learningRate: 0.01 }), () => {
      let h = data({ name: "x", shape: [32] })
      for (let layer = 0; layer < 12; layer++) h = fc(h, { size: 32, act: "tanh" })
      return mean(h)
    })
    const { before, after } = plans(network, false)
    expect(after.memory.arenaBytes).toBeLessThan(before.memory.arenaBytes / 2)
  })
})

describe("what stays", () => {
  const planned = (build: (main: Program) => readonly Variable[], feeds: Shapes) => {
    const main = new Program()
    const fetches = programGuard(main, new Program(), () => build(main))
    return observed(main, fetches, feeds)
  }
  const types = ({ plan }: Observed) => plan.block.ops.map(({ type }) => type)

  test("the same program has the same order every time", () => {
    const text = () => plans(mlp(32, 300, 100), false).after.toString()
    expect(text()).toBe(text())
  })

  test("operators that may refuse what they read keep their order, and states wait for them", () => {
    const made = planned(
      (main) => {
        const state = (name: string) =>
          main.globalBlock().createVar({ name, shape: [64], dtype: "float32", persistable: true, initialValue: 0 })
        const [table, w] = [data({ name: "table", shape: [64], appendBatchSize: false }), state("w")]
        const [i, j] = ["i", "j"].map((name) => data({ name, shape: [64], dtype: "int32", appendBatchSize: false }))
        const [late, early] = [gather(table, i as Variable), gather(table, j as Variable)]
        write(w, add(w, table))
        return [reduceSum(mul(early, neg(late)))]
      },
      { table: [64], i: [64], j: [64] },
    )
    const { ops } = made.plan.block
    const failing = ops.flatMap((op, at) => (op.facts.canFail ? [at] : []))
    const update = ops.findIndex(({ inputs }) => idsOf(inputs).some((id) => made.plan.vars[id]?.kind === "state"))
    const sourceOf = (id: number) =>
      idsOf(ops.find(({ outputs }) => idsOf(outputs).includes(id))?.inputs ?? {})[0] ?? id
    const indices = failing.map((at) => made.plan.vars[sourceOf(idsOf(ops[at]?.inputs ?? {})[1] ?? -1)]?.name)
    expect(indices).toEqual(["i", "j"])
    expect(update).toBeGreaterThan(Math.max(...failing))
    expect(made.plan.layout.inPlace.size).toBe(1)
  })

  test("whoever reads the old value of a state comes before its update", () => {
    const made = planned(
      (main) => {
        const w = main
          .globalBlock()
          .createVar({ name: "w", shape: [256], dtype: "float32", persistable: true, initialValue: 1 })
        const x = data({ name: "x", shape: [256], appendBatchSize: false })
        const old = exp(w)
        write(w, add(mul(w, 0.5), x))
        return [reduceSum(add(old, neg(neg(x))))]
      },
      { x: [256] },
    )
    const order = types(made)
    expect(made.plan.layout.inPlace.size).toBe(1)
    expect(order.indexOf("exp")).toBeLessThan(order.indexOf("add"))
  })

  test("a constant is made where it is read first", () => {
    const made = planned(
      () => {
        const x = data({ name: "x", shape: [256], appendBatchSize: false })
        const ones = fillConstant({ shape: [256], value: 1, dtype: "float32" })
        const grown = exp(x)
        const summed = reduceSum(mul(mul(grown, neg(grown)), neg(x)), { keepDim: true })
        return [sub(broadcastTo(summed, { shape: [256] }), exp(ones))]
      },
      { x: [256] },
    )
    expect(types(made)).toMatchInlineSnapshot(`
      [
        "exp",
        "neg",
        "mul",
        "neg",
        "mul",
        "reduceSum",
        "fillConstant",
        "exp",
        "broadcastTo",
        "sub",
      ]
    `)
  })
})
