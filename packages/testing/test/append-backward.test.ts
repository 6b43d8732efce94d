// appendBackward: which operators it appends, and from which loss.

import { appendBackward, gradients } from "@counterflow/autodiff"
import { type Variable, verify, type Program } from "@counterflow/ir"
import { conv2d, data, fc } from "@counterflow/layers"
import {
  add,
  argmax,
  cast,
  composite,
  emit,
  exp,
  mean,
  mul,
  notYet,
  relu,
  square,
  squareErrorCost,
  tanh,
} from "@counterflow/ops"
import { describe, expect, test } from "vitest"
import { backwardOps, build, namesOf, parameter, refusalOf } from "./building.ts"

/** The appended part as text, names of counters left out. */
function backwardText(program: Program): string {
  const lines = program.toString().split("\n")
  return lines
    .slice(lines.findIndex((line) => line.includes("-- backward")) + 1)
    .filter((line) => !/^ {2}(names|trainingNames) /.test(line))
    .join("\n")
}

describe("the two examples of Fluid's documentation", () => {
  test("linear regression, the whole backward part", () => {
    const { main, pairs } = build(() => {
      const x = data({ name: "x", shape: [13], dtype: "float32" })
      const y = data({ name: "y", shape: [1], dtype: "float32" })
      const predict = fc(x, { size: 1 })
      return { pairs: appendBackward(mean(squareErrorCost(predict, y))) }
    })
    verify(main)
    expect(namesOf(pairs)).toEqual([
      ["fc_0.w_0", "fc_0.w_0@GRAD"],
      ["fc_0.b_0", "fc_0.b_0@GRAD"],
    ])
    expect(backwardText(main)).toMatchInlineSnapshot(`
      "  mean_0.tmp_0@GRAD : float32[] = fillConstant() {shape: [], value: 1, dtype: "float32"} gradientOf=mean_0.tmp_0
        dim_value_0.grad_0 : float32[] = dimValue() {dim: batch, dtype: "float32"} from=mean_0.tmp_0
        div_0.grad_0 : float32[] = div(x: mean_0.tmp_0@GRAD, y: dim_value_0.grad_0) from=mean_0.tmp_0
        square_error_cost_0.tmp_0@GRAD : float32[batch, 1] = broadcastTo(x: div_0.grad_0) {shape: [batch, 1]} gradientOf=square_error_cost_0.tmp_0 from=mean_0.tmp_0
        sub_0.grad_0 : float32[batch, 1] = sub(x: fc_0.tmp_1, y: y) from=square_error_cost_0.tmp_0
        scale_0.grad_0 : float32[batch, 1] = scale(x: sub_0.grad_0) {scale: 2, bias: 0} from=square_error_cost_0.tmp_0
        fc_0.tmp_1@GRAD : float32[batch, 1] = mul(x: square_error_cost_0.tmp_0@GRAD, y: scale_0.grad_0) gradientOf=fc_0.tmp_1 from=square_error_cost_0.tmp_0
        fc_0.tmp_0@GRAD : float32[batch, 1] = assign(x: fc_0.tmp_1@GRAD) gradientOf=fc_0.tmp_0 from=fc_0.tmp_1
        fc_0.broadcast_0@GRAD : float32[batch, 1] = assign(x: fc_0.tmp_1@GRAD) gradientOf=fc_0.broadcast_0 from=fc_0.tmp_1
        fc_0.b_0@GRAD : float32[1] = reduceSum(x: fc_0.broadcast_0@GRAD) {axis: [0], keepDim: false} gradientOf=fc_0.b_0 from=fc_0.broadcast_0
        fc_0.w_0@GRAD : float32[13, 1] = matmul(x: x, y: fc_0.tmp_0@GRAD) {transposeX: true, transposeY: false, alpha: 1} gradientOf=fc_0.w_0 from=fc_0.tmp_0
      "
    `)
  })

  test("the gradient of a small convolution net with respect to its input", () => {
    const { main, dx } = build(() => {
      const x = data({ name: "x", shape: [2, 8, 8], dtype: "float32" })
      x.stopGradient = false
      let y = conv2d(x, { numFilters: 4, filterSize: 1, biasAttr: false })
      y = relu(y)
      y = conv2d(y, { numFilters: 4, filterSize: 1, biasAttr: false })
      y = relu(y)
      return { dx: gradients([y], x)[0] }
    })
    verify(main)
    expect(dx?.toString()).toBe("x@GRAD float32[batch, 2, 8, 8]")
    // Weights got none: nobody asked.
    expect([...main.variables.keys()].filter((name) => /w_0@GRAD/.test(name))).toEqual([])
  })
})

