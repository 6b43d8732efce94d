// Initializers as operators of the startup program, and startup programs that several main programs share.

import { Program, programGuard, verify } from "@counterflow/ir"
import { scale, startupFor } from "@counterflow/ops"
import { describe, expect, test } from "vitest"
import {
  Constant,
  data,
  fc,
  FromArray,
  type Initializer,
  MSRA,
  Normal,
  TruncatedNormal,
  Uniform,
  Xavier,
} from "../src/index.ts"
import { untyped } from "./building.ts"

/** The operator that makes the value of a state of this shape, as text. */
function operatorOf(initializer: Initializer, shape: readonly number[] = [4, 2]): string {
  const startup = new Program()
  initializer.initialize({ name: "w", shape, dtype: "float32" }, startup)
  verify(startup)
  const op = startup.globalBlock().ops[0]
  const { dtype: _dtype, shape: _shape, ...attrs } = op?.attrs ?? {}
  return `${op?.type} ${JSON.stringify(attrs)}`
}

describe("an initializer appends", () => {
  test.each<[Initializer, string, string]>([
    [new Constant(0.5), `fillConstant {"value":0.5}`, "constant(0.5)"],
    [new Uniform(), `uniformRandom {"seed":null,"stream":0,"min":-1,"max":1}`, "uniform(-1, 1)"],
    [new Uniform(0, 2, 7), `uniformRandom {"seed":7,"stream":0,"min":0,"max":2}`, "uniform(0, 2)"],
    [new Normal(1, 2), `gaussianRandom {"seed":null,"stream":0,"mean":1,"std":2}`, "normal(1, 2)"],
    [
      new TruncatedNormal(1, 2, 0),
      `truncatedGaussianRandom {"seed":null,"stream":0,"mean":1,"std":2}`,
      "truncatedNormal(1, 2)",
    ],
    [new Xavier(), `uniformRandom {"seed":null,"stream":0,"min":-1,"max":1}`, "xavierUniform"],
    [
      new Xavier({ uniform: false, fanIn: 1, fanOut: 7 }),
      `gaussianRandom {"seed":null,"stream":0,"mean":0,"std":0.5}`,
      "xavierNormal",
    ],
    [new MSRA({ fanIn: 24, seed: 3 }), `uniformRandom {"seed":3,"stream":0,"min":-0.5,"max":0.5}`, "msraUniform"],
    [
      new MSRA({ uniform: false, fanIn: 8 }),
      `gaussianRandom {"seed":null,"stream":0,"mean":0,"std":0.5}`,
      "msraNormal",
    ],
    [new FromArray([1, 2, 3, 4, 5, 6, 7, 8]), `arrayValue {"values":[1,2,3,4,5,6,7,8]}`, "fromArray"],
  ])("%s", (initializer, operator, text) => {
    expect(operatorOf(initializer)).toBe(operator)
    expect(initializer.toString()).toBe(text)
  })

  test("a spread that follows from the shape", () => {
    // Filters [out, in, h, w]: fan in 2·12, fan out 8·12.
    const bound = Math.sqrt(6 / (24 + 96))
    expect(operatorOf(new Xavier(), [8, 2, 3, 4])).toContain(`"min":${-bound},"max":${bound}`)
    expect(operatorOf(new MSRA(), [8, 2, 3, 4])).toContain(`"min":-0.5,"max":0.5`)
    expect(operatorOf(new MSRA({ uniform: false }), [8])).toContain(`"std":0.5`)
  })

  test("arrays of any kind, nested or flat", () => {
    const nested = new FromArray([
      [1, 2],
      [3, 4],
      [5, 6],
    ])
    expect(operatorOf(nested, [3, 2])).toBe(`arrayValue {"values":[1,2,3,4,5,6]}`)
    expect(operatorOf(new FromArray([[1, 2], Float32Array.of(3, 4)]), [2, 2])).toBe(`arrayValue {"values":[1,2,3,4]}`)
    expect(operatorOf(new FromArray(BigInt64Array.of(1n, 2n)), [2, 1])).toBe(`arrayValue {"values":[1,2]}`)
    expect(operatorOf(new FromArray([true, false]), [2])).toBe(`arrayValue {"values":[1,0]}`)
  })
})

