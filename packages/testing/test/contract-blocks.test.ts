// The contract for operators with sub-blocks, from outside: `cond` is defined by these tests and needs nothing from an engine
// that other ops do not have.

import { appendBackward, gradients } from "@counterflow/autodiff"
import { Executor } from "@counterflow/executor"
import { parseProgram, Program, symbol, type Variable, verify } from "@counterflow/ir"
import { cpu } from "@counterflow/kernels-cpu"
import {
  add,
  exp,
  extend,
  legalize,
  less,
  mean,
  mul,
  reduceSum,
  registry,
  resolve,
  scale,
  sin,
  softmax,
  square,
  sub,
  tanh,
  write,
} from "@counterflow/ops"
import { gradCheck, toFloat64 } from "@counterflow/testing"
import { describe, expect, test } from "vitest"
import { again, againOp, cond, condOp, kernels } from "./branch.ts"
import { build, input, parameter } from "./building.ts"

const backend = () => cpu({ kernels })
const outside = extend(registry, { cond: condOp, again: againOp })

function run(program: Program, feed: Record<string, number[]>, fetch: readonly (Variable | string)[]) {
  const executor = new Executor(backend(), { legalize })
  const values = executor.runSync(program, { feed, fetch }).map(({ data }) => Array.from(data as Float32Array))
  executor.close()
  return values
}

/** y = Σx < 0 ? tanh(x) ∘ w : softmax(x) + x ∘ x, and a second result; w is read by one branch only. */
function branching() {
  return build((program) => {
    const x = input(program, "x", [symbol("batch"), 3])
    const w = parameter(program, "w", [3], { initialValue: 2 })
    const [y, z] = cond(
      less(reduceSum(x), 0),
      () => [mul(tanh(x), w), scale(x, { scale: 2 })],
      () => [add(softmax(x), mul(x, x)), sin(x)],
    ) as [Variable, Variable]
    return { x, w, y, z, loss: mean(add(square(y), z)) }
  })
}

const negative = [-1, 0.5, -0.25, -0.5, 0.75, -1.5]
const positive = [1, 0.5, -0.25, 0.5, 0.75, 1.5]

