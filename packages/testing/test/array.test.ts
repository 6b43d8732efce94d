// Arrays: Fluid's four functions, in loops and branches, with gradients; what is refused; and that a write costs a row.

import { gradients } from "@counterflow/autodiff"
import { allOps } from "@counterflow/compiler"
import { Executor } from "@counterflow/executor"
import { symbol, type Variable, verify } from "@counterflow/ir"
import { cpu } from "@counterflow/kernels-cpu"
import { wasm } from "@counterflow/kernels-wasm"
import {
  add,
  arrayLength,
  arrayRead,
  arrayWrite,
  cond,
  createArray,
  fillConstant,
  legalize,
  less,
  mul,
  reduceSum,
  rowAt,
  scale,
  scan,
  square,
  sub,
  tanh,
  type TensorArray,
  whileLoop,
  write,
} from "@counterflow/ops"
import { gradCheck } from "@counterflow/testing"
import { describe, expect, test } from "vitest"
import { build, input, parameter, refusalOf } from "./building.ts"
import { run } from "./control-run.ts"

const int = (value: number, { program }: Variable) => fillConstant({ shape: [], value, dtype: "int32", program })

/** x, y, then each the tanh of the two before it, weighted by w; in a loop that knows its length only when it runs, or unrolled. */
function recurrence(isLoop: boolean, count = 6) {
  return build((program) => {
    const [x, y, w] = [input(program, "x", [2]), input(program, "y", [2]), input(program, "w", [2])]
    const next = (array: TensorArray, one: Variable | number, two: Variable | number) =>
      tanh(add(mul(arrayRead(array, one), w), arrayRead(array, two)))
    let array = arrayWrite(y, 1, arrayWrite(x, 0, { capacity: count }))
    if (isLoop) {
      ;[, array] = whileLoop(
        (i) => less(i, count),
        (i, a) => [add(i, 1), arrayWrite(next(a, sub(i, 1), sub(i, 2)), i, a)],
        [int(2, x), array],
        { maxTrips: count },
      )
    } else {
      for (let i = 2; i < count; i++) array = arrayWrite(next(array, i - 1, i - 2), i, array)
    }
    return { x, y, w, stack: array.stack, length: arrayLength(array) }
  })
}

const near = { x: [0.5, -1], y: [0.3, 0.8], w: [0.9, -0.6] }

