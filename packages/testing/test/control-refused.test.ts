// What blocks read from where it cannot be read, in every construct: refused while it is built, and in programs from files.

import { parseProgram, Program, type Variable, verify } from "@counterflow/ir"
import { add, cond, less, mul, reduceSum, registry, resolve, scan, tanh, whileLoop } from "@counterflow/ops"
import { describe, expect, test } from "vitest"
import { build, input, refusalOf } from "./building.ts"

type Body = (x: Variable) => Variable

/** Every construct around a body that reads more than it is given. */
const constructs: Record<string, (x: Variable, body: Body) => unknown> = {
  cond: (x, body) =>
    cond(
      less(reduceSum(x), 0),
      () => body(x),
      () => x,
    ),
  scan: (x, body) => scan((c) => [body(c)], { init: x, length: 2 }),
  whileLoop: (x, body) => whileLoop((c) => less(reduceSum(c), 1), body, [x]),
}

describe.each(Object.entries(constructs))("%s", (name, construct) => {
  const refused = (body: (x: Variable) => Body) =>
    refusalOf(() => build((program) => ({ made: construct(input(program, "x"), body(input(program, "y"))) })))
  const foreign = () => input(new Program(), "foreign")

  test("a variable of another program: read, or answered", () => {
    const read = refused(() => (x) => add(x, foreign()))
    expect(read).toContain("CF_FOREIGN_VARIABLE  add: the inputs belong to different programs")
    expect(read).toMatch(
      /x = \S+ +float32\[2\] +built at LINE\n +y = foreign +float32\[2\] +built at LINE\n +this add was built at LINE/,
    )
    const answered = refused(() => foreign)
    expect(answered).toMatch(/CF_FOREIGN_VARIABLE {2}\w+: .* answers foreign, which belongs to another program/)
    expect(answered).toMatch(/foreign float32\[2\] +built at LINE\n +this \w+ was built at LINE/)
    expect(answered).toContain(`this ${name} was built at LINE`)
  })

  test("a variable of a block that is closed: read, or answered", () => {
    const inner = (y: Variable) => {
      let made = y
      cond(
        less(reduceSum(y), 0),
        () => (made = tanh(y)),
        () => y,
      )
      return made
    }
    const read = refused((y) => {
      const made = inner(y)
      return (x) => mul(x, made)
    })
    expect(read).toMatch(
      /CF_BAD_ARGUMENT {2}mul: tanh_0\.tmp_0 belongs to a sub-block, and this operator stands outside of it/,
    )
    expect(read).toMatch(/y = tanh_0\.tmp_0 +float32\[2\] +built at LINE\n +this mul was built at LINE/)
    const answered = refused((y) => {
      const made = inner(y)
      return () => made
    })
    expect(answered).toMatch(/CF_BAD_ARGUMENT {2}\w+: .* answers tanh_0\.tmp_0, which belongs to another block/)
    expect(answered).toMatch(/tanh_0\.tmp_0 float32\[2\] +built at LINE\n +this \w+ was built at LINE/)
  })

  test("in a program from a file: what does not exist, what comes later, what is not listed", () => {
    const { main } = build((program) => {
      const [x, y] = [input(program, "x"), input(program, "y")]
      construct(x, (given) => mul(given, y))
      return { late: tanh(y) }
    })
    const text = String(main)
    const capturing = (change: (names: string[]) => string[]) => {
      const changed = text.replace(
        /captures: \[(.*?)\]/,
        (_, names: string) => `captures: [${change(names.split(", ")).join(", ")}]`,
      )
      return refusalOf(() => verify(resolve(parseProgram(changed), registry)))
    }
    expect(capturing((names) => names)).toBe("nothing was refused")
    expect(capturing((names) => [...names, "nobody"])).toContain('names "nobody", which no variable has')
    expect(capturing((names) => [...names, "tanh_0.tmp_0"])).toContain(
      'reads "tanh_0.tmp_0" before anything assigns it',
    )
    expect(capturing((names) => names.filter((each) => each !== "y"))).toContain(
      `it reads y of an outer block, which the inputs of its owner ${name} do not list`,
    )
  })
})
