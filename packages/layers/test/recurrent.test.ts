// Recurrent layers as programs: parameters and their names, shapes, how many operators there are, and what is refused.

import { printProgram, type Variable } from "@counterflow/ir"
import { describe, expect, test } from "vitest"
import { data, gru, lstm, rnn } from "../src/index.ts"
import { build, refusalOf, untyped } from "./building.ts"

const sequence = (steps = 5) => data({ name: "x", shape: [steps, 3] })
const types = (variables: readonly Variable[]) => variables.map(({ type }) => type)

describe("recurrent layers", () => {
  test("lstm is one product of all steps, and a loop", () => {
    const { main } = build(() => lstm(sequence(), { size: 2 }))
    expect(printProgram(main, { brief: true })).toMatchInlineSnapshot(`
      "lstm_0.tmp_0 = fillConstant() {shape: [batch, 2], value: 0, dtype: "float32"}
      lstm_0.tmp_1 = fillConstant() {shape: [batch, 2], value: 0, dtype: "float32"}
      lstm_0.tmp_2 = transpose(x) {perm: [1, 0, 2]}
      lstm_0.tmp_3 = flattenMatmul(lstm_0.tmp_2, lstm_0.w_0) {xNumColDims: 2, yNumColDims: 1}
      lstm_0.broadcast_0 = broadcastTo(lstm_0.b_0) {shape: [5, batch, 8]}
      lstm_0.tmp_4 = add(lstm_0.tmp_3, lstm_0.broadcast_0)
      ([lstm_0.tmp_20, lstm_0.tmp_21], [lstm_0.tmp_22], []) = scan([lstm_0.tmp_0, lstm_0.tmp_1], [lstm_0.tmp_4], [lstm_0.w_1]) {length: 5, ys: 1}
        body
          param scan.index_0, scan.carry_0, scan.carry_1, scan.slice_0
          lstm_0.tmp_5 = matmul(scan.carry_0, lstm_0.w_1) {alpha: 1}
          lstm_0.tmp_6 = add(scan.slice_0, lstm_0.tmp_5)
          [lstm_0.tmp_7, lstm_0.tmp_8, lstm_0.tmp_9, lstm_0.tmp_10] = split(lstm_0.tmp_6) {axis: 1, sections: [2, 2, 2, 2]}
          lstm_0.tmp_11 = sigmoid(lstm_0.tmp_7)
          lstm_0.tmp_12 = tanh(lstm_0.tmp_9)
          lstm_0.tmp_13 = mul(lstm_0.tmp_11, lstm_0.tmp_12)
          lstm_0.tmp_14 = sigmoid(lstm_0.tmp_8)
          lstm_0.tmp_15 = mul(lstm_0.tmp_14, scan.carry_1)
          lstm_0.tmp_16 = add(lstm_0.tmp_15, lstm_0.tmp_13)
          lstm_0.tmp_17 = sigmoid(lstm_0.tmp_10)
          lstm_0.tmp_18 = tanh(lstm_0.tmp_16)
          lstm_0.tmp_19 = mul(lstm_0.tmp_17, lstm_0.tmp_18)
          return lstm_0.tmp_19, lstm_0.tmp_16, lstm_0.tmp_19
      lstm_0.tmp_23 = transpose(lstm_0.tmp_22) {perm: [1, 0, 2]}"
    `)
  })

  test("each gate starts as a layer of its own", () => {
    const { startup } = build(() => lstm(sequence(), { size: 2 }))
    const bounds = startup
      .globalBlock()
      .ops.flatMap(({ attrs }) => (typeof attrs["max"] === "number" ? [attrs["max"]] : []))
    expect(bounds.map((bound) => bound ** 2)).toEqual([expect.closeTo(6 / (3 + 2), 9), expect.closeTo(6 / (2 + 2), 9)])
  })

  test("gru and rnn", () => {
    const { made, main } = build(() => {
      const x = sequence()
      return [gru(x, { size: 4 }), rnn(x, { size: 2, biasAttr: false, name: "cell" })]
    })
    expect(made.map(types)).toEqual([
      ["float32[batch, 5, 4]", "float32[batch, 4]"],
      ["float32[batch, 5, 2]", "float32[batch, 2]"],
    ])
    expect(main.allParameters().map(String)).toEqual([
      "gru_0.w_0 float32[3, 12]",
      "gru_0.w_1 float32[4, 12]",
      "gru_0.b_0 float32[12]",
      "cell.w_0 float32[3, 2]",
      "cell.w_1 float32[2, 2]",
    ])
  })

  test("layers on top of each other, in both directions", () => {
    const { made, main } = build(() =>
      lstm(sequence(), { size: 4, numLayers: 2, isBidirec: true, paramAttr: list(8), dropoutProb: 0.5 }),
    )
    expect(types(made)).toEqual(["float32[batch, 5, 8]", "float32[4, batch, 4]", "float32[4, batch, 4]"])
    expect(main.allParameters().map(String)).toEqual([
      "w0 float32[3, 16]",
      "w1 float32[4, 16]",
      "lstm_0.b_0 float32[16]",
      "w2 float32[3, 16]",
      "w3 float32[4, 16]",
      "lstm_0.b_1 float32[16]",
      "w4 float32[8, 16]",
      "w5 float32[4, 16]",
      "lstm_0.b_2 float32[16]",
      "w6 float32[8, 16]",
      "w7 float32[4, 16]",
      "lstm_0.b_3 float32[16]",
    ])
    expect(main.globalBlock().ops.filter(({ type }) => type === "dropout").length).toBe(1)
  })

  test("the number of operators does not depend on the number of steps", () => {
    const count = (steps: number) => build(() => lstm(sequence(steps), { size: 4 })).main.globalBlock().ops.length
    expect(count(500)).toBe(count(2))
  })

  test("time in front", () => {
    const { made, main } = build(() =>
      gru(data({ name: "x", shape: ["steps", -1, 3], dtype: "float64" }), { size: 4, timeMajor: true }),
    )
    expect(types(made)[0]).toMatch(/^float64\[steps, \S+, 4\]$/)
    expect(main.globalBlock().ops.filter(({ type }) => type === "transpose")).toEqual([])
  })
})