describe("cond", () => {
  test("Paddle's example: cond(a − b < −1, a, b) at 1.23 and 1.25", () => {
    const { main, out, da, db } = build((program) => {
      const [a, b] = [input(program, "a", [1]), input(program, "b", [1])]
      const [out] = cond(
        less(sub(a, b), -1),
        () => [a],
        () => [b],
      ) as [Variable]
      const [da, db] = gradients(out, [a, b]) as [Variable, Variable]
      return { out, da, db }
    })
    verify(main)
    expect(run(main, { a: [1.23], b: [1.25] }, [out, da, db])).toEqual([[Math.fround(1.25)], [0], [1]])
    expect(run(main, { a: [1.23], b: [3] }, [out, da, db])).toEqual([[Math.fround(1.23)], [1], [0]])
  })

  test("both branches give right values", () => {
    const { main, y, z } = branching()
    verify(main)
    const [below, twice] = run(main, { x: negative }, [y, z])
    below?.forEach((value, i) => expect(value).toBeCloseTo(2 * Math.tanh(negative[i] ?? 0), 6))
    expect(twice).toEqual(negative.map((value) => 2 * value))
    const [, sines] = run(main, { x: positive }, [y, z])
    sines?.forEach((value, i) => expect(value).toBeCloseTo(Math.sin(positive[i] ?? 0), 6))
  })

  test("an untaken branch contributes zeros", () => {
    const { main, w, loss } = branching()
    const [pair] = appendBackward(loss)
    verify(main)
    expect(pair?.[0]).toBe(w)
    expect(run(main, { x: positive }, ["w@GRAD"])).toEqual([[0, 0, 0]])
    expect(run(main, { x: negative }, ["w@GRAD"])[0]?.every((value) => value !== 0)).toBe(true)
  })

  for (const [which, x] of [
    ["first", negative],
    ["second", positive],
  ] as const) {
    test(`gradients of the ${which} branch agree with differences, orders 1 and 2`, async () => {
      const { main, y, z } = branching()
      const report = await gradCheck(main, {
        targets: [y, z],
        wrt: ["x", "w"],
        feed: { x },
        order: 2,
        backend: backend(),
      })
      expect(report.toString()).toContain(": ok")
      expect(report.checks.map(({ input: name, order }) => `${name} ${order}`)).toEqual(
        expect.arrayContaining(["x 1", "w 1", "x 2", "w 2", `cotangent of ${y.name} 2`]),
      )
    })
  }

  test("the float64 copy copies the blocks", () => {
    const { main } = branching()
    const copy = toFloat64(main)
    verify(copy)
    expect(copy.blocks.length).toBe(main.blocks.length)
    expect([...copy.operators()].flatMap((op) => op.outputList()).filter(({ dtype }) => dtype === "float32")).toEqual(
      [],
    )
  })

  test("branches inside branches", async () => {
    const { main, y } = build((program) => {
      const x = input(program, "x", [2])
      const [y] = cond(
        less(reduceSum(x), 0),
        () => [square(x)],
        () => {
          const h = exp(x)
          return cond(
            less(reduceSum(h), 100),
            () => [mul(h, x)],
            () => [scale(h, { scale: 3 })],
          )
        },
      ) as [Variable]
      return { y }
    })
    verify(main)
    for (const x of [
      [-1, 0.5],
      [1, 2],
      [4, 5],
    ]) {
      const report = await gradCheck(main, { targets: [y], wrt: ["x"], feed: { x }, order: 2, backend: backend() })
      expect(report.toString()).toContain(": ok")
    }
  })

  test("only the branch that is taken runs", () => {
    const taken: string[] = []
    const counted = {
      ...kernels,
      exp: named("exp", Math.exp),
      sin: named("sin", Math.sin),
    }
    function named(name: string, fn: (x: number) => number) {
      return ({
        inputs: { x },
        outputs: { z },
      }: {
        inputs: { x: { data: Float32Array } }
        outputs: { z: { data: Float32Array } }
      }) =>
        () => {
          taken.push(name)
          z.data.set(x.data.map(fn))
        }
    }
    const { main, y } = build((program) => {
      const x = input(program, "x", [2])
      const [y] = cond(
        less(reduceSum(x), 0),
        () => [exp(x)],
        () => [sin(x)],
      ) as [Variable]
      return { y }
    })
    const executor = new Executor(cpu({ kernels: counted }), { legalize })
    executor.runSync(main, { feed: { x: [-1, 0] }, fetch: [y] })
    executor.runSync(main, { feed: { x: [1, 0] }, fetch: [y] })
    expect(taken).toEqual(["exp", "sin"])
  })

  test("a program with blocks survives text and JSON, with its backward part", () => {
    const { main, loss } = branching()
    const [pair] = appendBackward(loss)
    const names = [loss.name, pair?.[1].name ?? ""]
    const expected = run(main, { x: negative }, names)
    for (const read of [parseProgram(main.toString()), Program.fromJSON(JSON.parse(JSON.stringify(main)))]) {
      const copy = resolve(read, outside)
      verify(copy)
      expect(copy.toString()).toBe(main.toString())
      expect(run(copy, { x: negative }, names)).toEqual(expected)
    }
  })

  test("a test clone keeps the branches and drops their gradients", () => {
    const { main, y, loss } = branching()
    const before = main.clone({ forTest: true }).toString()
    for (const [parameter, gradient] of appendBackward(loss)) {
      main.within({ role: "optimize" }, () => write(parameter, sub(parameter, gradient)))
    }
    const clone = main.clone({ forTest: true })
    verify(clone)
    expect(clone.toString()).toBe(before)
    expect(run(clone, { x: negative }, [y.name])).toEqual(run(main, { x: negative }, [y]))
  })

  test("state that a branch reads is the value at the start of the step", () => {
    const { main, y } = build((program) => {
      const w = parameter(program, "w", [2], { initialValue: 3 })
      const x = input(program, "x", [2])
      write(w, add(w, x))
      const [y] = cond(
        less(reduceSum(x), 100),
        () => [scale(w, { scale: 10 })],
        () => [x],
      ) as [Variable]
      return { y }
    })
    expect(run(main, { x: [1, 2] }, [y, "w"])).toEqual([
      [30, 30],
      [4, 5],
    ])
  })

  test("branches of different types are refused at the user's line", () => {
    expect(() =>
      build((program) => {
        const x = input(program, "x", [2])
        cond(
          less(reduceSum(x), 0),
          () => [x],
          () => [mean(x)],
        )
        return {}
      }),
    ).toThrow(
      /^CF_SHAPE_MISMATCH {2}test.cond: both branches must give results of the same types[^]*this test.cond was built at .*contract-blocks.test.ts/,
    )
  })
})

describe("a block that runs more than once", () => {
  test("reads the same outer values every time, also those that common subexpressions let it share", () => {
    const { main, y } = build((program) => {
      const x = input(program, "x", [8])
      // Computed once outside; the block's own exp(x) becomes the same value, and its last operators need room.
      const shared = exp(x)
      const outer = mean(shared)
      const [y] = again(x, 3, () => {
        const h = scale(exp(x), { scale: 2 })
        return [tanh(square(sin(scale(tanh(h), { scale: 0.5 }))))]
      }) as [Variable]
      return { y: add(y, outer) }
    })
    const feed = { x: [0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7] }
    const mid = feed.x.reduce((sum, value) => sum + Math.exp(value), 0) / 8
    const [found] = run(main, feed, [y])
    found?.forEach((value, i) => {
      const inner = Math.sin(0.5 * Math.tanh(2 * Math.exp(feed.x[i] ?? 0)))
      expect(value).toBeCloseTo(Math.tanh(inner * inner) + mid, 5)
    })
  })
})