describe("the loss", () => {
  test("must be computed, of one element, and float", () => {
    const { x, y, i } = build((program) => {
      const x = data({ name: "x", shape: [3] })
      return { x, y: tanh(x), i: argmax(parameter(program, "w"), { axis: 0 }) }
    })
    expect(refusalOf(() => appendBackward(x))).toMatchInlineSnapshot(`
      "CounterflowError: CF_NOT_A_LOSS  appendBackward: x is not computed by an operator of its program, so there is nothing to differentiate
          x float32[batch, 3]   built at LINE
        called at LINE
        fix: pass the output of an operator, such as mean(squareErrorCost(prediction, label))"
    `)
    expect(refusalOf(() => appendBackward(y))).toMatchInlineSnapshot(`
      "CounterflowError: CF_NOT_A_LOSS  appendBackward: the loss must have one element, got shape [batch, 3]
          tanh_0.tmp_0 float32[batch, 3]   built at LINE
        called at LINE
        fix: reduce it with mean(loss) or reduceSum(loss)"
    `)
    expect(refusalOf(() => appendBackward(i))).toMatchInlineSnapshot(`
      "CounterflowError: CF_NOT_A_LOSS  appendBackward: the loss must be float32 or float64, got int32
          argmax_0.tmp_0 int32[]   built at LINE
        called at LINE"
    `)
    expect(refusalOf(() => appendBackward("mean_0.tmp_0" as never))).toMatchInlineSnapshot(`
      "CounterflowError: CF_BAD_ARGUMENT  appendBackward: the loss must be a Variable, got the string mean_0.tmp_0
        called at LINE"
    `)
  })

  test("may have Fluid's shape [1], or any shape of one element", () => {
    const { pairs } = build((program) => ({ pairs: appendBackward(square(parameter(program, "w", [1, 1]))) }))
    expect(namesOf(pairs)).toEqual([["w", "w@GRAD"]])
  })

  test("its operator is marked, appended ones have the role backward and a link to their forward operator", () => {
    const { main, loss } = build((program) => {
      const loss = mean(square(parameter(program, "w")))
      appendBackward(loss)
      return { loss }
    })
    const [first, ...rest] = backwardOps(main)
    expect(main.globalBlock().ops.filter(({ isLoss }) => isLoss)).toEqual([loss.producer])
    expect(first?.type).toBe("fillConstant")
    expect(first?.attrs).toEqual({ shape: [], value: 1, dtype: "float32" })
    expect(first?.outputList()[0]?.gradientOf).toBe(loss)
    expect(rest.every(({ derivedFrom }) => derivedFrom?.role === "forward")).toBe(true)
    expect(
      main
        .globalBlock()
        .ops.slice(0, -rest.length - 1)
        .every(({ role }) => role === "forward"),
    ).toBe(true)
  })

  test("with stopGradient nothing flows: no pairs, no operators", () => {
    const { main, pairs } = build((program) => {
      const loss = mean(parameter(program, "w"))
      loss.stopGradient = true
      return { pairs: appendBackward(loss) }
    })
    expect(pairs).toEqual([])
    expect(backwardOps(main)).toEqual([])
  })

  test("of a clone works on the clone and leaves the original as it was", () => {
    const { main, loss } = build((program) => ({ loss: mean(square(parameter(program, "w"))) }))
    const text = main.toString()
    const clone = main.clone()
    const pairs = appendBackward(clone.globalBlock().var(loss.name))
    verify(clone)
    expect(namesOf(pairs)).toEqual([["w", "w@GRAD"]])
    expect(pairs[0]?.[0].program).toBe(clone)
    expect(main.toString()).toBe(text)
    appendBackward(loss)
    expect(main.toString()).toBe(clone.toString())
  })
})

