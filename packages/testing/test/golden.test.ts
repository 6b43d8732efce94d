// Derivatives as programs a person can check by eye: the backward part of small programs, line by line.
import { appendBackward, gradients } from "@counterflow/autodiff"
import { printProgram, Program, programGuard, type Variable } from "@counterflow/ir"
import { data, fc } from "@counterflow/layers"
import { div, exp, mean, mul, relu, sin, squareErrorCost, sum } from "@counterflow/ops"
import { describe, expect, test } from "vitest"

/** The lines that `build` appends with role backward; `scalar` declares a number to differentiate by. */
function backwardOf(build: (scalar: (name: string) => Variable) => unknown): string {
  const main = new Program()
  const scalar = (name: string) =>
    main.globalBlock().createVar({ name, shape: [], dtype: "float64", persistable: true, stopGradient: false })
  programGuard(main, new Program(), () => build(scalar))
  return printProgram(main, { brief: true, roles: ["backward"] })
}

describe("derivatives, as programs", () => {
  test("d/dx sin(x)·eˣ: the product rule", () => {
    const text = backwardOf((scalar) => {
      const x = scalar("x")
      gradients(mul(sin(x), exp(x)), x)
    })
    expect(text).toMatchInlineSnapshot(`
      "mul_0.tmp_0@GRAD = fillConstant() {shape: [], value: 1, dtype: "float64"}
      sin_0.tmp_0@GRAD = mul(mul_0.tmp_0@GRAD, exp_0.tmp_0)
      exp_0.tmp_0@GRAD = mul(mul_0.tmp_0@GRAD, sin_0.tmp_0)
      x@GRAD@PART_0 = mul(exp_0.tmp_0@GRAD, exp_0.tmp_0)
      cos_0.grad_0 = cos(x)
      x@GRAD@PART_1 = mul(sin_0.tmp_0@GRAD, cos_0.grad_0)
      x@GRAD = sum([x@GRAD@PART_0, x@GRAD@PART_1])"
    `)
  })

  test("x / y", () => {
    const text = backwardOf((scalar) => {
      const [x, y] = [scalar("x"), scalar("y")]
      gradients(div(x, y), [x, y])
    })
    expect(text).toMatchInlineSnapshot(`
      "div_0.tmp_0@GRAD = fillConstant() {shape: [], value: 1, dtype: "float64"}
      x@GRAD = div(div_0.tmp_0@GRAD, y)
      mul_0.grad_0 = mul(div_0.tmp_0@GRAD, div_0.tmp_0)
      div_0.grad_0 = div(mul_0.grad_0, y)
      y@GRAD = neg(div_0.grad_0)"
    `)
  })

  test("a variable read three times: one sum", () => {
    const text = backwardOf((scalar) => {
      const x = scalar("x")
      gradients(sum([x, x, x]), x)
    })
    expect(text).toMatchInlineSnapshot(`
      "sum_0.tmp_0@GRAD = fillConstant() {shape: [], value: 1, dtype: "float64"}
      x@GRAD@PART_0 = assign(sum_0.tmp_0@GRAD)
      x@GRAD@PART_1 = assign(sum_0.tmp_0@GRAD)
      x@GRAD@PART_2 = assign(sum_0.tmp_0@GRAD)
      x@GRAD = sum([x@GRAD@PART_0, x@GRAD@PART_1, x@GRAD@PART_2])"
    `)
  })

  test("d²/dx² of x²: backward of backward", () => {
    const text = backwardOf((scalar) => {
      const x = scalar("x")
      const [dx] = gradients(mul(x, x), x)
      if (dx !== null && dx !== undefined) gradients(dx, x)
    })
    expect(text).toMatchInlineSnapshot(`
      "mul_0.tmp_0@GRAD = fillConstant() {shape: [], value: 1, dtype: "float64"}
      x@GRAD@PART_0 = mul(mul_0.tmp_0@GRAD, x)
      x@GRAD@PART_1 = mul(mul_0.tmp_0@GRAD, x)
      x@GRAD = sum([x@GRAD@PART_0, x@GRAD@PART_1])
      x@GRAD@GRAD = fillConstant() {shape: [], value: 1, dtype: "float64"}
      x@GRAD@PART_0@GRAD = assign(x@GRAD@GRAD)
      x@GRAD@PART_1@GRAD = assign(x@GRAD@GRAD)
      x@GRAD@PART_2 = mul(x@GRAD@PART_1@GRAD, mul_0.tmp_0@GRAD)
      x@GRAD@PART_3 = mul(x@GRAD@PART_0@GRAD, mul_0.tmp_0@GRAD)
      x@GRAD_0 = sum([x@GRAD@PART_2, x@GRAD@PART_3])"
    `)
  })

  test("two layers and a squared error", () => {
    const text = backwardOf(() => {
      const x = data({ name: "x", shape: [13] })
      const y = data({ name: "y", shape: [1] })
      const hidden = relu(fc(x, { size: 4 }))
      appendBackward(mean(squareErrorCost(fc(hidden, { size: 1 }), y)))
    })
    expect(text).toMatchInlineSnapshot(`
      "mean_0.tmp_0@GRAD = fillConstant() {shape: [], value: 1, dtype: "float32"}
      dim_value_0.grad_0 = dimValue() {dim: batch, dtype: "float32"}
      div_0.grad_0 = div(mean_0.tmp_0@GRAD, dim_value_0.grad_0)
      square_error_cost_0.tmp_0@GRAD = broadcastTo(div_0.grad_0) {shape: [batch, 1]}
      sub_0.grad_0 = sub(fc_1.tmp_1, y)
      scale_0.grad_0 = scale(sub_0.grad_0) {scale: 2, bias: 0}
      fc_1.tmp_1@GRAD = mul(square_error_cost_0.tmp_0@GRAD, scale_0.grad_0)
      fc_1.tmp_0@GRAD = assign(fc_1.tmp_1@GRAD)
      fc_1.broadcast_0@GRAD = assign(fc_1.tmp_1@GRAD)
      fc_1.b_0@GRAD = reduceSum(fc_1.broadcast_0@GRAD) {axis: [0]}
      relu_0.tmp_0@GRAD = matmul(fc_1.tmp_0@GRAD, fc_1.w_0) {transposeY: true, alpha: 1}
      fc_1.w_0@GRAD = matmul(relu_0.tmp_0, fc_1.tmp_0@GRAD) {transposeX: true, alpha: 1}
      sign_0.grad_0 = sign(relu_0.tmp_0)
      fc_0.tmp_1@GRAD = mul(relu_0.tmp_0@GRAD, sign_0.grad_0)
      fc_0.tmp_0@GRAD = assign(fc_0.tmp_1@GRAD)
      fc_0.broadcast_0@GRAD = assign(fc_0.tmp_1@GRAD)
      fc_0.b_0@GRAD = reduceSum(fc_0.broadcast_0@GRAD) {axis: [0]}
      fc_0.w_0@GRAD = matmul(x, fc_0.tmp_0@GRAD) {transposeX: true, alpha: 1}"
    `)
  })
})
