// Parameters of blocks: what the owner of a block gives a value before every run. And what operators save for gradients.

import {
  appendOperator,
  type Block,
  extendOutputs,
  type OpRecord,
  parseProgram,
  printProgram,
  Program,
  programFromJson,
  type TensorType,
  type Variable,
  verify,
} from "@counterflow/ir"
import { describe, expect, test } from "vitest"
import { float, refused, variable } from "./planting.ts"
import { dataOf } from "./programs.ts"
import { add, mean, mul } from "./records.ts"
import { edited, messageOf } from "./refusals.ts"

/** A block run often: its parameters and its results are what is carried; what is saved is stacked. */
const loopOp: OpRecord = {
  name: "loop",
  version: 1,
  inputs: { init: "tensors", captures: "tensors" },
  outputs: ["...carry", "...saved"],
  attrs: {},
  writes: {},
  saves: { slot: "saved", block: "body" },
  inferTypes: ({ init }, _attrs, { blocks }) => {
    const carry = init as readonly TensorType[]
    const saved = blocks["body"]?.results.slice(carry.length) ?? []
    return { carry, saved: saved.map(({ shape, dtype }) => ({ shape: [9, ...shape], dtype })) }
  },
}

function loop(init: readonly Variable[], body: (...carry: Variable[]) => readonly Variable[]): Variable[] {
  const { program } = init[0]!
  const block = program.createBlock()
  const params = init.map(({ shape, dtype }, i) => block.addParam({ shape, dtype, name: program.uniqueName(`p${i}`) }))
  program.within({ block }, () => block.setResults(body(...params)))
  const read = [...block.ops.flatMap((op) => op.inputList()), ...block.results]
  const captures = [...new Set(read.filter((each) => each.block !== block))]
  return appendOperator({
    record: loopOp,
    inputs: { init, captures },
    attrs: {},
    blocks: { body: block },
    above: loop,
  }).outputs["carry"]!.slice()
}

function looping() {
  const program = new Program()
  const [x, y] = [dataOf(program, "x", [2]), dataOf(program, "y", [2])]
  let inner = x
  const [a, b] = loop([x, y], (p, q) => [add((inner = mul(p, y)), q), loop([q], (r) => [mul(r, p)])[0]!])
  return { program, x, y, a: a!, b: b!, inner, op: a!.producer!, body: a!.producer!.blocks["body"]! }
}

describe("parameters of blocks", () => {
  test("stand first in the text of their block", () => {
    const { program } = looping()
    verify(program)
    expect(printProgram(program)).toMatchInlineSnapshot(`
      "program
        data x : float32[2]
        data y : float32[2]
        (carry: [loop_1.tmp_0 : float32[2], loop_1.tmp_1 : float32[2]], saved: []) = loop(init: [x, y], captures: [y])
          block 1 body
            param p0_0 : float32[2]
            param p1_0 : float32[2]
            mul_0.tmp_0 : float32[2] = mul(x: p0_0, y: y)
            add_0.tmp_0 : float32[2] = add(x: mul_0.tmp_0, y: p1_0)
            (carry: [loop_0.tmp_0 : float32[2]], saved: []) = loop(init: [p1_0], captures: [p0_0])
              block 2 body
                param p0_1 : float32[2]
                mul_1.tmp_0 : float32[2] = mul(x: p0_1, y: p0_0)
                return mul_1.tmp_0
            return add_0.tmp_0, loop_0.tmp_0
        names {p0: 2, p1: 1, mul: 2, mul_0.tmp: 1, add: 1, add_0.tmp: 1, mul_1.tmp: 1, loop: 2, loop_0.tmp: 1, loop_1.tmp: 2}
      "
    `)
    expect(printProgram(program, { brief: true })).toMatchInlineSnapshot(`
      "([loop_1.tmp_0, loop_1.tmp_1], []) = loop([x, y], [y])
        body
          param p0_0, p1_0
          mul_0.tmp_0 = mul(p0_0, y)
          add_0.tmp_0 = add(mul_0.tmp_0, p1_0)
          ([loop_0.tmp_0], []) = loop([p1_0], [p0_0])
            body
              param p0_1
              mul_1.tmp_0 = mul(p0_1, p0_0)
              return mul_1.tmp_0
          return add_0.tmp_0, loop_0.tmp_0"
    `)
  })

  test("survive text, JSON and copies", () => {
    const { program } = looping()
    const text = printProgram(program)
    const copies = [
      parseProgram(text),
      programFromJson(JSON.stringify(program)),
      program.clone(),
      program.clone({ forTest: true }),
    ]
    for (const copy of copies) {
      verify(copy)
      expect(printProgram(copy)).toBe(text)
      expect(copy.toJSON()).toEqual(program.toJSON())
      expect(copy.block(1).params.map(({ name }) => name)).toEqual(["p0_0", "p1_0"])
    }
  })

  test("are refused where they do not fit", () => {
    const withBlock = (plant: (block: Block, program: Program, x: Variable) => void) =>
      refused((program, { x }) => plant(program.createBlock(), program, x))
    expect(withBlock((block, _program, x) => block.setParams([x]))).toMatchInlineSnapshot(`
      "CF_BAD_PROGRAM  x: it is a parameter of block 1, which it does not belong to
          x float32[2]
        this variable was built at …"
    `)
    expect(
      withBlock((block) => {
        const p = variable(block, "p")
        block.setParams([p, p])
      }),
    ).toMatchInlineSnapshot(`"CF_BAD_PROGRAM  block 1 has a variable for a parameter twice"`)
    expect(
      withBlock((block, program) => {
        const p = block.addParam({ ...float([2]), name: "p" })
        program.within({ block }, () => block.setParams([p, add(p, p)]))
      }),
    ).toMatchInlineSnapshot(`
      "CF_BAD_PROGRAM  add_1.tmp_0: a parameter of a block must be no data, no state, and without producer
          add_1.tmp_0 float32[2]
        this variable was built at …"
    `)
    expect(withBlock((_block, program, x) => program.globalBlock().setParams([x]))).toMatchInlineSnapshot(
      `"CF_BAD_PROGRAM  block 0 must have no parameters: it has no owner that could give them values"`,
    )
  })

  test("are read in their block only", () => {
    const { body } = looping()
    expect(messageOf(() => mean(body.params[0]!)).replace(/ at \S+:\d+:\d+/g, " at …")).toMatchInlineSnapshot(`
      "CF_BAD_ARGUMENT  mean: p0_0 belongs to a sub-block, and this operator stands outside of it
          x = p0_0   float32[2]   built at …
        this mean was built at …
        fix: let the function of the branch or loop answer it, and use what the branch or loop answers"
    `)
  })

  test("are refused in files where they do not fit", () => {
    const json = looping().program.toJSON()
    const refusal = (path: string, value: unknown) => messageOf(() => programFromJson(edited(json, path, value)))
    expect(refusal("blocks.1.params", ["x"])).toMatchInlineSnapshot(
      `"CF_BAD_JSON  Program.fromJSON: blocks[1].params[0] names "x", which block 0 declares, not 1"`,
    )
    expect(refusal("blocks.1.params", ["p0_0", "p0_0"])).toMatchInlineSnapshot(
      `"CF_BAD_JSON  Program.fromJSON: blocks[1].params[1] names "p0_0", which is data or state, or a parameter already"`,
    )
    expect(refusal("blocks.1.params", ["p0_0"])).toMatchInlineSnapshot(
      `"CF_BAD_JSON  Program.fromJSON: blocks[1].ops[1].inputs.y[0] reads "p1_0" before anything assigns it"`,
    )
    expect(refusal("blocks.0.params", ["x"])).toMatchInlineSnapshot(
      `"CF_BAD_JSON  Program.fromJSON: blocks[0].params[0] gives the global block a parameter, which only blocks of operators have"`,
    )
    expect(refusal("blocks.1.params", ["nobody"])).toMatchInlineSnapshot(
      `"CF_BAD_JSON  Program.fromJSON: blocks[1].params[0] names "nobody", which no variable has"`,
    )
    expect(refusal("blocks.1.params", "p0_0")).toMatchInlineSnapshot(
      `"CF_BAD_JSON  Program.fromJSON: blocks[1].params must be an array, got "p0_0""`,
    )
  })
})