describe("the path", () => {
  test("operators that do not influence the loss get no gradient operators", () => {
    const { main } = build((program) => {
      const w = parameter(program, "w")
      exp(w)
      const loss = mean(square(w))
      tanh(loss)
      appendBackward(loss)
      return {}
    })
    expect(new Set(backwardOps(main).map(({ derivedFrom }) => derivedFrom?.type ?? "seed"))).toEqual(
      new Set(["seed", "mean", "square"]),
    )
  })

  test("integer, boolean and index chains are pruned without help", () => {
    const { main, pairs } = build((program) => {
      const w = parameter(program, "w", [3])
      const place = argmax(w, { axis: 0 })
      const label = data({ name: "label", shape: [1], dtype: "int64" })
      const shift = add(cast(place, { dtype: "float32" }), mean(cast(label, { dtype: "float32" })))
      return { pairs: appendBackward(mean(mul(w, shift))) }
    })
    expect(namesOf(pairs)).toEqual([["w", "w@GRAD"]])
    expect(backwardOps(main).filter(({ derivedFrom }) => ["argmax", "cast"].includes(derivedFrom?.type ?? ""))).toEqual(
      [],
    )
  })

  test("branches that lead only to variables without gradient are not emitted", () => {
    const { main, pairs } = build((program) => {
      const [w, frozen] = [parameter(program, "w"), parameter(program, "frozen", [2], { trainable: false })]
      const loss = mean(mul(w, exp(frozen)))
      return { pairs: appendBackward(loss) }
    })
    expect(namesOf(pairs)).toEqual([["w", "w@GRAD"]])
    expect(backwardOps(main).filter(({ derivedFrom }) => derivedFrom?.type === "exp")).toEqual([])
  })

  test("rules are asked only for what is needed: a product with data makes one factor's gradient", () => {
    const { main } = build((program) => {
      appendBackward(mean(mul(parameter(program, "w"), data({ name: "x", shape: [2], appendBatchSize: false }))))
      return {}
    })
    expect(backwardOps(main).filter(({ derivedFrom }) => derivedFrom?.type === "mul")).toHaveLength(1)
  })

  test("stopGradient on a hidden variable cuts all that is upstream, by one way and not by the other", () => {
    const { pairs } = build((program) => {
      const w = parameter(program, "w")
      const hidden = exp(w)
      hidden.stopGradient = true
      return { pairs: appendBackward(mean(mul(hidden, w))) }
    })
    // d(stop(eʷ) w)/dw = eʷ: one way only, so no sum.
    expect(pairs[0]?.[1].producer?.type).toBe("mul")
  })

  test("a parameter in noGradSet loses its own gradient only", () => {
    const { pairs } = build((program) => {
      const [w, v] = [parameter(program, "w"), parameter(program, "v")]
      return { pairs: appendBackward(mean(mul(tanh(w), v)), { noGradSet: [v] }) }
    })
    expect(namesOf(pairs)).toEqual([["w", "w@GRAD"]])
  })

  test("an operator without a written gradient is refused with its reason and lines; off the path nobody asks", () => {
    const missingOp = composite({
      name: "test.missing",
      inputs: { x: "tensor" },
      outputs: ["z"],
      infer: ({ x }) => ({ z: x }),
      grad: notYet("somebody has to think of it first"),
      decompose: ({ x }) => ({ z: square(x) }),
    })
    const missing = (x: Variable): Variable => emit(missingOp, { x }, {}, missing).z
    const { main, used, unused } = build((program) => {
      const w = parameter(program, "w")
      return {
        used: mean(missing(w)),
        unused: mean(mul(w, missing(data({ name: "x", shape: [2], appendBatchSize: false })))),
      }
    })
    expect(namesOf(appendBackward(unused))).toEqual([["w", "w@GRAD"]])
    const text = main.toString()
    expect(() => appendBackward(used)).toThrow(
      /^CF_NO_GRADIENT {2}test.missing: its gradient is not written yet: somebody has to think of it first\n {4}w float32\[2\] {3}built at .*\n {2}this test.missing was built at .*append-backward.test.ts/,
    )
    expect(main.toString()).toBe(text)
  })
})