const list = (count: number) => Array.from({ length: count }, (_, i) => `w${i}`)

test("what is refused, before anything is appended", () => {
  const refusals: readonly [string, (x: Variable) => unknown][] = [
    ["no size", (x) => lstm(x, untyped({}))],
    ["no time axis", () => rnn(data({ name: "flat", shape: [3] }), { size: 2 })],
    ["integers", () => rnn(data({ name: "ids", shape: [5, 3], dtype: "int64" }), { size: 2 })],
    ["a name for two weights", (x) => lstm(x, { size: 2, paramAttr: "w" })],
    ["too few attributes", (x) => lstm(x, { size: 2, isBidirec: true, biasAttr: ["a"] })],
    ["no weights", (x) => gru(x, { size: 2, paramAttr: false })],
    ["a first state of another size", (x) => gru(x, { size: 2, initH: data({ name: "h", shape: [3] }) })],
    ["a first state for one layer", (x) => lstm(x, { size: 2, numLayers: 2, initC: data({ name: "c", shape: [2] }) })],
    [
      "a first state of another dtype",
      (x) => rnn(x, { size: 2, initH: data({ name: "d", shape: [2], dtype: "float64" }) }),
    ],
    ["no activation", (x) => gru(x, { size: 2, gateActivation: untyped("sigmod") })],
    ["a misspelt option", (x) => lstm(x, untyped({ size: 2, isBidirect: true }))],
  ]
  const { main, made } = build(() => {
    const x = sequence()
    return refusals.map(([what, body]) => `${what}\n${refusalOf(() => body(x))}`).join("\n\n")
  })
  expect(made).toMatchInlineSnapshot(`
    "no size
    CF_BAD_ATTRIBUTE  lstm: size is missing
      this lstm was built at HERE

    no time axis
    CF_SHAPE_MISMATCH  rnn: x must be [batch, time, width], got shape [batch, 3]
      this rnn was built at HERE
      fix: give every sequence a time axis: reshape(x, { shape: [0, -1, width] })

    integers
    CF_DTYPE_MISMATCH  rnn: x must be float32 or float64, got int64
      this rnn was built at HERE
      fix: cast(x, { dtype: "float32" })

    a name for two weights
    CF_BAD_ATTRIBUTE  lstm: paramAttr names one parameter, but there are 2
      this lstm was built at HERE
      fix: give a list of 2, or name the layer: its parameters are called after it

    too few attributes
    CF_BAD_ATTRIBUTE  lstm: biasAttr must hold one entry per parameter, 2, got 1
      this lstm was built at HERE

    no weights
    CF_BAD_ATTRIBUTE  gru: paramAttr must not be false: gru needs its weights
      this gru was built at HERE

    a first state of another size
    CF_SHAPE_MISMATCH  gru: initH must have shape [batch, 2], got [batch, 3]
      this gru was built at HERE

    a first state for one layer
    CF_SHAPE_MISMATCH  lstm: initC must have shape [2, batch, 2], got [batch, 2]
      this lstm was built at HERE

    a first state of another dtype
    CF_DTYPE_MISMATCH  rnn: initH must be float32, as x is, got float64
      this rnn was built at HERE

    no activation
    CF_BAD_ATTRIBUTE  gru: gateActivation must be the name of an activation, got the string sigmod
      this gru was built at HERE
      fix: did you mean "sigmoid"?

    a misspelt option
    CF_BAD_ATTRIBUTE  lstm: there is no option isBidirect; the options are size, numLayers, isReverse, isBidirec, timeMajor, initH, paramAttr, biasAttr, dropoutProb, isTest, seed, name, initC, gateActivation, cellActivation, candidateActivation
      this lstm was built at HERE
      fix: did you mean isBidirec?"
  `)
  expect(main.allParameters()).toEqual([])
})
