// Gradients of loops without `maxTrips`: what their runs save lies on the tape, and everything is as with a limit.

import { appendBackward, gradients } from "@counterflow/autodiff"
import { Executor } from "@counterflow/executor"
import { parseProgram, Program, type Variable, verify } from "@counterflow/ir"
import { cpu } from "@counterflow/kernels-cpu"
import { wasm } from "@counterflow/kernels-wasm"
import {
  add,
  cond,
  fillConstant,
  greater,
  legalize,
  less,
  mean,
  mul,
  reduceSum,
  registry,
  resolve,
  scale,
  scan,
  sin,
  square,
  tanh,
  whileLoop,
} from "@counterflow/ops"
import { gradCheck, toFloat64 } from "@counterflow/testing"
import { describe, expect, test } from "vitest"
import { build, input, parameter } from "./building.ts"
import { run, runOn } from "./control-run.ts"

const backends = [cpu, () => wasm(), () => wasm({ threads: 2 })]
const zeroOf = (program: Program) => fillConstant({ shape: [], value: 0, dtype: "int32", program })

/** `runs` runs, of which only what is fed tells how many there are. */
function repeated(x: Variable, runs: Variable, body: (x: Variable, i: Variable) => Variable): Variable {
  const [, last] = whileLoop(
    (i) => less(i, runs),
    (i, x) => [add(i, 1), body(x, i)],
    [zeroOf(x.program), x],
  )
  return last
}