describe("arrays", () => {
  test("as in Fluid: what was written is read, and each write makes a new array", () => {
    const { main, results } = build((program) => {
      const x = input(program, "x", [3])
      const empty = createArray({ capacity: 4, shape: [3], program })
      const one = arrayWrite(x, 0, empty)
      const two = arrayWrite(scale(x, { scale: 2 }), int(1, x), one)
      const other = arrayWrite(scale(x, { scale: 3 }), 3, one)
      const lengths = [empty, one, two, other].map((array) => arrayLength(array))
      return { results: [...lengths, arrayRead(two, 1), arrayRead(other, int(3, x)), one.stack, other.stack] }
    })
    verify(main)
    expect(run(main, { x: [1, 2, 3] }, results)).toEqual([
      [0],
      [1],
      [2],
      [4],
      [2, 4, 6],
      [3, 6, 9],
      [1, 2, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0],
      [1, 2, 3, 0, 0, 0, 0, 0, 0, 3, 6, 9],
    ])
  })

  test("a loop that writes, and reads what it wrote, is the unrolled program, derivatives of orders 1 and 2 too", () => {
    const found = [true, false].map((isLoop) => {
      const { main, x, y, w, stack, length } = recurrence(isLoop)
      const first = gradients(reduceSum(square(stack)), [x, y, w]).map((gradient) => gradient!)
      const norm = first.map((gradient) => reduceSum(square(gradient))).reduce((a, b) => add(a, b))
      const second = gradients(norm, [x, y, w]).map((gradient) => gradient!)
      verify(main)
      return run(main, near, [stack, length, ...first, ...second])
    })
    const [loop, unrolled] = found
    loop!.forEach((values, i) => values.forEach((value, j) => expect(value).toBeCloseTo(unrolled![i]![j]!, 4)))
    expect(loop![1]).toEqual([6])
  })

  test("and agree with differences", async () => {
    const { main, stack } = recurrence(true)
    const report = await gradCheck(main, { targets: [stack], wrt: ["x", "y", "w"], feed: near, order: 2 })
    expect(report.toString()).toContain(": ok")
  })

  test("in a scan, in branches, and read after the loop", async () => {
    const { main, picked } = build((program) => {
      const [x, pred] = [input(program, "x", [4, 2]), input(program, "pred", [4], "bool")]
      const [array] = scan(
        (array, [xt, isWanted], i) => [
          cond(
            isWanted,
            () => arrayWrite(mul(xt, xt), i, array),
            () => array,
          ),
        ],
        { init: createArray({ capacity: 4, shape: [2], program }), xs: [x, pred] as const },
      )
      return { picked: add(arrayRead(array, 1), arrayRead(array, 2)) }
    })
    verify(main)
    const x = [1, 2, 3, 4, 5, 6, 7, 8]
    expect(run(main, { x, pred: [1, 0, 1, 0] }, [picked])).toEqual([[25, 36]])
    const feed = { x, pred: [0, 1, 1, 1] }
    const report = await gradCheck(main, { targets: [picked], wrt: ["x"], feed, order: 2 })
    expect(report.toString()).toContain(": ok")
  })

  test("arrays that change places, and a condition that writes", () => {
    const { main, results } = build((program) => {
      const x = input(program, "x", [1])
      const [a, b] = [arrayWrite(x, 0, { capacity: 3 }), arrayWrite(scale(x, { scale: 10 }), 0, { capacity: 3 })]
      const [, c, d] = whileLoop(
        (i, c) => less(reduceSum(arrayRead(arrayWrite(scale(x, { scale: 0 }), 0, c), sub(i, 1))), 3),
        (i, c, d) => [add(i, 1), arrayWrite(add(x, 1), i, d), c],
        [int(1, x), a, b],
        { maxTrips: 3 },
      )
      return { results: [c.stack, d.stack] }
    })
    // (1 · ·), (10 · ·) → (10 2 ·), (1 · ·), element 1 is 2 → (1 · 2), (10 2 ·), element 2 is 2 → there is no element 3
    const executor = [cpu(), wasm()].map((backend) => new Executor(backend, { legalize }))
    const found = executor.map((each) => refusalOf(() => each.runSync(main, { feed: { x: [1] }, fetch: results })))
    expect(found[0]).toBe(found[1])
    expect(found[0]).toContain("CF_INDEX_RANGE  withRow: index 3 lies outside axis 0 of size 3")
    const [c, d] = run(main, { x: [2] }, results)
    expect([c, d]).toEqual([
      [20, 3, 0],
      [2, 0, 0],
    ])
  })

  test("elements of every dtype, and of unknown size", () => {
    for (const dtype of ["float64", "int32", "int64", "uint8", "bool"] as const) {
      const { main, stack } = build((program) => {
        const x = input(program, "x", [symbol("n"), 2], dtype)
        return { stack: arrayWrite(x, 1, { capacity: 2 }).stack }
      })
      expect(stack.type).toBe(`${dtype}[2, n, 2]`)
      const feed = { x: { data: [1, 0, 1, 1], shape: [2, 2] } }
      const results = [cpu(), wasm()].map((backend) =>
        new Executor(backend, { legalize }).runSync(main, { feed, fetch: [stack] })[0].toArray(),
      )
      expect(results[0]).toEqual(results[1])
    }
  })
})

