// Loops of known length: values bit for bit those of the unrolled program, gradients of orders 1 and 2, and draws.

import { gradients } from "@counterflow/autodiff"
import { symbol, verify } from "@counterflow/ir"
import { dropout } from "@counterflow/layers"
import {
  add,
  cast,
  cond,
  exp,
  fillConstant,
  greater,
  mul,
  reduceSum,
  scale,
  scan,
  sin,
  square,
  sub,
  tanh,
  uniform,
} from "@counterflow/ops"
import { gradCheck, toFloat64 } from "@counterflow/testing"
import { describe, expect, test } from "vitest"
import { build, input, parameter } from "./building.ts"
import { run } from "./control-run.ts"
import { feed, recurrent, wave } from "./scan-recurrent.ts"

describe("scan", () => {
  test("values are those of the unrolled program, bit for bit", () => {
    const [loop, unrolled] = [recurrent(true), recurrent(false)]
    verify(loop.main)
    expect(run(loop.main, feed, [loop.last, loop.ys])).toEqual(run(unrolled.main, feed, [unrolled.last, unrolled.ys]))
  })

  test("gradients are those of the unrolled program, orders 1 and 2", () => {
    const derivatives = (isScan: boolean) => {
      const made = recurrent(isScan)
      const { x, h0, w, u } = made
      const loss = add(reduceSum(square(made.last)), reduceSum(made.ys))
      const first = gradients(loss, [x, h0, w, u]).map((gradient) => gradient!)
      const norm = first.map((gradient) => reduceSum(square(gradient))).reduce((a, b) => add(a, b))
      const second = gradients(norm, [x, h0, w, u]).map((gradient) => gradient!)
      verify(made.main)
      return run(made.main, feed, [...first, ...second])
    }
    const [loop, unrolled] = [derivatives(true), derivatives(false)]
    loop.forEach((values, i) => values.forEach((value, j) => expect(value).toBeCloseTo(unrolled[i]![j]!, 4)))
  })

  test("gradients agree with differences, orders 1 and 2", async () => {
    const { main, last, ys } = recurrent(true, 4)
    const report = await gradCheck(main, {
      targets: [last, ys],
      wrt: ["x", "h0", "w", "u"],
      feed: { x: wave(24), h0: wave(8, 0.7) },
      order: 2,
    })
    expect(report.toString()).toContain(": ok")
  })

  test("backwards: each place gets what comes after it", () => {
    const { main, last, sums, places } = build((program) => {
      const x = input(program, "x", [4])
      const zero = fillConstant({ shape: [], value: 0 })
      const [last, sums] = scan((sum, xt) => [add(sum, xt), sum], { init: zero, xs: x, reverse: true })
      const [, places] = scan((_carry, xt, place) => [[], [place, xt]], { init: [], xs: x, reverse: true })
      return { last, sums, places: places[0] }
    })
    verify(main)
    expect(run(main, { x: [1, 2, 3, 4] }, [last, sums, places])).toEqual([[10], [9, 7, 4, 0], [0, 1, 2, 3]])
  })

  test("no places: the carry is what it was, and nothing is stacked", () => {
    const { main, last, ys, dh } = build((program) => {
      const [x, h] = [input(program, "x", [0, 2]), input(program, "h", [2])]
      const [last, ys] = scan((c, xt) => [mul(c, xt), add(c, xt)], { init: h, xs: x })
      return { last, ys, dh: gradients(last, h)[0]! }
    })
    verify(main)
    expect(run(main, { x: [], h: [3, 4] }, [last, ys, dh])).toEqual([[3, 4], [], [1, 1]])
  })

  test("batch and length of unknown size", async () => {
    const { main, last, ys } = build((program) => {
      const x = input(program, "x", [symbol("steps"), symbol("batch"), 2])
      const h = input(program, "h", [symbol("batch"), 2])
      const [last, ys] = scan((c, xt) => [sin(add(mul(c, xt), c)), mul(c, c)], { init: h, xs: x })
      return { last, ys }
    })
    verify(main)
    expect(ys.type).toBe("float32[steps, batch, 2]")
    const report = await gradCheck(main, {
      targets: [last, ys],
      wrt: ["x", "h"],
      feed: {
        x: { data: wave(12), shape: [3, 2, 2], dtype: "float64" },
        h: { data: wave(4, 2), shape: [2, 2], dtype: "float64" },
      },
      order: 2,
    })
    expect(report.toString()).toContain(": ok")
  })

  test("carries of several dtypes change places; integers carry no gradient", async () => {
    const { main, a, b, n, da } = build((program) => {
      const [a0, b0] = [input(program, "a", [2]), input(program, "b", [2])]
      const zero = fillConstant({ shape: [], value: 0, dtype: "int32" })
      const [[a, b, n]] = scan(([a, b, n]) => [[b, mul(a, add(cast(n, { dtype: "float32" }), 1)), add(n, 2)]], {
        init: [a0, b0, zero],
        length: 3,
      })
      return { a, b, n, da: gradients(a, a0)[0]! }
    })
    verify(main)
    // (a, b) → (b, a) → (a, 3 b) → (3 b, 5 a)
    expect(run(main, { a: [1, 2], b: [10, 20] }, [a, b, n, da])).toEqual([[30, 60], [5, 10], [6], [0, 0]])
    const feed = { a: [1, 2], b: [3, 4] }
    const report = await gradCheck(main, { targets: [a, b], wrt: ["a", "b"], feed, order: 2 })
    expect(report.toString()).toContain(": ok")
  })

  test("a carry that is both read and replaced has the second derivatives of the unrolled program", () => {
    const derivatives = (isScan: boolean) => {
      const { main, first, second } = build((program) => {
        const x = input(program, "x", [2])
        let y = x
        if (isScan) [y] = scan((c) => [mul(sin(c), c)], { init: x, length: 3 })
        else for (let t = 0; t < 3; t++) y = mul(sin(y), y)
        const first = gradients(y, x)[0]!
        return { first, second: gradients(first, x)[0]! }
      })
      return run(toFloat64(main), { x: [1.2, 2.1] }, [first.name, second.name])
    }
    const [loop, unrolled] = [derivatives(true), derivatives(false)]
    loop.flat().forEach((value, i) => expect(value).toBeCloseTo(unrolled.flat()[i]!, 12))
  })

  test("a cond in a scan in a cond in a scan", async () => {
    const { main, last, ys } = build((program) => {
      const [x, h] = [input(program, "x", [3, 2]), input(program, "h", [2])]
      const w = parameter(program, "w", [2], { initialValue: 0.5 })
      const [last, ys] = scan(
        (c, xt) => {
          const next = cond(
            greater(reduceSum(xt), 0),
            () => {
              const [inner] = scan(
                (d, _x, place) => [
                  cond(
                    greater(place, 0),
                    () => mul(sin(d), add(c, w)),
                    () => mul(d, xt),
                  ),
                ],
                { init: mul(c, w), length: 2 },
              )
              return add(inner, c)
            },
            () => mul(exp(scale(c, { scale: 0.1 })), w),
          )
          return [next, square(next)]
        },
        { init: h, xs: x },
      )
      return { last, ys }
    })
    verify(main)
    const feed = { x: [0.5, 0.25, -1, 0.5, 0.75, 1], h: [0.3, -0.6] }
    const report = await gradCheck(main, { targets: [last, ys], wrt: ["x", "h", "w"], feed, order: 2 })
    expect(report.toString()).toContain(": ok")
  })

  test("a scan in a scan, with what both capture", async () => {
    const { main, last, ys } = build((program) => {
      const [x, h] = [input(program, "x", [3, 2]), input(program, "h", [2])]
      const w = parameter(program, "w", [2], { initialValue: 0.5 })
      const [last, ys] = scan(
        (c, xt) => {
          const [next, parts] = scan((d, _x) => [mul(sin(add(d, xt)), w), mul(d, c)], { init: c, length: 2 })
          return [next, mul(reduceSum(parts), xt)]
        },
        { init: h, xs: x },
      )
      return { last, ys }
    })
    verify(main)
    const feed = { x: wave(6), h: [0.3, -0.6] }
    const report = await gradCheck(main, { targets: [last, ys], wrt: ["x", "h", "w"], feed, order: 2 })
    expect(report.toString()).toContain(": ok")
  })

  test("parts of lists: what nothing asks for costs nothing", () => {
    const { main, last, dx } = build((program) => {
      const [x, h] = [input(program, "x", [4, 2]), input(program, "h", [2])]
      const [[last]] = scan(([c, d], [xt]) => [[mul(c, xt), exp(d)], tanh(c)], { init: [h, h], xs: [x] })
      return { last, dx: gradients(last, x)[0]! }
    })
    verify(main)
    // Only the carry that depends on x is differentiated: one carry, and no accumulator.
    expect(dx.producer?.inputs["init"]?.length).toBe(1)
    expect(run(main, { x: [1, 2, 3, 4, 5, 6, 7, 8], h: [1, 1] }, [last, dx])).toEqual([
      [105, 384],
      [105, 192, 35, 96, 21, 64, 15, 48],
    ])
  })
})