test.each<[string, () => unknown, RegExp]>([
  [
    "Constant",
    () => new Constant(NaN),
    /^CF_BAD_ATTRIBUTE {2}Constant: value must be a finite number, got the number NaN/,
  ],
  ["Uniform", () => new Uniform(1, 0), /^CF_BAD_ATTRIBUTE {2}Uniform: low must not be greater than high, got 1 and 0/],
  ["Normal", () => new Normal(0, -1), /^CF_BAD_ATTRIBUTE {2}Normal: std must not be negative, got -1/],
  ["a seed", () => new TruncatedNormal(0, 1, 0.5), /^CF_BAD_ATTRIBUTE {2}TruncatedNormal: seed must be a safe integer/],
  [
    "Xavier",
    () => new Xavier({ fanIn: 0 }),
    /^CF_BAD_ATTRIBUTE {2}Xavier: fanIn must be a positive number, got the number 0/,
  ],
  ["MSRA", () => new MSRA({ fanIn: untyped("3") }), /^CF_BAD_ATTRIBUTE {2}MSRA: fanIn must be a positive number/],
  [
    "FromArray",
    () => new FromArray(untyped(["a"])),
    /^CF_BAD_ARGUMENT {2}FromArray: values must be numbers, got the string a/,
  ],
  [
    "a single number",
    () => new FromArray(untyped(3)),
    /^CF_BAD_ARGUMENT {2}FromArray: values must be an array of numbers/,
  ],
  [
    "rows",
    () => new FromArray([[1, 2], [3]]),
    /^CF_SHAPE_MISMATCH {2}FromArray: rows have different shapes: \[2\] and \[1\]/,
  ],
  [
    "a large integer",
    () => new FromArray([2n ** 60n]),
    /^CF_BAD_ARGUMENT {2}FromArray: values must be numbers, got the bigint/,
  ],
  [
    "a nested shape",
    () => operatorOf(new FromArray([[1, 2, 3, 4]]), [4, 1]),
    /^CF_SHAPE_MISMATCH {2}FromArray: w has shape \[4, 1\], its values \[1, 4\]/,
  ],
  [
    "too few values",
    () => operatorOf(new FromArray([1, 2]), [3]),
    /^CF_SHAPE_MISMATCH {2}arrayValue: values must fill the shape \[3\], got 2 of them/,
  ],
])("an initializer refuses wrong numbers: %s", (_what, make, text) => {
  expect(make).toThrow(text)
})

describe("one startup program for several main programs", () => {
  const net = (main: Program, startup: Program, width: number, value: number) =>
    programGuard(main, startup, () => {
      const x = data({ name: "x", shape: [3] })
      return fc(x, { size: width, paramAttr: new Constant(value), biasAttr: new Constant(value) })
    })

  test("keeps the last initializer of a name, as the last main program has it", () => {
    const startup = new Program()
    net(new Program(), startup, 2, 0.5)
    net(new Program(), startup, 4, 0.25)
    verify(startup)
    const alone = new Program()
    net(new Program(), alone, 4, 0.25)
    const lines = (program: Program) =>
      program
        .toString()
        .split("\n")
        .filter((line) => !line.startsWith("  names"))
    // Names of values go on counting; apart from them nothing is left of the first net.
    expect(lines(startup).map((line) => line.replaceAll("tmp_1", "tmp_0"))).toEqual(lines(alone))
  })

  test("is what it was if the second net is refused", () => {
    const startup = new Program()
    net(new Program(), startup, 2, 0.5)
    const before = startup.toString()
    const main = new Program()
    programGuard(main, startup, () => {
      const x = data({ name: "x", shape: [3] })
      // The weights are replaced before the name of the bias turns out to be taken.
      expect(() => fc(x, { size: 4, biasAttr: "x" })).toThrow(/"x" names a variable that is no parameter/)
    })
    expect(startup.toString()).toBe(before)
    expect(startup.globalBlock().ops.map(({ position }) => position)).toEqual([0, 1, 2, 3])
    verify(startup)
  })

  test("leaves other states alone, and refuses to take away what an operator of the user reads", () => {
    const startup = new Program()
    net(new Program(), startup, 2, 0.5)
    new Constant(1).initialize({ name: "other", shape: [2], dtype: "float32" }, startup)
    net(new Program(), startup, 2, 1)
    verify(startup)
    expect(startup.globalBlock().vars.has("other")).toBe(true)
    scale(startup.globalBlock().var("fc_0.w_0"), { scale: 2 })
    const before = startup.toString()
    expect(() => net(new Program(), startup, 4, 1)).toThrow(
      /^CF_DUPLICATE_NAME {2}fc: the startup program uses the name "fc_0.w_0" otherwise\n {4}scale_0.tmp_0 = scale\(fc_0.w_0\)/,
    )
    expect(startup.toString()).toBe(before)
  })

  test("is remembered by the main program, outside of the guard as well", () => {
    const [main, startup] = [new Program(), new Program()]
    net(main, startup, 2, 0.5)
    expect(startupFor(main)).toBe(startup)
    const other = new Program()
    expect(programGuard(main, other, () => startupFor(main))).toBe(other)
  })
})