test("the gradient of what is read is added to what other readers send, row by row", () => {
  const { main } = build((program) => {
    const [x, i, j] = [input(program, "x", [3, 2]), input(program, "i", [], "int32"), input(program, "j", [], "int32")]
    return { dx: gradients(add(mul(rowAt(x, i), rowAt(x, j)), reduceSum(x)), x) }
  })
  const lines = String(main).split("\n")
  const text = lines.slice(lines.findIndex((line) => line.includes("-- backward"))).join("\n")
  expect(text.replace(/\n {2}names .*/s, "")).toMatchInlineSnapshot(`
    "  -- backward
      add_0.tmp_0@GRAD : float32[2] = fillConstant() {shape: [2], value: 1, dtype: "float32"} gradientOf=add_0.tmp_0
      mul_0.tmp_0@GRAD : float32[2] = assign(x: add_0.tmp_0@GRAD) gradientOf=mul_0.tmp_0 from=add_0.tmp_0
      broadcast_to_0.broadcast_0@GRAD : float32[2] = assign(x: add_0.tmp_0@GRAD) gradientOf=broadcast_to_0.broadcast_0 from=add_0.tmp_0
      reduce_sum_0.tmp_0@GRAD : float32[] = reduceSum(x: broadcast_to_0.broadcast_0@GRAD) {axis: [0], keepDim: false} gradientOf=reduce_sum_0.tmp_0 from=broadcast_to_0.broadcast_0
      x@GRAD@PART_0 : float32[3, 2] = broadcastTo(x: reduce_sum_0.tmp_0@GRAD) {shape: [3, 2]} gradientOf=x from=reduce_sum_0.tmp_0
      row_at_0.tmp_0@GRAD : float32[2] = mul(x: mul_0.tmp_0@GRAD, y: row_at_1.tmp_0) gradientOf=row_at_0.tmp_0 from=mul_0.tmp_0
      row_at_1.tmp_0@GRAD : float32[2] = mul(x: mul_0.tmp_0@GRAD, y: row_at_0.tmp_0) gradientOf=row_at_1.tmp_0 from=mul_0.tmp_0
      row_at_0.grad_0 : float32[2] = rowAt(x: x@GRAD@PART_0, index: j)
      add_0.grad_0 : float32[2] = add(x: row_at_0.grad_0, y: row_at_1.tmp_0@GRAD)
      with_row_0.grad_0 : float32[3, 2] = withRow(x: x@GRAD@PART_0, row: add_0.grad_0, index: j)
      row_at_1.grad_0 : float32[2] = rowAt(x: with_row_0.grad_0, index: i)
      add_1.grad_0 : float32[2] = add(x: row_at_1.grad_0, y: row_at_0.tmp_0@GRAD)
      x@GRAD : float32[3, 2] = withRow(x: with_row_0.grad_0, row: add_1.grad_0, index: i) gradientOf=x"
  `)
})

describe("what a write costs", () => {
  test.each([
    ["cpu", cpu],
    ["wasm", wasm],
  ] as const)("on %s all writes of a loop and of its gradient are in place, on one stack", (_name, backend) => {
    const count = 64
    const { main, x, w, stack } = recurrence(true, count)
    const loss = reduceSum(square(stack))
    const executor = new Executor(backend(), { legalize })
    const step = executor.compileSync(main, {
      feed: { x: [2], y: [2], w: [2] },
      fetch: [loss, ...gradients(loss, [x, w]).map((gradient) => gradient!)],
    })
    const { placements } = step.plan.layout
    const writes = [...allOps(step.plan.block)].filter(({ facts }) => facts.overwrites !== undefined)
    for (const { inputs, outputs } of writes)
      expect(placements[outputs["z"]![0]!]).toEqual(placements[inputs["x"]![0]!])
    // Two before the loop and one in it; backwards one for what is written, two for what is read, and one before the loop.
    expect(writes.length).toBe(7)
    const bytes = count * 2 * 4
    // The stack, its gradient, what the loop saves for its own (tanh, and two indices and i), and little else.
    expect(step.memory.arenaBytes).toBeLessThan(5 * bytes + 1000)
    executor.close()
  })
})

