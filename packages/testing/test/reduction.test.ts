// Reductions where they are delicate: ties, zeros in products, infinities under a logarithm of sums.

import { gradients } from "@counterflow/autodiff"
import { Executor } from "@counterflow/executor"
import { Program, type Variable } from "@counterflow/ir"
import { cpu } from "@counterflow/kernels-cpu"
import { legalize, logsumexp, reduceMax, reduceMin, reduceProd, reduceSum } from "@counterflow/ops"
import { describe, expect, test } from "vitest"

/** z = build(x) for a float64 matrix x, and its derivatives along ones, up to an order. */
function derivatives(build: (x: Variable) => Variable, rows: readonly (readonly number[])[], order = 1): number[][] {
  const program = new Program()
  const shape = [rows.length, rows[0]?.length ?? 0]
  const x = program.globalBlock().createVar({ name: "x", shape, dtype: "float64", isData: true, stopGradient: false })
  const fetch = [build(x)]
  for (let i = 0; i < order; i++) {
    const [dx] = gradients(fetch.slice(-1), [x])
    if (dx === null || dx === undefined) throw new Error(`there is no derivative of order ${i + 1}`)
    fetch.push(dx)
  }
  const executor = new Executor(cpu(), { legalize })
  // Adding 0 makes −0 a 0: which of both a zero gradient is does not matter.
  const results = executor.runSync(program, { feed: { x: { data: rows.flat(), shape } }, fetch })
  return results.map(({ data }) => [...data].map((value) => Number(value) + 0))
}

describe("ties share the gradient equally", () => {
  test("reduceMax", () => {
    const [z, dx] = derivatives(
      (x) => reduceMax(x, { axis: 1 }),
      [
        [3, 1, 3, 3],
        [0, 2, 1, 2],
      ],
    )
    expect(z).toEqual([3, 2])
    expect(dx).toEqual([1 / 3, 0, 1 / 3, 1 / 3, 0, 1 / 2, 0, 1 / 2])
  })

  test("reduceMin over all axes", () => {
    const [z, dx] = derivatives(
      (x) => reduceMin(x),
      [
        [3, -1],
        [-1, 2],
      ],
    )
    expect(z).toEqual([-1])
    expect(dx).toEqual([0, 1 / 2, 1 / 2, 0])
  })

  test("the maximum of nothing has a gradient of nothing", () => {
    expect(derivatives((x) => reduceSum(reduceMax(x, { axis: 1 })), [[], []])).toEqual([[-Infinity], []])
  })
})

describe("reduceProd", () => {
  const product = (x: Variable) => reduceProd(x, { axis: 1 })

  test("one zero: only its own derivative is left", () => {
    expect(derivatives(product, [[2, 0, 5]])).toEqual([[0], [0, 10, 0]])
  })

  test("two zeros: all of it is 0, the second derivative is not", () => {
    // Σⱼ ∂²z/∂xᵢ∂xⱼ: for the two zeros the product of all others, 0 elsewhere.
    expect(derivatives(product, [[0, 3, 0, 5]], 2)).toEqual([[0], [0, 0, 0, 0], [15, 0, 15, 0]])
  })

  test("three zeros: the third derivative is what is left", () => {
    // Σⱼₖ ∂³z/∂xᵢ∂xⱼ∂xₖ: two orders of the other two zeros, times 7.
    expect(derivatives(product, [[0, 7, 0, 0]], 3)).toEqual([[0], [0, 0, 0, 0], [0, 0, 0, 0], [14, 0, 14, 14]])
  })

  test("over several axes", () => {
    expect(
      derivatives(
        (x) => reduceProd(x),
        [
          [2, 3],
          [0, 4],
        ],
      ),
    ).toEqual([[0], [0, 0, 24, 0]])
  })
})

describe("logsumexp", () => {
  const along = (x: Variable) => logsumexp(x, { axis: 1 })

  test("neither overflows nor underflows", () => {
    const [z, dx] = derivatives(along, [
      [1e4, 1e4],
      [-1e4, -1e4],
      [0, -1e4],
    ])
    expect(z).toEqual([1e4 + Math.LN2, -1e4 + Math.LN2, 0])
    expect(dx?.map((value): unknown => expect.closeTo(value, 10))).toEqual([0.5, 0.5, 0.5, 0.5, 1, 0])
  })

  test("minus infinity has no weight, alone it stays", () => {
    expect(
      derivatives(along, [
        [-Infinity, 2],
        [-Infinity, -Infinity],
      ]),
    ).toEqual([
      [2, -Infinity],
      [0, 1, 0, 0],
    ])
  })

  test("infinity wins, and nothing gives minus infinity", () => {
    expect(derivatives(along, [[Infinity, 2]], 0)).toEqual([[Infinity]])
    expect(derivatives(along, [[]], 0)).toEqual([[-Infinity]])
  })
})
