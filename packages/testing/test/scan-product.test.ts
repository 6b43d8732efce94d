// Gradients of captured weights: one product behind the loop where each run has one, and the sum of the runs in any case.

import { gradients } from "@counterflow/autodiff"
import { type Operator, type Program, symbol, type Variable, verify } from "@counterflow/ir"
import {
  add,
  conv2d,
  emit,
  fillConstant,
  less,
  matmul,
  mul,
  reduceSum,
  reshape,
  scan,
  scanOp,
  sin,
  split,
  tanh,
  transpose,
  whileLoop,
} from "@counterflow/ops"
import { gradCheck } from "@counterflow/testing"
import { describe, expect, test } from "vitest"
import { build, input } from "./building.ts"
import { run } from "./control-run.ts"
import { wave } from "./scan-recurrent.ts"

interface Built {
  readonly main: Program
  readonly last: Variable
}

/** The loops of the gradient, with how much each of them carries. */
function carried(main: Program): number[] {
  const loops: Operator[] = main.globalBlock().ops.filter(({ type, role }) => type === "scan" && role === "backward")
  return loops.map(({ inputs }) => inputs["init"]?.length ?? 0)
}

async function expectRight({ main, last }: Built, feed: Readonly<Record<string, number[]>>): Promise<void> {
  verify(main)
  const report = await gradCheck(main, { targets: [last], wrt: Object.keys(feed), feed, order: 2 })
  expect(report.toString()).toContain(": ok")
}

/** h ← step(h, w) for four runs of a state [2, 3]. */
const looped = (shape: number[], step: (h: Variable, w: Variable) => Variable) => {
  const built = () =>
    build((program) => {
      const [h, w] = [input(program, "h", [2, 3]), input(program, "w", shape)]
      const [last] = scan((c) => [step(c, w)], { init: h, length: 4 })
      return { h, w, last }
    })
  return {
    built,
    feed: {
      h: wave(6),
      w: wave(
        shape.reduce((a, b) => a * b, 1),
        0.4,
      ),
    },
  }
}

const products: readonly [string, number[], (h: Variable, w: Variable) => Variable][] = [
  ["a product", [3, 3], (h, w) => tanh(matmul(h, w))],
  ["with the weight transposed", [3, 3], (h, w) => tanh(matmul(h, w, { transposeY: true }))],
  ["with the weight in front", [2, 2], (h, w) => tanh(matmul(w, h))],
  [
    "with both transposed",
    [2, 2],
    (h, w) => {
      const product = matmul(h, w, { transposeX: true, transposeY: true, alpha: 0.5 })
      return tanh(transpose(product, { perm: [1, 0] }))
    },
  ],
  ["of a weight in another form", [9], (h, w) => tanh(matmul(h, reshape(w, { shape: [3, 3] })))],
  [
    "of a state in another form",
    [2, 2],
    (h, w) => reshape(tanh(matmul(reshape(h, { shape: [3, 2] }), w)), { shape: [2, 3] }),
  ],
  [
    "a batch of products",
    [2, 3, 3],
    (h, w) => reshape(tanh(matmul(reshape(h, { shape: [2, 1, 3] }), w)), { shape: [2, 3] }),
  ],
  ["two products", [3, 3], (h, w) => matmul(tanh(matmul(h, w)), w)],
  [
    "a convolution",
    [1, 1, 2, 2],
    (h, w) =>
      reshape(tanh(conv2d(reshape(h, { shape: [1, 1, 2, 3] }), w, { padding: [1, 0, 1, 0] })), { shape: [2, 3] }),
  ],
]

