// All or nothing: a transaction that throws leaves no trace in the program, however much it had done.

import { appendOperator, type Block, Program } from "@counterflow/ir"
import { describe, expect, test } from "vitest"
import { addUpdate, dataOf, everything, training } from "./programs.ts"
import { add, cond, condOp, mean, mul } from "./records.ts"

class Stop extends Error {}

/** Everything that two programs can differ in, also what the written forms leave out. */
function traces(program: Program): unknown {
  const owners = program.blocks.map((block) =>
    block.owner === null ? null : [...program.operators()].indexOf(block.owner),
  )
  const { role, scope, stem, derivedFrom } = program
  const position = { role, scope, stem, derivedFrom, block: program.currentBlock().index }
  return {
    text: program.toString(),
    json: JSON.stringify(program),
    owners,
    position,
    names: [...program.variables.keys()],
  }
}

/** What is left when `body` did something in a transaction that then throws. */
function afterStop(program: Program, body: () => void): unknown {
  const before = traces(program)
  const run = () =>
    program.transaction(() => {
      body()
      expect(traces(program)).not.toEqual(before)
      throw new Stop("on purpose")
    })
  expect(run).toThrow(new Stop("on purpose"))
  return traces(program)
}

describe("a transaction that throws leaves", () => {
  const parts = () => {
    const program = training()
    return {
      program,
      block: program.globalBlock(),
      x: program.globalBlock().var("x"),
      w: program.globalBlock().var("w"),
    }
  }

  test("no variable, parameter, operator or name", () => {
    const { program, block, x, w } = parts()
    const before = traces(program)
    expect(afterStop(program, () => block.createVar({ shape: [], dtype: "bool" }))).toEqual(before)
    expect(afterStop(program, () => block.createParameter({ name: "v", shape: [], dtype: "float32" }))).toEqual(before)
    expect(afterStop(program, () => add(x, w))).toEqual(before)
    expect(afterStop(program, () => program.uniqueName("fc"))).toEqual(before)
    expect(afterStop(program, () => program.uniqueName("mul"))).toEqual(before)
    expect(afterStop(program, () => program.within({ role: "optimize" }, () => program.uniqueName("mul")))).toEqual(
      before,
    )
    expect(mul(x, w).name).toBe("mul_1.tmp_0")
  })

  test("no flag", () => {
    const { program, block, x } = parts()
    const before = traces(program)
    expect(afterStop(program, () => (x.stopGradient = false))).toEqual(before)
    expect(
      afterStop(program, () => {
        for (const parameter of program.allParameters()) parameter.trainable = false
      }),
    ).toEqual(before)
    expect(
      afterStop(program, () => {
        for (const op of block.ops) op.isLoss = !op.isLoss
      }),
    ).toEqual(before)
  })

  test("no counter", () => {
    const { program } = parts()
    const before = traces(program)
    expect(afterStop(program, () => program.takeStream())).toEqual(before)
    expect(afterStop(program, () => program.freshSymbol())).toEqual(before)
    expect(afterStop(program, () => (program.randomSeed = 99))).toEqual(before)
  })

  test("no block, result or owner", () => {
    const { program, x } = parts()
    const before = traces(program)
    expect(afterStop(program, () => program.createBlock())).toEqual(before)
    expect(afterStop(program, () => cond(x, { whenTrue: () => [mul(x, x)], whenFalse: () => [x] }))).toEqual(before)
    const kept: Block = program.createBlock()
    const withBlock = traces(program)
    expect(afterStop(program, () => kept.setResults([x]))).toEqual(withBlock)
    const own = () =>
      appendOperator({
        record: condOp,
        inputs: { pred: [x], captures: [] },
        attrs: {},
        blocks: { whenTrue: kept },
        above: test,
      })
    expect(afterStop(program, own)).toEqual(withBlock)
    expect(kept.owner === null).toBe(true)
  })

  test("no backward and no update", () => {
    const program = new Program()
    const x = dataOf(program, "x", [2])
    const w = program.globalBlock().createParameter({ name: "w", shape: [2], dtype: "float32" })
    const product = mul(x, w)
    mean(product)
    const before = traces(program)
    expect(afterStop(program, () => addUpdate(program, { x, w, product }))).toEqual(before)
    addUpdate(program, { x, w, product })
    expect(program.globalBlock().ops.map((op) => op.type)).toEqual(["mul", "mean", "fillConstant", "mul", "sgd"])
  })

  test("nothing of an operator whose output name is taken", () => {
    const { program, x, w } = parts()
    const before = traces(program)
    expect(() => program.transaction(() => add(x, w, "w"))).toThrow(
      /^CF_DUPLICATE_NAME {2}the program has a variable "w" already/,
    )
    expect(traces(program)).toEqual(before)
  })
})

test("an inner transaction that is caught undoes its part alone", () => {
  const program = everything()
  const x = program.globalBlock().var("x")
  const [before, count] = [traces(program), program.globalBlock().ops.length]
  expect(() =>
    program.transaction(() => {
      add(x, x)
      expect(() =>
        program.transaction(() => {
          mean(x)
          throw new Stop("inner")
        }),
      ).toThrow(new Stop("inner"))
      program.transaction(() => mul(x, x))
      expect(
        program
          .globalBlock()
          .ops.slice(count)
          .map((op) => op.type),
      ).toEqual(["add", "mul"])
      throw new Stop("outer")
    }),
  ).toThrow(new Stop("outer"))
  expect(traces(program)).toEqual(before)
})

test("a transaction that returns keeps everything and answers", () => {
  const program = new Program()
  const x = dataOf(program, "x", [2])
  const mutations = program.mutations
  expect(program.transaction(() => add(x, x)).name).toBe("add_0.tmp_0")
  expect(program.mutations).toBeGreaterThan(mutations)
  expect(program.globalBlock().ops).toHaveLength(1)
})

test("undoing is a change as well: plans made meanwhile must not be found again", () => {
  const program = training()
  let inside = 0
  const run = () =>
    program.transaction(() => {
      program.globalBlock().createVar({ shape: [], dtype: "bool" })
      inside = program.mutations
      throw new Stop("on purpose")
    })
  expect(run).toThrow(new Stop("on purpose"))
  expect(program.mutations).toBeGreaterThan(inside)
})
