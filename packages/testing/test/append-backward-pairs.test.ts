// appendBackward: how partial gradients meet, what it answers, and what gradients are called.

import { appendBackward, gradients } from "@counterflow/autodiff"
import { symbol, type Variable, verify } from "@counterflow/ir"
import { batchNorm, conv2d, data, fc } from "@counterflow/layers"
import { add, assign, exp, mean, mul, split, square, tanh } from "@counterflow/ops"
import { describe, expect, test } from "vitest"
import { backwardOps, build, namesOf, parameter, refusalOf } from "./building.ts"

describe("sums and zeros", () => {
  test("partial gradients are summed before anything reads the sum", () => {
    const { main } = build((program) => {
      const h = tanh(parameter(program, "w"))
      appendBackward(mean(add(mul(h, 2), add(exp(h), h))))
      return {}
    })
    verify(main)
    const ops = backwardOps(main)
    const sum = ops.find(({ type }) => type === "sum")
    expect(sum?.inputList()).toHaveLength(3)
    expect(sum?.outputList()[0]?.name).toBe("tanh_0.tmp_0@GRAD")
    const readers = ops.filter((op) => op.inputList().includes(sum?.outputList()[0] as Variable))
    expect(readers.length).toBeGreaterThan(0)
    expect(readers.every((reader) => reader.position > (sum?.position ?? Infinity))).toBe(true)
  })

  test("outputs that nothing used count as zero", () => {
    const { pairs, main } = build((program) => {
      const [first] = split(parameter(program, "w", [6]), { numOrSections: 3, axis: 0 })
      return { pairs: appendBackward(mean(first as Variable)) }
    })
    verify(main)
    expect(pairs[0]?.[1].type).toBe("float32[6]")
  })

  test("a rule that hands its cotangent on, or one variable to two inputs: every gradient is a variable of its own", () => {
    const { main, pairs } = build((program) => {
      const [v, w] = [parameter(program, "v"), parameter(program, "w")]
      return { pairs: appendBackward(mean(assign(add(v, w)))) }
    })
    verify(main)
    expect(namesOf(pairs)).toEqual([
      ["v", "v@GRAD"],
      ["w", "w@GRAD"],
    ])
    const owed = [...main.variables.values()].filter(({ gradientOf }) => gradientOf !== null)
    expect(owed.map(({ name, gradientOf }) => `${gradientOf?.name}@GRAD` === name)).not.toContain(false)
  })
})

describe("pairs", () => {
  test("default: trainable parameters that the loss reaches, in creation order", () => {
    const { pairs } = build((program) => {
      const [a, b, c, d] = [
        parameter(program, "a"),
        parameter(program, "b", [2], { trainable: false }),
        parameter(program, "c"),
        parameter(program, "d", [2], { stopGradient: true }),
      ]
      parameter(program, "unreached")
      return { pairs: appendBackward(mean(mul(mul(d, c), mul(b, a)))) }
    })
    expect(namesOf(pairs).map(([name]) => name)).toEqual(["a", "c"])
  })

  test("parameterList: its order, intermediates and data included, what is not trained left out", () => {
    const { of } = build((program) => {
      const [a, b] = [parameter(program, "a"), parameter(program, "b", [2], { trainable: false })]
      const x = data({ name: "x", shape: [2], appendBatchSize: false })
      const open = data({ name: "open", shape: [2], appendBatchSize: false })
      open.stopGradient = false
      const h = mul(a, mul(x, open))
      const loss = mean(mul(h, b))
      const of = (parameterList: (string | Variable)[]) =>
        namesOf(appendBackward(loss, { parameterList })).map(([name]) => name)
      return { of: [of([h, "open", a]), of([a, "open", h]), of([]), of(["x", "b"])] }
    })
    expect(of).toEqual([["mul_1.tmp_0", "open", "a"], ["a", "open", "mul_1.tmp_0"], [], []])
  })

  test("unknown and foreign entries are refused, by name, where they stand", () => {
    const { loss, main } = build((program) => ({ loss: mean(parameter(program, "weight")) }))
    const { w } = build((program) => ({ w: parameter(program, "weight") }))
    const text = main.toString()
    expect(refusalOf(() => appendBackward(loss, { parameterList: ["wieght"] }))).toMatchInlineSnapshot(`
      "CounterflowError: CF_UNKNOWN_NAME  appendBackward: parameterList names "wieght", which the program does not have
        called at LINE
        fix: did you mean "weight"?"
    `)
    expect(() => appendBackward(loss, { parameterList: [w] })).toThrow(
      /^CF_FOREIGN_VARIABLE {2}appendBackward: parameterList holds weight, which belongs to another program/,
    )
    expect(() => appendBackward(loss, { noGradSet: ["nobody"] })).toThrow(
      /^CF_UNKNOWN_NAME {2}appendBackward: noGradSet names "nobody"/,
    )
    expect(() => appendBackward(loss, { noGradSet: [w] })).toThrow(
      /^CF_FOREIGN_VARIABLE {2}appendBackward: noGradSet holds weight/,
    )
    expect(() => appendBackward(loss, { parameterList: "weight" })).toThrow(
      /^CF_BAD_ARGUMENT {2}appendBackward: parameterList must be a list of names or Variables, got the string weight/,
    )
    expect(() => appendBackward(loss, { parameterList: [3 as never] })).toThrow(
      /^CF_BAD_ARGUMENT {2}appendBackward: an entry of parameterList must be a Variable, got the number 3/,
    )
    expect(main.toString()).toBe(text)
  })

  test("any iterable will do", () => {
    const { pairs } = build((program) => {
      const [a, b] = [parameter(program, "a"), parameter(program, "b")]
      return {
        pairs: appendBackward(mean(mul(a, b)), {
          parameterList: new Set(["b", "a"]),
          noGradSet: new Map([["a", 1]]).keys(),
        }),
      }
    })
    expect(namesOf(pairs)).toEqual([["b", "b@GRAD"]])
  })
})

describe("names and types", () => {
  test("x@GRAD; taken names get a suffix, and calls never add up", () => {
    const { first, second, main } = build((program) => {
      const loss = mean(square(parameter(program, "w")))
      return { first: appendBackward(loss), second: appendBackward(loss) }
    })
    verify(main)
    expect(namesOf([...first, ...second])).toEqual([
      ["w", "w@GRAD"],
      ["w", "w@GRAD_0"],
    ])
    expect(second[0]?.[1].gradientOf).toBe(first[0]?.[0])
  })

  test("the gradient of x@GRAD is x@GRAD@GRAD", () => {
    const { dd } = build((program) => {
      const w = parameter(program, "w")
      const [d] = gradients(square(w), w)
      return { dd: gradients(square(d as Variable), [d as Variable]) }
    })
    expect(dd[0]?.name).toBe("w@GRAD@GRAD")
  })

  test("every gradient has the shape and dtype of its variable, also where sizes are unknown", () => {
    const { main } = build((program) => {
      const x = data({ name: "x", shape: [3, 4, 4] })
      x.stopGradient = false
      const h = batchNorm(conv2d(x, { numFilters: 2, filterSize: 3, act: "relu" }))
      const bias = program.globalBlock().createParameter({ name: "b", shape: [symbol("batch"), 1], dtype: "float32" })
      appendBackward(mean(add(fc(h, { size: 1 }), bias)))
      return {}
    })
    verify(main)
    const owed = [...main.variables.values()].filter(({ gradientOf }) => gradientOf !== null)
    expect(owed.length).toBeGreaterThan(8)
    for (const gradient of owed)
      expect([gradient.name, gradient.type]).toEqual([gradient.name, gradient.gradientOf?.type])
  })
})
