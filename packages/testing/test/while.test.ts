// Loops whose number of runs only a run can tell: values, gradients of orders 1 and 2, and how a loop ends that would not.

import { appendBackward, gradients } from "@counterflow/autodiff"
import { Executor } from "@counterflow/executor"
import { parseProgram, Program, type Variable, verify } from "@counterflow/ir"
import { cpu } from "@counterflow/kernels-cpu"
import { wasm } from "@counterflow/kernels-wasm"
import {
  add,
  cast,
  cond,
  div,
  fillConstant,
  gather,
  greater,
  legalize,
  less,
  mean,
  mul,
  reduceMax,
  reduceSum,
  registry,
  reshape,
  resolve,
  scale,
  scan,
  sin,
  square,
  sub,
  tanh,
  uniform,
  whileLoop,
  write,
} from "@counterflow/ops"
import { gradCheck, toFloat64 } from "@counterflow/testing"
import { describe, expect, test } from "vitest"
import { build, input, parameter, refusalOf } from "./building.ts"
import { run } from "./control-run.ts"

const one = (name: string, program: Program) => input(program, name, [1])

describe("whileLoop", () => {
  test("x = i · i while i < 11, from 1 and 1: 100, and gradients 0 and 20", () => {
    const { main, loss, dx, di } = build((program) => {
      const [i0, x0] = [one("i", program), one("x", program)]
      const [, x] = whileLoop(
        (i) => less(i, 11),
        (i) => [add(i, 1), mul(i, i)],
        [i0, x0],
        { maxTrips: 20 },
      )
      const loss = mean(x)
      const [dx, di] = gradients(loss, [x0, i0])
      return { loss, dx: dx!, di: di! }
    })
    verify(main)
    expect(run(main, { i: [1], x: [1] }, [loss, dx, di])).toEqual([[100], [0], [20]])
  })

  test("x = x · i while i < 3, from 1 and 1: 2, and gradients 2 and 3", () => {
    const { main, loss, dx, di } = build((program) => {
      const [i0, x0] = [one("i", program), one("x", program)]
      const [, x] = whileLoop(
        (i) => less(i, 3),
        (i, x) => [add(i, 1), mul(x, i)],
        [i0, x0],
        { maxTrips: 2 },
      )
      const loss = mean(x)
      const [dx, di] = gradients(loss, [x0, i0])
      return { loss, dx: dx!, di: di! }
    })
    verify(main)
    expect(run(main, { i: [1], x: [1] }, [loss, dx, di])).toEqual([[2], [2], [3]])
  })

  /** Newton's iteration for √a, until the square is near enough. */
  const root = (maxTrips?: number) =>
    build((program) => {
      const a = input(program, "a", [3], "float64")
      const [r] = whileLoop(
        (r) => greater(reduceMax(sub(square(r), a)), 1e-12),
        (r) => [scale(add(r, div(a, r)), { scale: 0.5 })],
        [a],
        maxTrips === undefined ? {} : { maxTrips },
      )
      return { a, r }
    })

  test.each([
    ["with maxTrips", 100],
    ["without", undefined],
  ] as const)("the number of runs follows from what is fed, also for gradients, %s", (_how, maxTrips) => {
    const { main, a, r } = root(maxTrips)
    const [first] = gradients(r, a)
    const [second] = gradients(first!, a)
    verify(main)
    for (const fed of [
      [4, 9, 2],
      [1e6, 2, 1e-3],
    ]) {
      const [roots, slopes, curvatures] = run(main, { a: fed }, [r, first!, second!])
      fed.forEach((value, i) => {
        expect(roots![i]).toBeCloseTo(Math.sqrt(value), 5)
        // The derivatives of an iteration come later than its values; three digits are there.
        expect(slopes![i]! * 2 * Math.sqrt(value)).toBeCloseTo(1, 3)
        expect(curvatures![i]! * -4 * value ** 1.5).toBeCloseTo(1, 2)
      })
    }
  })

  test("has the values of the unrolled program bit for bit, and its derivatives of orders 1 and 2", () => {
    const derivatives = (isLoop: boolean) => {
      const { main, fetch } = build((program) => {
        const [x, w] = [input(program, "x", [2, 2]), parameter(program, "w", [2, 2], { initialValue: 0.75 })]
        const cell = (c: Variable) => add(mul(sin(c), w), c)
        let y = x
        if (isLoop) {
          const zero = fillConstant({ shape: [], value: 0, dtype: "int32", program })
          ;[, y] = whileLoop(
            (i) => less(i, 4),
            (i, c) => [add(i, 1), cell(c)],
            [zero, x],
            { maxTrips: 9 },
          )
        } else for (let t = 0; t < 4; t++) y = cell(y)
        const [dx, dw] = gradients(y, [x, w])
        const second = gradients(add(reduceSum(square(dx!)), reduceSum(dw!)), [x, w])
        return { fetch: [y, dx!, dw!, ...second.map((variable) => variable!)] }
      })
      verify(main)
      const feed = { x: [0.5, -1, 1.5, 2] }
      const [values] = run(main, feed, fetch)
      const names = fetch.map(({ name }) => name)
      return { values, exact: run(toFloat64(main), feed, names).flat() }
    }
    const [loop, unrolled] = [derivatives(true), derivatives(false)]
    expect(loop.values).toEqual(unrolled.values)
    loop.exact.forEach((value, i) => expect(value).toBeCloseTo(unrolled.exact[i]!, 10))
  })

  test("in a scan, around a cond and a scan: gradients agree with differences, orders 1 and 2", async () => {
    const { main, last } = build((program) => {
      const [x, h] = [input(program, "x", [3, 2]), input(program, "h", [2])]
      const w = parameter(program, "w", [2], { initialValue: 0.5 })
      const [last] = scan(
        (c, xt, place) => {
          const zero = fillConstant({ shape: [], value: 0, dtype: "int32", program })
          const [, next] = whileLoop(
            (i) => less(i, add(place, 1)),
            (i, d) => [
              add(i, 1),
              cond(
                greater(i, 0),
                () => mul(sin(d), add(w, xt)),
                () => scan((e) => [tanh(mul(e, w))], { init: add(d, c), length: 2 })[0],
              ),
            ],
            [zero, mul(c, xt)],
            { maxTrips: 4 },
          )
          return [add(next, c)]
        },
        { init: h, xs: x },
      )
      return { last }
    })
    verify(main)
    const feed = { x: [0.5, 0.25, -1, 0.5, 0.75, 1], h: [0.3, -0.6] }
    const report = await gradCheck(main, { targets: [last], wrt: ["x", "h", "w"], feed, order: 2 })
    expect(report.toString()).toContain(": ok")
  })

  test("draws differ from run to run", () => {
    const { main, seen } = build((program) => {
      const [zero, nothing] = [
        fillConstant({ shape: [], value: 0, dtype: "int32", program }),
        fillConstant({ shape: [20], value: 0, program }),
      ]
      const places = input(program, "places", [20], "int32")
      const [, seen] = whileLoop(
        (i) => less(i, 20),
        (i, all) => {
          const isHere = mul(sub(1, cast(greater(square(sub(places, i)), 0), { dtype: "int32" })), 1)
          return [
            add(i, 1),
            add(all, mul(cast(isHere, { dtype: "float32" }), uniform({ shape: [], min: 1, max: 2, program }))),
          ]
        },
        [zero, nothing],
      )
      return { seen }
    })
    verify(main)
    const [values] = run(main, { places: Array.from({ length: 20 }, (_, i) => i) }, [seen])
    expect(new Set(values).size).toBe(20)
    expect(values!.every((value) => value >= 1 && value < 2)).toBe(true)
  })

  test("draws in the condition differ, too", () => {
    const { main, n } = build((program) => {
      const zero = fillConstant({ shape: [], value: 0, dtype: "int32", program })
      // A loop that ends with a chance of one half after each run.
      const [, n] = scan(
        (c) => [
          c,
          whileLoop(
            () => less(uniform({ shape: [], min: 0, max: 1, program }), 0.5),
            (i) => [add(i, 1)],
            [zero],
          )[0]!,
        ],
        { init: zero, length: 200 },
      )
      return { n }
    })
    verify(main)
    const [counts] = run(main, {}, [n])
    const share = (count: number) => counts!.filter((value) => value === count).length / 200
    expect([share(0), share(1), share(2)].map((value) => Math.round(value * 8))).toEqual([4, 2, 1])
  })

  test("survives text and JSON with its backward part", () => {
    const { main, a, r } = root(100)
    const [da] = gradients(r, a)
    const names = [r.name, da!.name]
    const expected = run(main, { a: [4, 9, 2] }, names)
    for (const read of [parseProgram(String(main)), Program.fromJSON(JSON.parse(JSON.stringify(main)))]) {
      const copy = resolve(read, registry)
      verify(copy)
      expect(String(copy)).toBe(String(main))
      expect(run(copy, { a: [4, 9, 2] }, names)).toEqual(expected)
    }
  })

  test("a test clone is as before, and a failing call takes back what it had the loop save", () => {
    const { main, a, r } = root(100)
    a.stopGradient = false
    const loss = mean(r)
    const [before, clone] = [String(main), String(main.clone({ forTest: true }))]
    const refuse = () => {
      throw new Error("no")
    }
    expect(() => appendBackward(loss, { parameterList: [a], callbacks: [refuse] })).toThrow(/^no$/)
    expect(String(main)).toBe(before)
    appendBackward(loss, { parameterList: [a] })
    expect(r.producer?.outputs["saved"]?.length).toBe(2)
    expect(String(main.clone({ forTest: true }))).toBe(clone)
  })
})

