// Branches as a user writes them: `cond` of the registry, forward and backward.

import { appendBackward, gradients } from "@counterflow/autodiff"
import { parseProgram, type Program, programGuard, type Variable, verify } from "@counterflow/ir"
import { dropout, fc } from "@counterflow/layers"
import {
  add,
  cond,
  div,
  equal,
  exp,
  fillConstant,
  greater,
  less,
  mean,
  mul,
  reduceSum,
  registry,
  resolve,
  scale,
  square,
  sub,
  tanh,
} from "@counterflow/ops"
import { describe, expect, test } from "vitest"
import { build, input, parameter, refusalOf } from "./building.ts"
import { run } from "./control-run.ts"

describe("cond", () => {
  test("answers in the form in which its functions answer", () => {
    build((program) => {
      const x = input(program, "x")
      const one: Variable = cond(
        less(reduceSum(x), 0),
        () => x,
        () => square(x),
      )
      const [y, z]: [Variable, Variable] = cond(
        less(reduceSum(x), 0),
        () => [x, one],
        () => [one, x],
      )
      const nothing: undefined = cond(less(reduceSum(x), 0), () => {})
      expect([one.type, y.type, z.type, nothing]).toEqual(["float32[2]", "float32[2]", "float32[2]", undefined])
      return {}
    })
  })

  test("gradients of ten inputs through conds in conds are those of Fluid's own test", () => {
    const { main, out, da } = build((program) => {
      const i = input(program, "i", [1])
      const a = scale(i, { scale: 2 })
      const out = cond(
        less(i, 5),
        () =>
          cond(
            less(i, 3),
            () => sub(a, a),
            () => add(a, a),
          ),
        () =>
          cond(
            less(i, 8),
            () => mul(a, a),
            () => div(a, a),
          ),
      )
      const [da] = gradients(out, a)
      return { out, da: da! }
    })
    verify(main)
    for (let i = 0; i < 10; i++) {
      const a = 2 * i
      const value = i < 3 ? 0 : i < 5 ? 2 * a : i < 8 ? a * a : 1
      const derivative = i < 3 ? 0 : i < 5 ? 2 : i < 8 ? 2 * a : 0
      expect(run(main, { i: [i] }, [out, da])).toEqual([[value], [derivative]])
    }
  })

  test("an untaken branch contributes zeros, also where it would give no number", () => {
    const { main, y, dx } = build((program) => {
      const x = input(program, "x", [2])
      const y = cond(
        greater(reduceSum(x), 0),
        () => div(1, x),
        () => fillConstant({ shape: [2], value: 0, program }),
      )
      return { y, dx: gradients(y, x)[0]! }
    })
    expect(run(main, { x: [0, 0] }, [y, dx])).toEqual([
      [0, 0],
      [0, 0],
    ])
  })

  test("layers in branches: parameters are the program's, and only the branch that runs trains its own", () => {
    const { main, startup, loss, pairs } = build((program) => {
      const x = input(program, "x", [3, 2])
      const y = cond(
        greater(reduceSum(x), 0),
        () => fc(x, { size: 4, act: "tanh" }),
        () => fc(x, { size: 4 }),
      )
      const loss = mean(square(y))
      return { loss, pairs: appendBackward(loss) }
    })
    verify(main)
    expect(pairs.map(([parameter]) => parameter.name)).toEqual(["fc_0.w_0", "fc_0.b_0", "fc_1.w_0", "fc_1.b_0"])
    const isZero = (values: readonly number[]) => values.every((value) => value === 0)
    const fetch = [loss, ...pairs.map(([, gradient]) => gradient)]
    const [, ...positive] = run(main, { x: [1, 2, 3, 4, 5, 6] }, fetch, startup)
    expect(positive.map(isZero)).toEqual([false, false, true, true])
    const [, ...negative] = run(main, { x: [-1, -2, -3, -4, -5, -6] }, fetch, startup)
    expect(negative.map(isZero)).toEqual([true, true, false, false])
  })

  test("draws inside a branch are repeated by its gradient", async () => {
    const { main, y, loss, dx } = build((program) => {
      const x = input(program, "x", [64])
      const y = cond(
        greater(reduceSum(x), 0),
        () => dropout(x, { dropoutProb: 0.5 }),
        () => x,
      )
      const loss = reduceSum(y)
      return { y, loss, dx: gradients(loss, x)[0]! }
    })
    verify(main)
    const x = Array.from({ length: 64 }, (_, i) => i + 1)
    const [values, , derivative] = run(main, { x }, [y, loss, dx]) as [number[], number[], number[]]
    expect(values.map((value) => value !== 0)).toEqual(derivative.map((value) => value !== 0))
    expect(new Set(derivative)).toEqual(new Set([0, 2]))
  })

  test("what only branches read is not computed for a program that prunes them", () => {
    const { main, y } = build((program) => {
      const x = input(program, "x", [2])
      const y = cond(
        greater(reduceSum(x), 0),
        () => tanh(x),
        () => x,
      )
      return { y: exp(x), z: y }
    })
    expect(main.prune(y).blocks.length).toBe(1)
  })

  test("operators of a branch were built at their own lines", () => {
    const { y } = build((program) => {
      const x = input(program, "x", [2])
      const y = cond(
        greater(reduceSum(x), 0),
        () => tanh(x),
        () => x,
      )
      return { y }
    })
    const line = (place: { toString(): string } | undefined) => Number(/cond\.test\.ts:(\d+)/.exec(String(place))?.[1])
    const op = y.producer!
    expect(line(op.blocks["yes"]?.ops[0]?.site)).toBe(line(op.site) + 2)
  })

  test("survives text, and says in it what each branch does", () => {
    const { main } = build((program) => {
      const x = input(program, "x", [2])
      const w = parameter(program, "w")
      cond(
        greater(reduceSum(x), 0),
        () => mul(x, w),
        () => x,
      )
      return {}
    })
    expect(resolve(parseProgram(String(main)), registry).toString()).toBe(String(main))
    expect(String(main)).toMatchInlineSnapshot(`
      "program
        data x : float32[2] stopGradient=false
        parameter w : float32[2] = 1
        reduce_sum_0.tmp_0 : float32[] = reduceSum(x: x) {axis: [0], keepDim: false}
        fill_constant_0.tmp_0 : float32[] = fillConstant() {shape: [], value: 0, dtype: "float32"}
        greater_0.tmp_0 : bool[] = greater(x: reduce_sum_0.tmp_0, y: fill_constant_0.tmp_0)
        (zs: [cond_0.tmp_0 : float32[2]]) = cond(condition: greater_0.tmp_0, captures: [x, w])
          block 1 yes
            mul_0.tmp_0 : float32[2] = mul(x: x, y: w)
            return mul_0.tmp_0
          block 2 no
            return x
        names {reduce_sum: 1, reduce_sum_0.tmp: 1, fill_constant: 1, fill_constant_0.tmp: 1, greater: 1, greater_0.tmp: 1, mul: 1, mul_0.tmp: 1, cond: 1, cond_0.tmp: 1}
      "
    `)
  })
})

