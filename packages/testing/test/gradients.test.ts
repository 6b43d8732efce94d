// gradients: vector-Jacobian products of any targets with respect to any inputs, to any order.

import { appendBackward, gradients } from "@counterflow/autodiff"
import { Executor } from "@counterflow/executor"
import { symbol, type Variable, verify } from "@counterflow/ir"
import { cpu } from "@counterflow/kernels-cpu"
import {
  add,
  argmax,
  exp,
  legalize,
  matmul,
  mean,
  mul,
  reduceSum,
  scale,
  sin,
  sqrt,
  square,
  sub,
  tanh,
} from "@counterflow/ops"
import { gradCheck } from "@counterflow/testing"
import { describe, expect, test } from "vitest"
import { backwardOps, build, input, namesOf, parameter, refusalOf } from "./building.ts"

const executor = new Executor(cpu(), { legalize })

function values(program: Variable["program"], feed: Record<string, number[]>, fetch: readonly (Variable | null)[]) {
  const wanted = fetch.filter((variable) => variable !== null)
  return executor.runSync(program, { feed, fetch: wanted }).map(({ data }) => Array.from(data as Float32Array))
}

describe("results", () => {
  test("one entry per input, in order; null where nothing flows", () => {
    const { found, main } = build((program) => {
      const [x, y, unused] = [input(program, "x"), input(program, "y"), input(program, "unused")]
      const data = program.globalBlock().createVar({ name: "data", shape: [2], dtype: "float32", isData: true })
      const frozen = parameter(program, "frozen", [2], { trainable: false })
      const z = mul(mul(x, y), mul(data, frozen))
      return { found: gradients(z, [unused, y, data, x, frozen], { noGradSet: ["y"] }) }
    })
    verify(main)
    expect(namesOf([found])).toEqual([[undefined, undefined, undefined, "x@GRAD", undefined]])
    expect(found).toEqual([null, null, null, found[3], null])
  })

  test("a single input gives a list of one, also when that is null (Fluid: an empty list)", () => {
    const { none, one } = build((program) => {
      const [x, y] = [input(program, "x"), input(program, "y")]
      const z = exp(x)
      return { none: gradients(z, y), one: gradients(z, x) }
    })
    expect(none).toEqual([null])
    expect(one).toHaveLength(1)
  })

  test("the path is what inputs reach and targets need: upstream of an intermediate nothing is emitted", () => {
    const { main, dh } = build((program) => {
      const h = tanh(exp(input(program, "x")))
      sin(h)
      return { dh: gradients(square(h), h)[0] }
    })
    expect(dh?.type).toBe("float32[2]")
    expect(backwardOps(main).map(({ derivedFrom }) => derivedFrom?.type ?? "seed")).not.toContain("tanh")
    expect(backwardOps(main).map(({ derivedFrom }) => derivedFrom?.type ?? "seed")).not.toContain("sin")
  })

  test("an input and its descendant: the ancestor's gradient includes the way through the descendant", () => {
    const { main, found } = build((program) => {
      const x = input(program, "x")
      const h = exp(x)
      return { found: gradients(mul(h, x), [x, h]) }
    })
    const [dx, dh] = values(main, { x: [0, 1] }, found)
    expect(dh).toEqual([0, 1])
    expect(dx?.[0]).toBeCloseTo(1, 6)
    expect(dx?.[1]).toBeCloseTo(2 * Math.E, 5)
  })

  test("the same input asked for twice, and gradients of x with respect to x", () => {
    const { main, found, ones } = build((program) => {
      const x = input(program, "x")
      return { found: gradients(square(x), [x, x]), ones: gradients(x, x) }
    })
    verify(main)
    expect(values(main, { x: [3, 4] }, [...found, ...ones])).toEqual([
      [6, 8],
      [6, 8],
      [1, 1],
    ])
  })

  test("no operator of the forward part is changed or marked", () => {
    const { main, before } = build((program) => {
      const x = input(program, "x")
      const z = mean(square(x))
      const before = program
        .toString()
        .split("\n")
        .filter((line) => line.includes(" = "))
      gradients(z, x)
      return { before }
    })
    const after = main
      .toString()
      .split("\n")
      .filter((line) => line.includes(" = "))
    expect(after.slice(0, before.length)).toEqual(before)
    expect(main.globalBlock().ops.some(({ isLoss }) => isLoss)).toBe(false)
  })
})