describe("the end of loops", () => {
  test("a loop that would run more often than maxTrips stops the step, and state stays", () => {
    const { main, w } = build((program) => {
      const [n, w] = [input(program, "n", [], "int32"), parameter(program, "w", [1], { initialValue: 1 })]
      const zero = fillConstant({ shape: [], value: 0, dtype: "int32", program })
      const [, y] = whileLoop(
        (i) => less(i, n),
        (i, y) => [add(i, 1), scale(y, { scale: 2 })],
        [zero, w],
        { maxTrips: 3 },
      )
      write(w, y)
      return { w }
    })
    const refusals = [cpu(), wasm()].map((backend) => {
      const executor = new Executor(backend, { legalize })
      const step = (n: number) => executor.runSync(main, { feed: { n }, fetch: [w.name] })[0]?.toArray()
      expect(step(3)).toEqual([8])
      const refusal = refusalOf(() => step(4))
      expect(step(0)).toEqual([8])
      expect(step(1)).toEqual([16])
      executor.close()
      return refusal
    })
    expect(refusals[0]).toBe(refusals[1])
    expect(refusals[0]).toMatchInlineSnapshot(`
      "CounterflowError: CF_LOOP_LIMIT  whileLoop: its condition still holds after 3 runs
          init = fill_constant_0.tmp_0 int32[]
          init = w float32[1]
          captures = n int32[]
        this whileLoop was built at LINE
        fix: raise maxTrips, or let the condition end the loop"
    `)
  })

  test("an operator that fails inside of a loop is named, and state stays", () => {
    const { main, w, ids } = build((program) => {
      const ids = input(program, "ids", [3], "int32")
      const w = parameter(program, "w", [2, 1], { initialValue: 1 })
      const [sum] = scan((c, id) => [add(c, gather(w, reshape(id, { shape: [1] })))], {
        init: fillConstant({ shape: [1, 1], value: 0, program }),
        xs: ids,
      })
      write(w, add(w, sum))
      return { w, ids }
    })
    for (const backend of [cpu(), wasm()]) {
      const executor = new Executor(backend, { legalize })
      const step = (...fed: number[]) => executor.runSync(main, { feed: { ids: fed }, fetch: [w] })[0]?.toArray()
      expect(step(0, 1, 1)).toEqual([[4], [4]])
      expect(refusalOf(() => step(0, 2, 1))).toMatch(/CF_INDEX_RANGE {2}gather: index 2 lies outside axis 0 of size 2/)
      expect(step(0, 0, 0)).toEqual([[16], [16]])
      executor.close()
    }
    expect(ids.type).toBe("int32[3]")
  })
})