describe("what an operator saves", () => {
  /** Adds a saved output to the loop, as a gradient does, and what reads it. */
  const saving = () => {
    const made = looping()
    const { program, body, op, inner } = made
    const stack = program.within({ role: "backward" }, () => {
      body.setResults([...body.results, inner])
      return extendOutputs(op, "saved", [{ shape: [9, 2], dtype: "float32", name: `${inner.name}@STACK` }])[0]!
    })
    return { ...made, stack }
  }

  test("is an output like others in a copy, and leaves a copy for test", () => {
    const { program: plain } = looping()
    const { program, stack, a } = saving()
    verify(program)
    expect(String(program)).toContain(`saved: [${stack.name} : float32[9, 2] role=backward]`)
    for (const copy of [program.clone(), parseProgram(String(program)), programFromJson(program.toJSON())]) {
      verify(copy)
      expect(String(copy)).toBe(String(program))
    }
    expect(String(program.clone({ forTest: true }))).toBe(String(plain))
    expect(program.prune(a).globalBlock().ops[0]?.outputs["saved"]).toEqual([])
    expect(program.prune(stack).globalBlock().ops[0]?.outputs["saved"]?.length).toBe(1)
  })

  test("stays in a copy for test where something forward reads it", () => {
    const { program, stack } = saving()
    mean(stack)
    expect(program.clone({ forTest: true }).globalBlock().ops[0]?.outputs["saved"]?.length).toBe(1)
  })

  test("is gone when the transaction that added it fails", () => {
    const made = looping()
    const before = String(made.program)
    expect(() =>
      made.program.transaction(() => {
        extendOutputs(made.op, "saved", [{ shape: [9, 2], dtype: "float32", name: "s" }])
        throw new Error("no")
      }),
    ).toThrow(/^no$/)
    expect(String(made.program)).toBe(before)
    verify(made.program)
  })

  test("must have a result of the block to hand out", () => {
    const { program, op } = looping()
    extendOutputs(op, "saved", [{ shape: [9, 2], dtype: "float32", name: "s" }])
    expect(messageOf(() => verify(program)).replace(/ at \S+:\d+:\d+/g, " at …")).toMatchInlineSnapshot(`
      "CF_BAD_PROGRAM  loop: output saved must hold 0 variables, got 1
          loop_1.tmp_0, loop_1.tmp_1, s = loop(x, y, y)
        this loop was built at …"
    `)
  })
})
