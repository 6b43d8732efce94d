// Copies: whole, for test, pruned. They share nothing with the original but records.

import { Parameter, Program, type Variable, verify } from "@counterflow/ir"
import { describe, expect, test } from "vitest"
import { addUpdate, dataOf, everything, training } from "./programs.ts"
import { add, cond, mean, mul, norm, sgd } from "./records.ts"
import { messageOf } from "./refusals.ts"

describe("clone", () => {
  test.each([
    ["training", training],
    ["everything", everything],
  ])("is the same program in other objects: %s", (_, build) => {
    const program = build()
    const clone = program.clone()
    verify(clone)
    expect(clone.toJSON()).toEqual(program.toJSON())
    expect(clone.toString()).toBe(program.toString())
    for (const [name, variable] of clone.variables) {
      expect(variable === program.variables.get(name)).toBe(false)
      expect(variable.program === clone).toBe(true)
    }
    expect([...clone.operators()].map((op) => op.record)).toEqual([...program.operators()].map((op) => op.record))
    expect([...clone.operators()].map((op) => op.site)).toEqual([...program.operators()].map((op) => op.site))
  })

  test("grows apart from the original", () => {
    const program = training()
    const text = program.toString()
    const clone = program.clone()
    const [x, w] = [clone.globalBlock().var("x"), clone.globalBlock().var("w")]
    expect(mul(x, w).name).toBe("mul_1.tmp_0")
    x.stopGradient = false
    if (w instanceof Parameter) w.trainable = false
    expect(program.toString()).toBe(text)
  })
})

describe("clone for test", () => {
  test("is equal before and after the backward and the updates", () => {
    const program = new Program()
    const x = dataOf(program, "x", [2])
    const w = program.globalBlock().createParameter({ name: "w", shape: [2], dtype: "float32" })
    const product = mul(x, w)
    const loss = mean(product)
    const before = program.clone({ forTest: true })
    if (loss.producer !== null) loss.producer.isLoss = true
    addUpdate(program, { x, w, product })
    program.within({ role: "optimize" }, () => {
      program.globalBlock().createVar({ name: "moment", shape: [2], dtype: "float32", persistable: true })
    })
    program.within({ role: "backward" }, () => cond(x, { whenTrue: () => [add(w, w)], whenFalse: () => [w] }))
    const after = program.clone({ forTest: true })
    verify(after)
    expect(after.toJSON()).toEqual(before.toJSON())
    expect(after.toString()).toMatchInlineSnapshot(`
      "program
        data x : float32[2]
        parameter w : float32[2]
        mul_0.tmp_0 : float32[2] = mul(x: x, y: w)
        mean_0.tmp_0 : float32[] = mean(x: mul_0.tmp_0)
        names {mul: 1, mul_0.tmp: 1, mean: 1, mean_0.tmp: 1}
      "
    `)
  })

  test("sets isTest and drops the writes of those operators", () => {
    const program = new Program()
    const x = dataOf(program, "x", [2])
    const running = program
      .globalBlock()
      .createVar({ name: "running", shape: [2], dtype: "float32", persistable: true })
    const counter = program
      .globalBlock()
      .createVar({ name: "counter", shape: [2], dtype: "float32", persistable: true })
    norm(x, running)
    sgd(counter, x)
    const forTest = program.clone({ forTest: true })
    verify(forTest)
    expect(forTest.toString()).toMatchInlineSnapshot(`
      "program
        data x : float32[2]
        state running : float32[2] stopGradient=false
        state counter : float32[2] stopGradient=false
        (y: norm_0.tmp_0 : float32[2], nextMean: running@NEXT : float32[2]) = norm(x: x, runningMean: running) {isTest: true, mode: "batch"} version=2
        (next: counter@NEXT : float32[2]) = sgd(param: counter, grad: x) {learningRate: 0.1} writes=counter
        names {norm: 1, norm_0.tmp: 1}
      "
    `)
    expect(program.globalBlock().ops[0]?.attrs["isTest"]).toBe(false)
  })

  test("keeps what a forward operator reads of the backward, without its writes", () => {
    const program = new Program()
    const x = dataOf(program, "x", [2])
    const w = program.globalBlock().createParameter({ name: "w", shape: [2], dtype: "float32" })
    const penalty = program.within({ role: "backward" }, () => {
      mul(x, x)
      const [inner = x] = cond(x, { whenTrue: () => [mul(w, w)], whenFalse: () => [w] })
      return inner
    })
    const updated = program.within({ role: "optimize" }, () => sgd(w, penalty))
    mean(add(penalty, updated))
    verify(program)
    const forTest = program.clone({ forTest: true })
    verify(forTest)
    expect(forTest.toString()).toMatchInlineSnapshot(`
      "program
        data x : float32[2]
        parameter w : float32[2]
        -- backward
        (ys: [cond_0.grad_0 : float32[2]]) = cond(pred: x, captures: [w])
          block 1 whenTrue
            mul_1.grad_0 : float32[2] = mul(x: w, y: w)
            return mul_1.grad_0
          block 2 whenFalse
            return w
        -- optimize
        (next: w@NEXT : float32[2]) = sgd(param: w, grad: cond_0.grad_0) {learningRate: 0.1}
        -- forward
        add_0.tmp_0 : float32[2] = add(x: cond_0.grad_0, y: w@NEXT)
        mean_0.tmp_0 : float32[] = mean(x: add_0.tmp_0)
        names {add: 1, add_0.tmp: 1, mean: 1, mean_0.tmp: 1}
      "
    `)
  })
})