describe("several targets", () => {
  test("add up, with cotangents of their own, a missing one being ones", () => {
    const { main, found } = build((program) => {
      const [x, c] = [input(program, "x"), input(program, "c")]
      const targets = [square(x), scale(x, { scale: 10 }), exp(x)]
      return { found: gradients(targets, x, { targetGradients: [c, null, c] }) }
    })
    verify(main)
    expect(values(main, { x: [1, 0], c: [2, -1] }, found)[0]).toEqual(
      [2 * 2 + 10 + 2 * Math.fround(Math.E), 0 + 10 - 1].map(Math.fround),
    )
  })

  test("one being an ancestor of another, and one given twice", () => {
    const { main, found, twice } = build((program) => {
      const x = input(program, "x")
      const h = square(x)
      const y = mul(h, h)
      return { found: gradients([y, h, x], x), twice: gradients([h, h], x) }
    })
    verify(main)
    // d(x⁴ + x² + x) = 4x³ + 2x + 1; d(2x²) = 4x
    expect(values(main, { x: [1, 2] }, [...found, ...twice])).toEqual([
      [7, 37],
      [4, 8],
    ])
  })

  test("targets that do not depend on the input contribute nothing", () => {
    const { main, found } = build((program) => {
      const [x, y] = [input(program, "x"), input(program, "y")]
      return { found: gradients([square(y), scale(x, { scale: 3 })], [x]) }
    })
    expect(values(main, { x: [1, 2], y: [1, 1] }, found)).toEqual([[3, 3]])
    expect(backwardOps(main).filter(({ derivedFrom }) => derivedFrom?.type === "square")).toEqual([])
  })
})

describe("targetGradients", () => {
  test("a variable for a single target; the cotangent itself is never handed out", () => {
    const { main, found, c } = build((program) => {
      const [x, c] = [input(program, "x"), input(program, "c")]
      return { c, found: gradients(x, x, { targetGradients: c }) }
    })
    expect(found[0]).not.toBe(c)
    expect(found[0]?.gradientOf?.name).toBe("x")
    expect(c.gradientOf).toBe(null)
    expect(values(main, { c: [5, 6] }, found)).toEqual([[5, 6]])
  })

  test("shape, dtype, count and program must be those of the targets", () => {
    const { x, y, wide, other, double } = build((program) => {
      const x = input(program, "x", [2, 3])
      return {
        x,
        y: square(x),
        wide: input(program, "wide", [3, 2]),
        double: input(program, "d", [2, 3], "float64"),
        other: input(program, "o", [symbol("n"), 3]),
      }
    })
    const { foreign } = build((program) => ({ foreign: input(program, "x", [2, 3]) }))
    const text = x.program.toString()
    expect(refusalOf(() => gradients(y, x, { targetGradients: wide }))).toMatchInlineSnapshot(`
      "CounterflowError: CF_SHAPE_MISMATCH  gradients: a cotangent has the type of its target: [2, 3] float32
          target     square_0.tmp_0 float32[2, 3]   built at LINE
          cotangent  wide float32[3, 2]   built at LINE
        called at LINE"
    `)
    expect(refusalOf(() => gradients(y, x, { targetGradients: double }))).toMatchInlineSnapshot(`
      "CounterflowError: CF_SHAPE_MISMATCH  gradients: a cotangent has the type of its target: [2, 3] float32
          target     square_0.tmp_0 float32[2, 3]   built at LINE
          cotangent  d float64[2, 3]   built at LINE
        called at LINE"
    `)
    expect(refusalOf(() => gradients(y, x, { targetGradients: other }))).toContain("CF_SHAPE_MISMATCH")
    expect(refusalOf(() => gradients([y, y], x, { targetGradients: [x] }))).toMatchInlineSnapshot(`
      "CounterflowError: CF_BAD_ARGUMENT  gradients: targetGradients must have one entry per target: 2, got 1
        called at LINE"
    `)
    expect(refusalOf(() => gradients([y, y], x, { targetGradients: x }))).toContain("one entry per target: 2, got 1")
    expect(refusalOf(() => gradients(y, x, { targetGradients: foreign }))).toContain(
      "CF_FOREIGN_VARIABLE  gradients: targetGradients holds x",
    )
    expect(refusalOf(() => gradients(y, x, { targetGradients: [3 as never] }))).toContain(
      "an entry of targetGradients must be a Variable",
    )
    expect(x.program.toString()).toBe(text)
  })
})

