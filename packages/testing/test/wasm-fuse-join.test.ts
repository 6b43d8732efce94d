// Loops that were put together against the same loops one by one: on this backend every operation on float32 rounds alike, so
// not a bit may differ, whatever is read twice, fetched in between, folded or written to state in place.

import { Executor, type Feeds } from "@counterflow/executor"
import { Program, type Variable } from "@counterflow/ir"
import { cpu } from "@counterflow/kernels-cpu"
import { explainPlan, wasm } from "@counterflow/kernels-wasm"
import * as ops from "@counterflow/ops"
import fc from "fast-check"
import { describe, expect, test } from "vitest"
import { checkClose } from "../src/case.ts"
import { input } from "./building.ts"
import { expectEquality, holds } from "./wasm-pair.ts"

/** The backend without what phase 5 asks of it. */
function apart(): ReturnType<typeof wasm> {
  return { ...wasm(), fuses: false, absorbs: () => false, computes: () => false }
}

const legalize = ops.legalize

interface Step {
  readonly op: number
  readonly x: number
  readonly y: number
}

const stepOf: fc.Arbitrary<Step> = fc.record({ op: fc.nat(99), x: fc.nat(99), y: fc.nat(99) })

const unary: readonly ((x: Variable) => Variable)[] = [
  ops.relu,
  ops.tanh,
  ops.sigmoid,
  ops.abs,
  (x) => ops.exp(ops.min(x, 3)),
  (x) => ops.scale(x, { scale: 0.5, bias: 0.25 }),
  (x) => ops.sqrt(ops.abs(x)),
  (x) => ops.where(ops.greater(x, 0.5), x, ops.square(x)),
  (x) => ops.sub(x, ops.reduceMax(x, { axis: [1], keepDim: true })),
  (x) => ops.div(x, ops.add(ops.reduceSum(ops.square(x), { axis: [1], keepDim: true }), 1)),
  (x) => ops.mul(x, ops.reduceSum(ops.tanh(x), { axis: [0] })),
  (x) => ops.add(x, ops.reduceMin(ops.mul(x, 0.5))),
  (x) => ops.reshape(ops.tanh(ops.reshape(x, { shape: [-1] })), { shape: [...x.shape] }),
  (x) => ops.transpose(ops.relu(ops.transpose(x, { perm: [1, 0] })), { perm: [1, 0] }),
]
const binary: readonly ((x: Variable, y: Variable) => Variable)[] = [
  (x, y) => ops.add(x, y),
  (x, y) => ops.mul(x, ops.tanh(y)),
  (x, y) => ops.sub(x, y),
  (x, y) => ops.max(x, y),
  (x, y) => ops.div(x, ops.add(ops.square(y), 1)),
]

const sizes = fc.tuple(fc.integer({ min: 1, max: 11 }), fc.integer({ min: 1, max: 19 }))

/** A program of steps, each of which reads any values before it; every third value is fetched. */
function build(program: Program, [rows, columns]: readonly [number, number], steps: readonly Step[]): Variable[] {
  const values = [
    input(program, "a", [rows, columns]),
    input(program, "b", [rows, columns]),
    ops.broadcastTo(input(program, "row", [columns]), { shape: [rows, columns] }),
    ops.broadcastTo(input(program, "column", [rows, 1]), { shape: [rows, columns] }),
  ]
  const pick = (at: number) => values[at % values.length] ?? fail()
  for (const { op, x, y } of steps) {
    const single = unary[op % (unary.length + 2 * binary.length)]
    const double = binary[op % binary.length]
    values.push(single === undefined ? (double?.(pick(x), pick(y)) ?? fail()) : single(pick(x)))
  }
  return values.filter((_, i) => i > 3 && (i % 3 === 0 || i === values.length - 1))
}

function fail(): never {
  throw new Error("there is no such value")
}