describe("refusals", () => {
  test("places that are not there, when it runs: state stays, and the line is that of the user", () => {
    const { main, w, y } = build((program) => {
      const [i, j, w] = [
        input(program, "i", [], "int32"),
        input(program, "j", [1], "int64"),
        parameter(program, "w", [2]),
      ]
      const array = arrayWrite(w, i, { capacity: 3 })
      write(w, scale(w, { scale: 2 }))
      return { w, y: arrayRead(array, j) }
    })
    for (const backend of [cpu, wasm]) {
      const executor = new Executor(backend(), { legalize })
      const step = (i: number, j: number) => executor.runSync(main, { feed: { i, j: [j] }, fetch: [y] })[0].toArray()
      expect(step(2, 2)).toEqual([1, 1])
      const refused = [step.bind(null, 3, 0), step.bind(null, -1, 0), step.bind(null, 0, 1), step.bind(null, 1, -1)]
      expect(refused.map((each) => refusalOf(each).split("\n")[0])).toEqual([
        "CounterflowError: CF_INDEX_RANGE  withRow: index 3 lies outside axis 0 of size 3",
        "CounterflowError: CF_INDEX_RANGE  withRow: index -1 lies outside axis 0 of size 3",
        "CounterflowError: CF_INDEX_RANGE  rowAt: index 1 lies outside axis 0 of size 1",
        "CounterflowError: CF_INDEX_RANGE  rowAt: index -1 lies outside axis 0 of size 2",
      ])
      expect(refusalOf(() => step(0, 7))).toMatch(/this rowAt was built at LINE/)
      expect(executor.scope.get("w").toArray()).toEqual([2, 2])
      expect(step(0, 0)).toEqual([2, 2])
      executor.close()
    }
    expect(w.type).toBe("float32[2]")
  })

  const refused = (body: (x: Variable, array: TensorArray) => unknown) =>
    refusalOf(() =>
      build((program) => {
        const x = input(program, "x", [2])
        return { made: body(x, createArray({ capacity: 3, shape: [2], program })) }
      }),
    )

  test("elements of another shape or dtype", () => {
    expect(refused((x, array) => arrayWrite(reduceSum(x), 0, array))).toMatchInlineSnapshot(`
      "CounterflowError: CF_SHAPE_MISMATCH  arrayWrite: x, as the elements of the array, must have shape [2], got []
        this arrayWrite was built at LINE"
    `)
    expect(refused((x, array) => arrayWrite(less(x, 0), 0, array))).toMatchInlineSnapshot(`
      "CounterflowError: CF_DTYPE_MISMATCH  arrayWrite: x, as the elements of the array, must be float32, got bool
        this arrayWrite was built at LINE"
    `)
  })

  test("numbers that are no places", () => {
    expect(refused((x, array) => arrayWrite(x, -1, array))).toMatchInlineSnapshot(`
      "CounterflowError: CF_INDEX_RANGE  arrayWrite: index -1 lies outside an array of capacity 3
        this arrayWrite was built at LINE
        fix: elements count from 0; negative numbers do not count from the end"
    `)
    expect(refused((_x, array) => arrayRead(array, 3))).toContain("index 3 lies outside an array of capacity 3")
    expect(refused((x, array) => arrayRead(array, x))).toContain("i must be int32 or int64, got float32")
    expect(refused((_x, array) => arrayRead(array, 0.5))).toContain("i must be an integer, got 0.5")
  })

  test("what is no array, or one of another program", () => {
    // @ts-expect-error no array
    expect(refused((x) => arrayWrite(x, 0))).toMatchInlineSnapshot(`
      "CounterflowError: CF_BAD_ARGUMENT  arrayWrite: it is not said which array is written, or how many elements a new one may have
        this arrayWrite was built at LINE
        fix: arrayWrite(x, i, { capacity: 100 }), or create it before: createArray({ capacity: 100, shape })"
    `)
    // @ts-expect-error no array
    expect(refused((x) => arrayRead(x, 0))).toMatchInlineSnapshot(`
      "CounterflowError: CF_BAD_ARGUMENT  arrayRead: array must be what createArray or arrayWrite answers, got a Variable
        this arrayRead was built at LINE"
    `)
    const foreign = build((program) => ({ array: createArray({ capacity: 3, shape: [2], program }) })).array
    expect(refused((x) => arrayWrite(x, 0, foreign))).toContain("CF_FOREIGN_VARIABLE")
    expect(refused((x) => arrayWrite(x, 0, { capacity: -1 }))).toContain("CF_BAD_ATTRIBUTE")
    // @ts-expect-error an array is no value that can be stacked
    expect(refused((x, array) => scan((c) => [c, array], { init: x, length: 2 }))).toMatchInlineSnapshot(`
      "CounterflowError: CF_BAD_ARGUMENT  scan: what is stacked must be variables, got an array
        this scan was built at LINE
        fix: make it part of the carry"
    `)
  })
})