describe("refusals", () => {
  test("empty targets, foreign inputs, what is no Variable, integers", () => {
    const { x, y, i } = build((program) => {
      const x = input(program, "x", [2, 3])
      return { x, y: square(x), i: argmax(x, { axis: 1 }) }
    })
    const { foreign } = build((program) => ({ foreign: input(program, "x", [2, 3]) }))
    expect(refusalOf(() => gradients([], x))).toMatchInlineSnapshot(`
      "CounterflowError: CF_BAD_ARGUMENT  gradients: targets is empty: there is nothing to differentiate
        called at LINE"
    `)
    expect(refusalOf(() => gradients(y, foreign))).toMatchInlineSnapshot(`
      "CounterflowError: CF_FOREIGN_VARIABLE  gradients: inputs holds x, which belongs to another program
          x float32[2, 3]   built at LINE
        called at LINE
        fix: take the variable of this program: program.globalBlock().var("x")"
    `)
    expect(refusalOf(() => gradients([y, foreign], x))).toContain("CF_FOREIGN_VARIABLE  gradients: targets holds x")
    expect(refusalOf(() => gradients("y" as never, x))).toMatchInlineSnapshot(`
      "CounterflowError: CF_BAD_ARGUMENT  gradients: targets must be a Variable, got the string y
        called at LINE"
    `)
    expect(refusalOf(() => gradients(y, [x, null as never]))).toMatchInlineSnapshot(`
      "CounterflowError: CF_BAD_ARGUMENT  gradients: an entry of inputs must be a Variable, got null
        called at LINE"
    `)
    expect(refusalOf(() => gradients(i, x))).toMatchInlineSnapshot(`
      "CounterflowError: CF_DTYPE_MISMATCH  gradients: target argmax_0.tmp_0 must be float32 or float64, got int32
        called at LINE"
    `)
    expect(refusalOf(() => gradients(y, x, { noGradSet: ["xx"] }))).toContain(
      "CF_UNKNOWN_NAME  gradients: noGradSet names",
    )
    expect(gradients(y, [])).toEqual([])
  })
})

describe("higher orders", () => {
  test("gradients of gradients, four times: d⁴/dx⁴ sin x = sin x", () => {
    const { main, fourth } = build((program) => {
      const x = input(program, "x")
      let f: Variable = sin(x)
      for (let i = 0; i < 4; i++) f = gradients(f, x)[0] as Variable
      return { fourth: f }
    })
    verify(main)
    const [found] = values(main, { x: [0.3, 1.2] }, [fourth])
    expect(found?.[0]).toBeCloseTo(Math.sin(0.3), 6)
    expect(found?.[1]).toBeCloseTo(Math.sin(1.2), 6)
  })

  test("a gradient penalty inside a loss, through appendBackward", async () => {
    const { main, loss } = build((program) => {
      const x = input(program, "x", [4, 3])
      const [w1, w2] = [parameter(program, "w1", [3, 5]), parameter(program, "w2", [5, 1])]
      const score = reduceSum(matmul(tanh(matmul(x, w1)), w2))
      const [dx] = gradients(score, x)
      const norms = sqrt(reduceSum(square(dx as Variable), { axis: 1 }))
      return { loss: add(mean(square(sub(norms, 1))), score) }
    })
    const state = (shape: number[], at: number) => ({
      data: Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, (_, i) => Math.sin(3 * i + at)),
      shape,
      dtype: "float32" as const,
    })
    const scope = new Map([
      ["w1", state([3, 5], 1)],
      ["w2", state([5, 1], 2)],
    ])
    const feed = { x: Array.from({ length: 12 }, (_, i) => Math.cos(2 * i)) }
    const report = await gradCheck(main, { loss, wrt: ["w1", "w2"], feed, scope, order: 2 })
    expect(report.toString()).toContain(": ok")
    const pairs = appendBackward(loss)
    verify(main)
    expect(namesOf(pairs).map(([name]) => name)).toEqual(["w1", "w2"])
  })

  test("a Hessian-vector product, both ways", () => {
    const { main, found } = build((program) => {
      const [x, v] = [input(program, "x", [3]), input(program, "v", [3])]
      const f = reduceSum(mul(mul(x, x), x))
      const [g] = gradients(f, x)
      // Reverse over reverse: ∇⟨g, v⟩; and forward over reverse: the transpose of a linear map, twice.
      const [hv] = gradients(g as Variable, x, { targetGradients: v })
      const [back] = gradients(reduceSum(mul(g as Variable, v)), x)
      return { found: [hv ?? null, back ?? null] }
    })
    expect(values(main, { x: [1, 2, 3], v: [1, -1, 0.5] }, found)).toEqual([
      [6, -12, 9],
      [6, -12, 9],
    ])
  })
})