function feedOf([rows, columns]: readonly [number, number]): Record<string, { shape: number[]; data: number[] }> {
  const some = (shape: number[], seed: number) => {
    const length = shape.reduce((product, size) => product * size, 1)
    return { shape, data: Array.from({ length }, (_, i) => Math.fround(Math.sin(seed + 1.3 * i) * 2)) }
  }
  return {
    a: some([rows, columns], 1),
    b: some([rows, columns], 2),
    row: some([columns], 3),
    column: some([rows, 1], 4),
  }
}

function bits(values: readonly { readonly data: ArrayLike<number> | BigInt64Array }[]): number[][] {
  return values.map(({ data }) => [...new Int32Array(Float32Array.from(data as ArrayLike<number>).buffer)])
}

describe("loops put together", () => {
  test("give the bits of loops one by one, and what the reference backend gives", () => {
    const [together, separate, reference] = [wasm(), apart(), cpu()].map(
      (backend) => new Executor(backend, { legalize, maxPlans: 1 }),
    )
    holds(
      [sizes, fc.array(stepOf, { minLength: 2, maxLength: 14 })],
      (size, steps) => {
        const program = new Program()
        const fetch = build(program, size, steps)
        const feed = feedOf(size)
        const run = (executor: Executor | undefined) => executor?.runSync(program, { feed, fetch }) ?? []
        const [got, expected, exact] = [run(together), run(separate), run(reference)]
        expect(bits(got)).toEqual(bits(expected))
        got.forEach((value, i) => {
          const other = exact[i]
          if (other !== undefined) checkClose(value, other, 2e-3, `fetch ${i}`)
        })
      },
      60,
    )
  }, 30_000)

  test("update state in place while others read what it was", () => {
    const states = ["p", "m", "v"] as const
    const length = 21
    const run = (backend: ReturnType<typeof wasm>) => {
      const program = new Program()
      const block = program.globalBlock()
      const [p, m, v] = states.map((name) =>
        block.createVar({ name, shape: [3, 7], dtype: "float32", persistable: true }),
      )
      const g = input(program, "g", [3, 7])
      if (p === undefined || m === undefined || v === undefined) return fail()
      const nextM = ops.add(ops.mul(m, 0.9), ops.mul(g, 0.1))
      const nextV = ops.add(ops.mul(v, 0.99), ops.mul(ops.square(g), 0.01))
      const step = ops.div(nextM, ops.add(ops.sqrt(nextV), 1e-3))
      const moved = ops.sub(ops.sub(p, ops.mul(step, 0.1)), ops.mul(m, 0.01))
      ops.write(m, nextM)
      ops.write(v, nextV)
      ops.write(p, moved)
      const drift = ops.sub(moved, p)
      const executor = new Executor(backend, { legalize })
      for (const name of states) {
        executor.scope.set(name, { shape: [3, 7], data: Float32Array.from({ length }, (_, i) => 1 + Math.sin(i)) })
      }
      const feed: Feeds = { g: { shape: [3, 7], data: Float32Array.from({ length }, (_, i) => Math.cos(i)) } }
      const drifts = [1, 2, 3].map(() => executor.runSync(program, { feed, fetch: [drift] })[0] ?? fail())
      const plan = executor.compileSync(program, { feed: { g: [3, 7] }, fetch: [drift] }).plan
      return { plan, results: bits([...drifts, ...states.map((name) => executor.scope.get(name))]) }
    }
    const [together, separate] = [run(wasm()), run(apart())]
    expect(together.results).toEqual(separate.results)
    const [loop] = together.plan.block.ops
    expect([together.plan.block.ops.length, Object.keys(loop?.outputs ?? {}).length]).toEqual([1, 4])
    expect([...together.plan.layout.inPlace].length).toBe(3)
  })
})