describe("refusals", () => {
  const refused = (body: (program: Program, x: Variable) => unknown) =>
    refusalOf(() => build((program) => ({ made: body(program, input(program, "x", [2])) })))

  test("a predicate that is not one truth value", () => {
    expect(
      refused((_program, x) =>
        cond(
          x,
          () => x,
          () => x,
        ),
      ),
    ).toMatchInlineSnapshot(`
      "CounterflowError: CF_DTYPE_MISMATCH  cond: pred must be bool, got float32
          condition = x     float32[2]   built at LINE
          captures[0] = x   float32[2]   built at LINE
        this cond was built at LINE
        fix: compare it with something: less(x, y)"
    `)
    expect(
      refused((_program, x) =>
        cond(
          less(x, 0),
          () => x,
          () => x,
        ),
      ),
    ).toMatchInlineSnapshot(`
      "CounterflowError: CF_SHAPE_MISMATCH  cond: pred must have one element, got shape [2]
          condition = less_0.tmp_0   bool[2]      built at LINE
          captures[0] = x            float32[2]   built at LINE
        this cond was built at LINE
        fix: reduce it: reduceAll(pred) or reduceAny(pred)"
    `)
  })

  test("branches of different shapes, dtypes and counts", () => {
    expect(
      refused((_program, x) =>
        cond(
          less(reduceSum(x), 0),
          () => x,
          () => mean(x),
        ),
      ),
    ).toMatchInlineSnapshot(`
      "CounterflowError: CF_SHAPE_MISMATCH  cond: result 0 is float32[2] in the true branch and float32[] in the false branch
          true branch[0] = x float32[2]   built at LINE
          false branch[0] = mean_0.tmp_0 float32[]   built at LINE
        this cond was built at LINE
        fix: make the shapes of both branches equal"
    `)
    expect(
      refused((_program, x) =>
        cond(
          less(reduceSum(x), 0),
          () => less(x, 0),
          () => equal(x, 0) && x,
        ),
      ),
    ).toMatchInlineSnapshot(`
      "CounterflowError: CF_DTYPE_MISMATCH  cond: result 0 is bool[2] in the true branch and float32[2] in the false branch
          true branch[0] = less_1.tmp_0 bool[2]   built at LINE
          false branch[0] = x float32[2]   built at LINE
        this cond was built at LINE
        fix: cast one of them"
    `)
    expect(
      refused((_program, x) =>
        cond(
          less(reduceSum(x), 0),
          () => [x, x],
          // @ts-expect-error one result is missing
          () => [x],
        ),
      ),
    ).toMatchInlineSnapshot(`
      "CounterflowError: CF_SHAPE_MISMATCH  cond: the true branch answers 2 variables, the false branch 1
          true branch[0] = x float32[2]   built at LINE
          true branch[1] = x float32[2]   built at LINE
          false branch[0] = x float32[2]   built at LINE
        this cond was built at LINE
        fix: both branches must answer as many variables of the same shapes and dtypes"
    `)
  })

  test("a variable of a branch, read outside of it", () => {
    expect(
      refused((_program, x) => {
        let inner = x
        cond(
          less(reduceSum(x), 0),
          () => (inner = exp(x)),
          () => x,
        )
        return tanh(inner)
      }),
    ).toMatchInlineSnapshot(`
      "CounterflowError: CF_BAD_ARGUMENT  tanh: exp_0.tmp_0 belongs to a sub-block, and this operator stands outside of it
          x = exp_0.tmp_0   float32[2]   built at LINE
        this tanh was built at LINE
        fix: let the function of the branch or loop answer it, and use what the branch or loop answers"
    `)
  })

  test("a function that answers no variable leaves the program as it was", () => {
    const { main, before, refusal } = build((program) => {
      const x = input(program, "x", [2])
      const pred = less(reduceSum(x), 0)
      const before = String(program)
      const refusal = refusalOf(() =>
        cond(
          pred,
          // @ts-expect-error a number is no variable
          () => exp(x) && 3,
          () => x,
        ),
      )
      return { before, refusal }
    })
    expect(refusal).toMatchInlineSnapshot(`
      "CounterflowError: CF_BAD_ARGUMENT  cond: the true branch must answer a Variable, a list of them, or nothing, got the number 3
        this cond was built at LINE"
    `)
    expect(String(main)).toBe(before)
  })
})

test("a program guard inside a branch does not lose the branch", () => {
  const { main, y } = build((program, startup) => {
    const x = input(program, "x", [1])
    return {
      y: cond(
        less(x, 0),
        () => programGuard(program, startup, () => fillConstant({ shape: [1], value: 5 })),
        () => x,
      ),
    }
  })
  verify(main)
  expect(run(main, { x: [-1] }, [y])).toEqual([[5]])
})
