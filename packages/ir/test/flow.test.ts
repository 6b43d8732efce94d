// The order of definitions, what sub-blocks may see, and the writes of state.

import { type Block, type OperatorInit, Program, verify } from "@counterflow/ir"
import { describe, expect, test } from "vitest"
import { float, put, refused, variable } from "./planting.ts"
import { add, addOp, cond, condOp, mean, meanOp, mul, norm, normOp, sgd, sum } from "./records.ts"

describe("order of definitions", () => {
  test("read before assigned, or never assigned", () => {
    expect(refused((program, { y }) => (add(y, y), program.globalBlock().ops.reverse()))).toMatchInlineSnapshot(`
      "CF_BAD_PROGRAM  add: it reads add_0.tmp_0 before anything assigns it
          add_1.tmp_0 = add(add_0.tmp_0, add_0.tmp_0)
        this add was built at …"
    `)
    expect(refused((program) => mean(variable(program.globalBlock(), "nobody")))).toMatchInlineSnapshot(`
      "CF_BAD_PROGRAM  mean: it reads nobody before anything assigns it
          mean_0.tmp_0 = mean(nobody)
        this mean was built at …"
    `)
    expect(
      refused((program, { x }) => {
        const z = variable(program.globalBlock(), "z")
        put(program.globalBlock(), addOp, { inputs: { x: [x], y: [z] } }, { z: [z] })
      }),
    ).toMatchInlineSnapshot(`
      "CF_BAD_PROGRAM  add: it reads z before anything assigns it
          z = add(x, z)
        this add was built at an unknown place"
    `)
  })

  test("an inner variable read from outside", () => {
    expect(
      refused((program, { x }) => {
        let inner = x
        cond(x, { whenTrue: () => [(inner = mul(x, x))], whenFalse: () => [x] })
        put(
          program.globalBlock(),
          meanOp,
          { inputs: { x: [inner] } },
          { z: [variable(program.globalBlock(), "z", float([]))] },
        )
      }),
    ).toMatchInlineSnapshot(`
      "CF_BAD_PROGRAM  mean: it reads mul_0.tmp_0, which is not visible in block 0
          z = mean(mul_0.tmp_0)
        this mean was built at an unknown place"
    `)
  })

  test("results that their block does not see", () => {
    expect(
      refused((_, { x, y }) => {
        const [z = x] = cond(x, { whenTrue: () => [mul(y, y)], whenFalse: () => [y] })
        z.producer?.blocks["whenFalse"]?.setResults([z.producer.blocks["whenTrue"]?.results[0] ?? z])
      }),
    ).toMatchInlineSnapshot(`
      "CF_BAD_PROGRAM  cond: the results of block 2: it reads mul_0.tmp_0, which is not visible in block 2
          cond_0.tmp_0 = cond(x, add_0.tmp_0)
        this cond was built at …"
    `)
    expect(refused((program) => program.createBlock().setResults([variable(program.globalBlock(), "nobody")])))
      .toMatchInlineSnapshot(`
      "CF_BAD_PROGRAM  nobody: the results of block 1: it reads nobody before anything assigns it
          nobody float32[2]
        this variable was built at an unknown place"
    `)
  })

  test("outer variables that the owner does not list", () => {
    expect(
      refused((program, { x, y }) => {
        const block = program.createBlock()
        program.within({ block }, () => block.setResults([mul(y, y)]))
        put(
          program.globalBlock(),
          condOp,
          { inputs: { pred: [x] }, blocks: { whenTrue: block } },
          { ys: [variable(program.globalBlock(), "z")] },
        )
      }),
    ).toMatchInlineSnapshot(`
      "CF_BAD_PROGRAM  mul: it reads add_0.tmp_0 of an outer block, which the inputs of its owner cond do not list
          mul_0.tmp_0 = mul(add_0.tmp_0, add_0.tmp_0)
        this mul was built at …"
    `)
  })

  test("a block owned twice, by nobody of this program, or in another place", () => {
    const withBlock = (plant: (program: Program, block: Block, init: Partial<OperatorInit>) => void) =>
      refused((program, { x }) => {
        const block = program.createBlock()
        block.setResults([x])
        plant(program, block, { inputs: { pred: [x], captures: [x] }, blocks: { whenTrue: block } })
      })
    expect(
      withBlock((program, _, init) => {
        put(program.globalBlock(), condOp, init, { ys: [variable(program.globalBlock(), "z")] })
        put(program.globalBlock(), condOp, init, { ys: [variable(program.globalBlock(), "z2")] })
      }),
    ).toMatchInlineSnapshot(`
      "CF_BAD_PROGRAM  cond: its block whenTrue is owned by z2 = cond(x, x)
          z = cond(x, x)
        this cond was built at an unknown place"
    `)
    expect(
      withBlock((program, block, init) => {
        put(program.globalBlock(), condOp, init, { ys: [variable(program.globalBlock(), "z")] })
        block.owner = null
      }),
    ).toMatchInlineSnapshot(`
      "CF_BAD_PROGRAM  cond: its block whenTrue is owned by none
          z = cond(x, x)
        this cond was built at an unknown place"
    `)
    expect(
      withBlock((program, _, init) => {
        const elsewhere = program.createBlock()
        put(elsewhere, condOp, init, { ys: [variable(elsewhere, "z")] })
      }),
    ).toMatchInlineSnapshot(`
      "CF_BAD_PROGRAM  cond: the parent of its block whenTrue must be its own block
          z = cond(x, x)
        this cond was built at an unknown place"
    `)
    expect(
      withBlock((program, _, init) => {
        const whenTrue = new Program().createBlock()
        put(
          program.globalBlock(),
          condOp,
          { ...init, blocks: { whenTrue } },
          { ys: [variable(program.globalBlock(), "z")] },
        )
      }),
    ).toMatchInlineSnapshot(`
      "CF_BAD_PROGRAM  cond: its block whenTrue is not of this program
          z = cond(x, x)
        this cond was built at an unknown place"
    `)
  })

  test("blocks that are no tree", () => {
    expect(refused((program) => Reflect.set(program.createBlock(), "parent", null))).toMatchInlineSnapshot(
      `"CF_BAD_PROGRAM  block 1 must have an earlier block as its parent; only block 0 has none"`,
    )
    expect(
      refused((program) => {
        const block = program.createBlock()
        Reflect.set(block, "parent", block)
      }),
    ).toMatchInlineSnapshot(`"CF_BAD_PROGRAM  block 1 must have an earlier block as its parent; only block 0 has none"`)
    expect(refused((program) => program.blocks.push(new Program().createBlock()))).toMatchInlineSnapshot(
      `"CF_BAD_PROGRAM  block 1 belongs to another program or place"`,
    )
  })
})