describe("one kernel for many sizes", () => {
  test("updates of parameters of any size are one function", () => {
    const program = new Program()
    const shapes = [[784, 256], [256], [256, 128], [10], [1]]
    for (const [i, shape] of shapes.entries()) {
      const s = program.globalBlock().createVar({ name: `s${i}`, shape, dtype: "float32", persistable: true })
      ops.write(s, ops.sub(s, ops.mul(ops.square(s), 0.5)))
    }
    const executor = new Executor(wasm(), { legalize })
    for (const [i, shape] of shapes.entries()) {
      const length = shape.reduce((product, size) => product * size, 1)
      executor.scope.set(`s${i}`, { shape, data: Float32Array.from({ length }, (_, j) => Math.sin(j)) })
    }
    const step = executor.compileSync(program)
    const { kernels } = explainPlan(step.plan)
    expect(new Set([...kernels.values()].flat()).size).toBe(1)
    step.runSync()
    for (const [i] of shapes.entries()) {
      const after = [...(executor.scope.get(`s${i}`).data as Float32Array)]
      const expected = after.map((_, j) => {
        const x = Math.fround(Math.sin(j))
        return Math.fround(x - Math.fround(Math.fround(x * x) * 0.5))
      })
      expect(after).toEqual(expected)
    }
  })
})

/** Bits of what both ways to compile make of a program of one input. */
function bothWays(shape: readonly number[], make: (x: Variable) => readonly Variable[]): (number[][] | undefined)[] {
  const length = shape.reduce((product, size) => product * size, 1)
  const x = { shape, data: Float32Array.from({ length }, (_, i) => Math.sin(1.1 * i) * 3) }
  return [wasm(), apart()].map((backend) => {
    const program = new Program()
    const fetch = make(input(program, "x", [...shape]))
    return bits(new Executor(backend, { legalize }).runSync(program, { feed: { x }, fetch }))
  })
}

describe("work that is cut into parts", () => {
  test("elements have the bits that they have in a small loop", () => {
    const make = (x: Variable) => [ops.tanh(ops.mul(ops.exp(x), 0.5))]
    const [large] = bothWays([150_001], make)
    const [small] = bothWays([1003], make)
    expect(large?.[0]?.slice(0, 1003)).toEqual(small?.[0])
    const [rows, separate] = bothWays([701, 203], (x) => [
      ops.sub(ops.exp(ops.sub(x, ops.reduceMax(x, { axis: [1], keepDim: true }))), ops.tanh(x)),
      ops.reduceSum(ops.exp(x), { axis: [0] }),
      ops.reduceSum(ops.exp(ops.mul(x, 0.5)), { axis: [1] }),
    ])
    expect(rows).toEqual(separate)
  })

  test("a long sum is that of its parts, of an expression as well", () => {
    for (const length of [2 ** 17 - 1, 2 ** 17, 2 ** 17 + 13, 2 ** 19 + 5]) {
      const make = (x: Variable) => [ops.reduceSum(x), ops.reduceSum(ops.square(ops.mul(x, 0.1)))]
      const [got, expected] = bothWays([length], make)
      expect(got).toEqual(expected)
      const data = Array.from({ length }, (_, i) => Math.fround(Math.sin(1.1 * i) * 3))
      const sum = data.reduce((total, value) => total + value, 0)
      expect(new Float32Array(Int32Array.from(got?.[0] ?? []).buffer)[0]).toBe(Math.fround(sum))
    }
  })
})

describe("copies", () => {
  const shapes: readonly (readonly number[])[] = [
    [9, 13],
    [4, 8],
    [3, 5, 7],
    [5, 4, 6],
    [2, 8, 3, 9],
    [1, 6, 1, 5],
    [64, 33],
  ]

  test.each(shapes.map((shape) => [shape] as const))("transposes of %j", (shape) => {
    const axes = shape.map((_, i) => i)
    const orders = axes.flatMap((shift) => {
      const turned = axes.map((axis) => (axis + shift) % axes.length)
      return [turned, turned.toReversed()]
    })
    for (const dtype of ["float32", "int32", "float64", "uint8"] as const) {
      const length = shape.reduce((product, size) => product * size, 1)
      const x = { dtype, shape, data: Array.from({ length }, (_, i) => i % 251) }
      expectEquality({ x }, ({ x: v }) => orders.map((perm) => ops.transpose(v, { perm })))
    }
  })

  test("broadcasts along the innermost axis", () => {
    for (const width of [1, 3, 4, 7, 16, 21]) {
      const x = { dtype: "float32", shape: [3, 1], data: [1, 2.5, -3] } as const
      expectEquality({ x }, (v) => [ops.broadcastTo(v.x, { shape: [3, width] })])
    }
  })
})