describe("a captured weight", () => {
  test.each(products)("%s: nothing is carried for it", async (_what, shape, step) => {
    const { built, feed } = looped(shape, step)
    const { main, last, w } = built()
    gradients(last, w)
    expect(carried(main)).toEqual([1])
    await expectRight(built(), feed)
  })

  test("what is no product is carried and added up, beside the product", async () => {
    const { built, feed } = looped([3, 3], (h, w) => {
      const [row] = split(w, { numOrSections: [1, 2], axis: 0 })
      return mul(tanh(matmul(h, w)), reshape(row!, { shape: [3] }))
    })
    const { main, last, w } = built()
    gradients(last, w)
    expect(carried(main)).toEqual([2])
    await expectRight(built(), feed)
  })

  const constant: readonly [string, (h: Variable, w: Variable, x: Variable) => Variable][] = [
    ["a product with what no run changes", (h, w, x) => mul(tanh(matmul(x, w)), h)],
    ["a product with itself", (h, w) => matmul(sin(h), matmul(w, w))],
  ]

  test.each(constant)("%s is carried", async (_what, step) => {
    const built = () =>
      build((program) => {
        const [x, h, w] = [input(program, "x", [2, 3]), input(program, "h", [2, 3]), input(program, "w", [3, 3])]
        const [last] = scan((c) => [step(c, w, x)], { init: h, length: 3 })
        return { last: add(last, x), w }
      })
    const { main, last, w } = built()
    gradients(last, w)
    expect(carried(main)).toEqual([2])
    await expectRight(built(), { x: wave(6), h: wave(6, 0.7), w: wave(9, 0.4) })
  })

  test("in a loop in a loop, of which the inner one goes backwards", async () => {
    const built = () =>
      build((program) => {
        const x = input(program, "x", [3, 2, 2, 2])
        const [h, w, u] = [input(program, "h", [2, 2]), input(program, "w", [2, 2]), input(program, "u", [2, 2])]
        const [last] = scan(
          (c, rows) => {
            const inner = (d: Variable, row: Variable) =>
              [tanh(add(matmul(d, w), matmul(row, u))), matmul(d, c)] as const
            const [next, [y0, y1]] = scan((d, row) => [inner(d, row)[0], [d, inner(d, row)[1]]], {
              init: c,
              xs: rows,
              reverse: true,
            })
            return [add(next, reduceSum(mul(y0, y1), { axis: 0 }))]
          },
          { init: h, xs: x },
        )
        return { last, w, u }
      })
    const { main, last, w, u } = built()
    gradients(last, [w, u])
    expect(carried(main)).toEqual([1])
    await expectRight(built(), { x: wave(24), h: wave(4), w: wave(4, 0.3), u: wave(4, 0.9) })
  })

  test("fewer runs than places: the rest of the stacks counts for nothing", async () => {
    const built = () =>
      build((program) => {
        const [h, w] = [input(program, "h", [2, 3]), input(program, "w", [3, 3])]
        const zero = fillConstant({ shape: [], value: 0, dtype: "int32" })
        const [, last] = whileLoop(
          (i) => less(i, 3),
          (i, c) => [add(i, 1), tanh(add(matmul(c, w), 1))],
          [zero, h],
          { maxTrips: 5 },
        )
        return { last, w }
      })
    const { main, last, w } = built()
    gradients(last, w)
    expect(carried(main)).toEqual([1])
    await expectRight(built(), { h: wave(6), w: wave(9, 0.4) })
  })

  test("of what a loop with fewer runs than places scans, only the runs count", () => {
    const { main, dw } = build((program) => {
      const w = input(program, "w", [1, 1])
      const [x, y] = [input(program, "x", [4, 1, 1]), input(program, "y", [4, 1, 1])]
      const count = fillConstant({ shape: [], value: 2, dtype: "int32" })
      const body = program.createBlock()
      body.addParam({ shape: [], dtype: "int32", name: "index" })
      const slice = body.addParam({ shape: [1, 1], dtype: "float32", name: "slice" })
      body.setResults(program.within({ block: body }, () => [matmul(slice, w)]))
      const inputs = { init: [], xs: [x], captures: [w], count }
      const { ys } = emit(scanOp, inputs, { length: 4, reverse: false, ys: 1 }, build, { blocks: { body } })
      return { dw: gradients(ys[0]!, w, { targetGradients: y })[0]! }
    })
    verify(main)
    // Σ x y over two runs of four places: 1 · 5 + 2 · 6.
    expect(run(main, { x: [1, 2, NaN, Infinity], y: [5, 6, 7, 8], w: [1] }, [dw])).toEqual([[17]])
  })

  test("batch and length of unknown size", async () => {
    const built = build((program) => {
      const x = input(program, "x", [symbol("steps"), symbol("batch"), 2])
      const [h, w] = [input(program, "h", [symbol("batch"), 2]), input(program, "w", [2, 2])]
      const [last] = scan((c, xt) => [tanh(add(matmul(c, w), xt))], { init: h, xs: x })
      return { last }
    })
    const float64 = "float64" as const
    verify(built.main)
    const report = await gradCheck(built.main, {
      targets: [built.last],
      wrt: ["x", "h", "w"],
      feed: {
        x: { data: wave(12), shape: [3, 2, 2], dtype: float64 },
        h: { data: wave(4, 2), shape: [2, 2], dtype: float64 },
        w: wave(4),
      },
      order: 2,
    })
    expect(report.toString()).toContain(": ok")
  })
})