describe("prune", () => {
  function twoHeads(): { program: Program; first: Variable; second: Variable } {
    const program = new Program()
    const [x, y] = [dataOf(program, "x", [2]), dataOf(program, "y", [2])]
    const w = program.globalBlock().createParameter({ name: "w", shape: [2], dtype: "float32" })
    const [normal = x] = norm(mul(x, w), w)
    const [second = y] = cond(y, { whenTrue: () => [add(y, y)], whenFalse: () => [y] })
    return { program, first: mean(normal), second }
  }

  test("keeps what the targets need, and no writes", () => {
    const { program, first } = twoHeads()
    const pruned = program.prune(first)
    verify(pruned)
    expect(pruned.toString()).toMatchInlineSnapshot(`
      "program
        data x : float32[2]
        parameter w : float32[2]
        mul_0.tmp_0 : float32[2] = mul(x: x, y: w)
        (y: norm_0.tmp_0 : float32[2], nextMean: w@NEXT : float32[2]) = norm(x: mul_0.tmp_0, runningMean: w) {isTest: false, mode: "batch"} version=2
        mean_0.tmp_0 : float32[] = mean(x: norm_0.tmp_0)
        names {mul: 1, mul_0.tmp: 1, norm: 1, norm_0.tmp: 1, add: 1, add_0.tmp: 1, cond: 1, cond_0.tmp: 1, mean: 1, mean_0.tmp: 1}
      "
    `)
    expect(program.prune(first.name).toJSON()).toEqual(pruned.toJSON())
  })

  test("keeps blocks, and several targets", () => {
    const { program, first, second } = twoHeads()
    const pruned = program.prune([second])
    verify(pruned)
    expect(pruned.toString()).toMatchInlineSnapshot(`
      "program
        data y : float32[2]
        (ys: [cond_0.tmp_0 : float32[2]]) = cond(pred: y, captures: [y])
          block 1 whenTrue
            add_0.tmp_0 : float32[2] = add(x: y, y: y)
            return add_0.tmp_0
          block 2 whenFalse
            return y
        names {mul: 1, mul_0.tmp: 1, norm: 1, norm_0.tmp: 1, add: 1, add_0.tmp: 1, cond: 1, cond_0.tmp: 1, mean: 1, mean_0.tmp: 1}
      "
    `)
    const both = program.prune([second, first.name])
    verify(both)
    expect([...both.operators()].map((op) => op.type)).toEqual(["mul", "norm", "cond", "mean", "add"])
  })

  test("a target that nothing computes stays", () => {
    const { program } = twoHeads()
    expect(program.prune("x").toString()).toMatchInlineSnapshot(`
      "program
        data x : float32[2]
        names {mul: 1, mul_0.tmp: 1, norm: 1, norm_0.tmp: 1, add: 1, add_0.tmp: 1, cond: 1, cond_0.tmp: 1, mean: 1, mean_0.tmp: 1}
      "
    `)
    expect(messageOf(() => program.prune("z"))).toMatchInlineSnapshot(`
      "CF_UNKNOWN_NAME  the program has no variable "z"
        fix: did you mean "x"?"
    `)
  })
})