describe("folds of expressions", () => {
  const shapes: readonly (readonly [readonly number[], readonly number[]])[] = [
    [[5, 3], [1]],
    [[5, 16], [1]],
    [[5, 21], [1]],
    [
      [3, 2, 9],
      [1, 2],
    ],
    [
      [3, 4, 11],
      [0, 2],
    ],
    [[7, 3], [0]],
    [[7, 8], [0]],
    [[7, 21], [0]],
    [[3, 5, 6], [1]],
    [[37], [0]],
    [
      [2, 3],
      [0, 1],
    ],
    [
      [1, 1],
      [0, 1],
    ],
  ]

  test.each(shapes)("%j over %j", (shape, axis) => {
    const length = shape.reduce((product, size) => product * size, 1)
    const [together, separate] = [wasm(), apart()].map((backend) => {
      const program = new Program()
      const [x, y] = [input(program, "x", [...shape]), input(program, "y", [...shape])]
      const row = input(program, "row", [shape.at(-1) ?? 1])
      const folds = [ops.reduceSum, ops.reduceMax, ops.reduceMin]
      // Each of an expression of its own, which no other fold reads.
      const fetch = folds.flatMap((fold, i) => [
        fold(ops.mul(ops.tanh(ops.mul(x, i + 1)), y), { axis: [...axis] }),
        fold(ops.mul(ops.sub(ops.mul(x, i + 2), row), ops.cast(ops.greater(y, 0), { dtype: "float32" })), {
          axis: [...axis],
        }),
      ])
      const data = (seed: number) => Float32Array.from({ length }, (_, i) => (i % 9 === 4 ? -0 : Math.sin(seed * i)))
      const feed = {
        x: { shape, data: data(2) },
        y: { shape, data: data(3) },
        row: { shape: [shape.at(-1) ?? 1], data: data(5).slice(0, shape.at(-1)) },
      }
      const executor = new Executor(backend, { legalize })
      const plan = executor.compileSync(program, { feed, fetch }).plan
      return { plan, results: bits(executor.runSync(program, { feed, fetch })) }
    })
    expect(together?.results).toEqual(separate?.results)
    expect(together?.plan.block.ops.filter(({ prologue }) => prologue !== undefined).length).toBe(6)
  })

  test("the first of equal zeros counts, and a NaN always", () => {
    const run = (backend: ReturnType<typeof wasm> | ReturnType<typeof cpu>, data: Float32Array) => {
      const program = new Program()
      const x = input(program, "x", [data.length])
      const z = ops.mul(x, 1)
      const fetch = [ops.reduceMax(x), ops.reduceMin(x), ops.reduceMax(ops.neg(z)), ops.reduceMin(ops.neg(z))]
      return new Executor(backend, { legalize })
        .runSync(program, { feed: { x: data }, fetch })
        .map(({ data: [v] }) => v)
    }
    for (const length of [1, 3, 4, 7, 8, 9, 15, 16, 21]) {
      for (let first = 0; first < length; first += 2) {
        const zeros = Float32Array.from({ length }, (_, i) => (i < first ? -1 : i % 3 === 0 ? -0 : 0))
        expect(run(wasm(), zeros)).toEqual(run(cpu(), zeros))
        const odd = zeros.map((value, i) => (i === first ? NaN : value))
        expect(run(wasm(), odd)).toEqual([NaN, NaN, NaN, NaN])
      }
    }
  })
})