describe("writes of state", () => {
  test("of what is no state, or of another type", () => {
    expect(
      refused((program, { x, y }) =>
        put(
          program.globalBlock(),
          meanOp,
          { inputs: { x: [y] }, writes: [{ state: x, slot: "z" }] },
          { z: [variable(program.globalBlock(), "z", float([]))] },
        ),
      ),
    ).toMatchInlineSnapshot(`
      "CF_BAD_PROGRAM  mean: it writes x, which is no state
          z = mean(add_0.tmp_0)
        this mean was built at an unknown place"
    `)
    expect(
      refused((program, { w, y }) =>
        put(
          program.globalBlock(),
          meanOp,
          { inputs: { x: [y] }, writes: [{ state: w, slot: "z" }] },
          { z: [variable(program.globalBlock(), "z", float([]))] },
        ),
      ),
    ).toMatchInlineSnapshot(`
      "CF_BAD_PROGRAM  mean: it writes z float32[] to w float32[2]; shape and dtype must be equal
          z = mean(add_0.tmp_0)
        this mean was built at an unknown place"
    `)
    expect(
      refused((program, { w, y }) =>
        put(
          program.globalBlock(),
          meanOp,
          { inputs: { x: [y] }, writes: [{ state: w, slot: "next" }] },
          { z: [variable(program.globalBlock(), "z", float([]))] },
        ),
      ),
    ).toMatchInlineSnapshot(`
      "CF_BAD_PROGRAM  mean: it writes w from next, which is no output with one value
          z = mean(add_0.tmp_0)
        this mean was built at an unknown place"
    `)
  })

  test("a second writer that does not take the first one's value", () => {
    expect(refused((_, { w, x }) => [sgd(w, x), sgd(w, x)])).toMatchInlineSnapshot(`
      "CF_BAD_PROGRAM  sgd: it writes w again and must read w@NEXT, the value written first
          w@NEXT = sgd(w, x)
          w@NEXT_0 = sgd(w, x)
        this sgd was built at …"
    `)
  })

  test("a second writer that takes it, directly or through others", () => {
    const program = new Program()
    const w = program.globalBlock().createParameter({ name: "w", shape: [2], dtype: "float32" })
    const first = sgd(w, w)
    const [, second = first] = norm(w, sum([mul(first, first), w]), { state: w })
    norm(w, second, { state: w })
    expect(() => verify(program)).not.toThrow("CF_BAD_PROGRAM")
  })

  test("one operator that writes a state twice", () => {
    expect(
      refused((program, { w }) => {
        const outputs = {
          y: [variable(program.globalBlock(), "y1")],
          nextMean: [variable(program.globalBlock(), "y2")],
        }
        const writes = [
          { state: w, slot: "y" },
          { state: w, slot: "nextMean" },
        ]
        put(
          program.globalBlock(),
          normOp,
          { inputs: { x: [w], runningMean: [w] }, attrs: { isTest: false, mode: "layer" }, writes },
          outputs,
        )
      }),
    ).toMatchInlineSnapshot(`
      "CF_BAD_PROGRAM  norm: it writes w again and must read y1, the value written first
          y1, y2 = norm(w, w)
          y1, y2 = norm(w, w)
        this norm was built at an unknown place"
    `)
  })

  test("in a sub-block", () => {
    expect(refused((_, { w, x }) => cond(x, { whenTrue: () => [sgd(w, x)], whenFalse: () => [w] })))
      .toMatchInlineSnapshot(`
      "CF_BAD_PROGRAM  sgd: it writes w, but a sub-block must not write state
          w@NEXT = sgd(w, x)
        this sgd was built at …"
    `)
  })
})