describe("gradients inside of a loop", () => {
  test("steps of descent in a scan, and the gradient through them, as the closed form says", () => {
    const { main, last, dRate, dStart } = build((program) => {
      const [start, target] = [input(program, "start", []), input(program, "target", [])]
      const rate = parameter(program, "rate", [], { initialValue: 0.125 })
      const [last] = scan(
        (w) => {
          const loss = square(sub(w, target))
          return [sub(w, mul(rate, gradients(loss, w)[0]!))]
        },
        { init: start, length: 3 },
      )
      const [dRate, dStart] = gradients(last, [rate, start])
      return { last, dRate: dRate!, dStart: dStart! }
    })
    verify(main)
    // w₃ − b = (1 − 2 r)³ (w₀ − b)
    const [start, target, rate] = [5, 1, 0.125]
    expect(run(main, { start, target }, [last, dRate, dStart])).toEqual([
      [target + (1 - 2 * rate) ** 3 * (start - target)],
      [-6 * (1 - 2 * rate) ** 2 * (start - target)],
      [(1 - 2 * rate) ** 3],
    ])
  })
})

describe("draws in a loop", () => {
  test("differ from run to run, in nested loops too, and are repeated by the next step of the same number only", () => {
    const { main, ys, inner } = build((program) => {
      const nothing = fillConstant({ shape: [], value: 0 })
      const draw = () => uniform({ shape: [], program })
      const [, ys] = scan((c) => [c, draw()], { init: nothing, length: 50 })
      const [, inner] = scan((c) => [c, scan((d) => [d, draw()], { init: c, length: 7 })[1]], {
        init: nothing,
        length: 9,
      })
      return { ys, inner }
    })
    verify(main)
    const [first, nested] = run(main, {}, [ys, inner])
    expect(new Set(first).size).toBe(50)
    expect(new Set(nested).size).toBe(63)
    expect(run(main, {}, [ys])).toEqual([first])
  })

  test("the backward part drops what the forward part dropped", () => {
    const { main, ys, dx } = build((program) => {
      const x = input(program, "x", [5, 16])
      const nothing = fillConstant({ shape: [], value: 0 })
      const [, ys] = scan((c, xt) => [c, dropout(xt, { dropoutProb: 0.5 })], { init: nothing, xs: x })
      return { ys, dx: gradients(ys, x)[0]! }
    })
    const [values, derivative] = run(main, { x: Array.from({ length: 80 }, () => 1) }, [ys, dx])
    expect(derivative).toEqual(values)
    expect(new Set(values)).toEqual(new Set([0, 2]))
    const rows = Array.from({ length: 5 }, (_, t) => values!.slice(16 * t, 16 * t + 16).join(""))
    expect(new Set(rows).size).toBe(5)
  })

  test("a branch that a gradient computes again draws the same", () => {
    const { main, ys, dx } = build((program) => {
      const x = input(program, "x", [5, 16])
      const nothing = fillConstant({ shape: [], value: 0 })
      const [, ys] = scan(
        (c, xt) => [
          c,
          cond(
            greater(reduceSum(xt), 0),
            () => dropout(xt, { dropoutProb: 0.5 }),
            () => xt,
          ),
        ],
        { init: nothing, xs: x },
      )
      return { ys, dx: gradients(ys, x)[0]! }
    })
    verify(main)
    const [values, derivative] = run(main, { x: Array.from({ length: 80 }, () => 1) }, [ys, dx])
    expect(derivative).toEqual(values)
    expect(new Set(values)).toEqual(new Set([0, 2]))
  })
})