describe("gradients of whileLoop without maxTrips", () => {
  test("x = i · i while i < 11: 100, and gradients 0 and 20; x = x · i while i < 3: 2, and gradients 2 and 3", () => {
    const values = (end: number, next: (x: Variable, i: Variable) => Variable) => {
      const { main, fetch } = build((program) => {
        const [i0, x0] = [input(program, "i", [1]), input(program, "x", [1])]
        const [, x] = whileLoop(
          (i) => less(i, end),
          (i, x) => [add(i, 1), next(x, i)],
          [i0, x0],
        )
        const loss = mean(x)
        return { fetch: [loss, ...gradients(loss, [x0, i0]).map((found) => found!)] }
      })
      verify(main)
      return run(main, { i: [1], x: [1] }, fetch).flat()
    }
    expect(values(11, (_x, i) => mul(i, i))).toEqual([100, 0, 20])
    expect(values(3, (x, i) => mul(x, i))).toEqual([2, 2, 3])
  })

  test("what is fed decides how often one compiled step runs: more often, less often, never", () => {
    const { main, n, fetch } = build((program) => {
      const [x, n] = [input(program, "x", [3]), input(program, "n", [], "int32")]
      const y = repeated(x, n, (c) => scale(sin(c), { scale: 1.25 }))
      const [dx] = gradients(y, x)
      const [ddx] = gradients(dx!, x)
      return { n, fetch: [y, dx!, ddx!] }
    })
    verify(main)
    expect(n.type).toBe("int32[]")
    const x = [0.3, -0.7, 1.1]
    /** Values and derivatives of orders 1 and 2 after so many runs. */
    const expected = (runs: number) => {
      const [y, dx, ddx] = [[...x], x.map(() => 1), x.map(() => 0)]
      for (let run = 0; run < runs; run++) {
        y.forEach((c, i) => {
          ddx[i] = 1.25 * (Math.cos(c) * ddx[i]! - Math.sin(c) * dx[i]! ** 2)
          dx[i] = 1.25 * Math.cos(c) * dx[i]!
          y[i] = 1.25 * Math.sin(c)
        })
      }
      return [y, dx, ddx]
    }
    for (const backend of backends) {
      const executor = new Executor(backend(), { legalize })
      const step = executor.compileSync(main, { feed: { x: [3], n: [] }, fetch })
      for (const runs of [2, 30, 3, 0, 1, 30]) {
        const found = step.runSync({ x, n: runs }).map(({ data }) => Array.from(data, Number))
        expected(runs).forEach((list, k) => list.forEach((value, i) => expect(found[k]![i]).toBeCloseTo(value, 4)))
      }
      executor.close()
    }
  })

  test("has the derivatives of the unrolled program, orders 1 to 3", () => {
    const derivatives = (isLoop: boolean) => {
      const { main, fetch } = build((program) => {
        const [x, w] = [input(program, "x", [2, 2]), parameter(program, "w", [2, 2], { initialValue: 0.75 })]
        const n = input(program, "n", [], "int32")
        const cell = (c: Variable) => add(mul(sin(c), w), c)
        let y = x
        if (isLoop) y = repeated(x, n, cell)
        else for (let t = 0; t < 4; t++) y = cell(y)
        const order = (found: readonly (Variable | null)[]) =>
          gradients(add(reduceSum(square(found[0]!)), reduceSum(found[1]!)), [x, w])
        const first = gradients(y, [x, w])
        const second = order(first)
        return { fetch: [y, ...first, ...second, ...order(second)].map((variable) => variable!) }
      })
      verify(main)
      return run(
        toFloat64(main),
        { x: [0.5, -1, 1.5, 2], n: 4 },
        fetch.map(({ name }) => name),
      ).flat()
    }
    const [loop, unrolled] = [derivatives(true), derivatives(false)]
    expect(loop).toHaveLength(28)
    loop.forEach((value, i) => expect(value).toBeCloseTo(unrolled[i]!, 9))
  })

  /** A loop in a branch in a loop in a scan; both loops without a limit. */
  const nested = () =>
    build((program) => {
      const [x, h] = [input(program, "x", [3, 2]), input(program, "h", [2])]
      const w = parameter(program, "w", [2], { initialValue: 0.5 })
      const [last] = scan(
        (c, xt, place) => [
          add(
            c,
            repeated(mul(c, xt), place, (d, i) => {
              const e = repeated(tanh(add(d, xt)), add(i, 1), (e) => mul(sin(e), w))
              return cond(
                greater(i, 0),
                () => repeated(e, i, (f) => tanh(mul(add(f, d), w))),
                () => mul(e, d),
              )
            }),
          ),
        ],
        { init: h, xs: x },
      )
      return { x, h, w, last }
    })
  const nestedFeed = { x: [0.5, 0.25, -1, 0.5, 0.75, 1], h: [0.3, -0.6] }

  test("nested in each other, in a branch and in a scan: gradients agree with differences, orders 1 and 2", async () => {
    const { main, last } = nested()
    const report = await gradCheck(main, { targets: [last], wrt: ["x", "h", "w"], feed: nestedFeed, order: 2 })
    expect(report.toString()).toContain(": ok")
  })

  test("survives text and JSON with its backward part", () => {
    const { main, x, w, last } = nested()
    const names = [last, ...gradients(last, [x, w]).map((found) => found!)].map(({ name }) => name)
    verify(main)
    const expected = run(main, nestedFeed, names)
    for (const read of [parseProgram(String(main)), Program.fromJSON(JSON.parse(JSON.stringify(main)))]) {
      const copy = resolve(read, registry)
      verify(copy)
      expect(String(copy)).toBe(String(main))
      expect(run(copy, nestedFeed, names)).toEqual(expected)
    }
  })

  test("what it saves is not in a test clone, not in what is pruned, and goes with a failing call", () => {
    const { main, x, last } = nested()
    const loss = mean(last)
    const [before, clone] = [String(main), String(main.clone({ forTest: true }))]
    const refuse = () => {
      throw new Error("no")
    }
    expect(() => appendBackward(loss, { parameterList: [x], callbacks: [refuse] })).toThrow(/^no$/)
    expect(String(main)).toBe(before)
    appendBackward(loss, { parameterList: [x] })
    const isSaving = (program: Program) => [...program.operators()].some((op) => (op.outputs["saved"] ?? []).length > 0)
    expect([isSaving(main), isSaving(main.prune(loss))]).toEqual([true, false])
    expect(String(main.clone({ forTest: true }))).toBe(clone)
  })

  test("two gradients of one loop, differentiated together: what they say of its values is added up", () => {
    const { main, fetch } = build((program) => {
      const [x, n] = [input(program, "x", [2]), input(program, "n", [], "int32")]
      const y = repeated(x, n, (c) => mul(sin(c), c))
      const once = () => reduceSum(square(gradients(y, x)[0]!))
      const [both] = gradients(add(once(), once()), x)
      const [single] = gradients(once(), x)
      return { fetch: [both!, scale(single!, { scale: 2 })] }
    })
    verify(main)
    const [both, single] = run(
      toFloat64(main),
      { x: [0.8, -0.4], n: 5 },
      fetch.map(({ name }) => name),
    )
    both!.forEach((value, i) => expect(value).toBeCloseTo(single![i]!, 12))
    expect(Math.abs(both![0]!)).toBeGreaterThan(1e-6)
  })

  test("steps are bit-reproducible, on every backend and any number of threads", () => {
    const { main, x, h, w, last } = nested()
    const [dx, dh] = gradients(last, [x, h])
    const second = gradients(reduceSum(square(dx!)), [x, w])
    const fetch = [last, dx!, dh!, ...second.map((found) => found!)]
    const [reference, one, two] = backends.map((backend) => {
      const found = [0, 1].map(() => runOn(backend(), main, nestedFeed, fetch))
      expect(found[0]).toEqual(found[1])
      return found[0]!
    })
    expect(one).toEqual(two)
    reference!.flat().forEach((value, i) => expect(one!.flat()[i]).toBeCloseTo(value, 5))
  })
})
