// State written in branches: what a step leaves behind, where it is computed, what fails, and gradients of what else is yielded.

import { gradients } from "@counterflow/autodiff"
import { type Backend, Executor } from "@counterflow/executor"
import { parseProgram, type Program, type Variable, verify } from "@counterflow/ir"
import { cpu } from "@counterflow/kernels-cpu"
import { wasm } from "@counterflow/kernels-wasm"
import {
  add,
  batchNorm,
  cond,
  equal,
  fillConstant,
  gather,
  legalize,
  mean,
  mul,
  reduceSum,
  registry,
  resolve,
  scale,
  scan,
  square,
  sub,
  tanh,
  whileLoop,
  write,
} from "@counterflow/ops"
import { SGD } from "@counterflow/optim"
import { gradCheck } from "@counterflow/testing"
import { describe, expect, test } from "vitest"
import { build, input, parameter, refusalOf } from "./building.ts"

const backends: Record<string, () => Backend> = { cpu, wasm }

function state(program: Program, name: string, initialValue = 1, shape: readonly number[] = [2]): Variable {
  return program.globalBlock().createVar({ name, shape, dtype: "float32", persistable: true, initialValue })
}

/** States w and v, and a branch for each of 0 and 1. */
function branching(yes: (w: Variable, v: Variable, x: Variable) => void, no?: typeof yes) {
  return build((program) => {
    const [which, x] = [input(program, "which", [], "int32"), input(program, "x")]
    const [w, v] = [state(program, "w"), state(program, "v", 2)]
    const branch = (body: typeof yes | undefined) => () => {
      body?.(w, v, x)
    }
    cond(equal(which, 0), branch(yes), branch(no))
    return { x, w, v }
  })
}

/** The states after steps with these values of `which`, and how many commits are computed in place and copied. */
function after(backend: Backend, main: Program, keys: readonly number[], fetch: readonly Variable[] = []) {
  const executor = new Executor(backend, { legalize })
  executor.scope.set("v", { data: [2, 2], shape: [2] })
  const { plan } = executor.compileSync(main, { feed: { which: [], x: [2] }, fetch })
  for (const which of keys) executor.runSync(main, { feed: { which, x: [10, 20] }, fetch })
  const values = (name: string) => Array.from(executor.scope.get(name).data, Number)
  const result = { w: values("w"), v: values("v"), inPlace: plan.layout.inPlace.size, copied: plan.commits.length }
  executor.close()
  return result
}

/** Values and places agree on both backends, also after reading the text. */
function expectAfter(main: Program, keys: readonly number[], expected: ReturnType<typeof after>, fetch?: Variable[]) {
  verify(main)
  const text = String(main)
  const read = resolve(parseProgram(text), registry)
  verify(read)
  expect(String(read)).toBe(text)
  for (const backend of Object.values(backends)) {
    expect(after(backend(), main, keys, fetch)).toEqual(expected)
    expect(after(backend(), read, keys, fetch)).toEqual(expected)
  }
}

describe("where a new value is computed", () => {
  test("in the place of the old one, which the other branch leaves there", () => {
    const { main } = branching(
      (w, v, x) => (write(w, add(w, x)), write(v, mul(v, x))),
      (w, _v, x) => write(w, sub(w, x)),
    )
    expectAfter(main, [0], { w: [11, 21], v: [20, 40], inPlace: 2, copied: 0 })
    expectAfter(main, [1], { w: [-9, -19], v: [2, 2], inPlace: 2, copied: 0 })
    expectAfter(main, [0, 1, 1, 0], { w: [1, 1], v: [200, 800], inPlace: 2, copied: 0 })
  })

  test("in branches inside branches as well", () => {
    const { main } = branching(
      (w, _v, x) => cond(equal(reduceSum(x), 30), () => void write(w, scale(w, { scale: 5 }))),
      (w) => write(w, scale(w, { scale: 3 })),
    )
    expectAfter(main, [0, 1, 0], { w: [75, 75], v: [2, 2], inPlace: 1, copied: 0 })
  })

  test("elsewhere where the old values are still to be read: states that branches exchange", () => {
    const { main } = branching((w, v) => (write(w, v), write(v, w)))
    expectAfter(main, [0], { w: [2, 2], v: [1, 1], inPlace: 0, copied: 2 })
    expectAfter(main, [0, 1, 0, 0], { w: [2, 2], v: [1, 1], inPlace: 0, copied: 2 })
  })

  test("elsewhere where a branch answers the old value", () => {
    const { main, old } = build((program) => {
      const [which, x] = [input(program, "which", [], "int32"), input(program, "x")]
      const [w] = [state(program, "w"), state(program, "v", 2)]
      const old = cond(
        equal(which, 0),
        () => (write(w, add(w, x)), w),
        () => x,
      )
      return { old }
    })
    for (const backend of Object.values(backends)) {
      const executor = new Executor(backend(), { legalize })
      const [first, second] = [0, 0].map((which) =>
        Array.from(executor.runSync(main, { feed: { which, x: [10, 20] }, fetch: [old] })[0].data, Number),
      )
      expect([first, second]).toEqual([
        [1, 1],
        [11, 21],
      ])
      executor.close()
    }
  })

  test("elsewhere where something reads the old value behind the branch", () => {
    const { main, late } = build((program) => {
      const [which, x] = [input(program, "which", [], "int32"), input(program, "x")]
      const [w] = [state(program, "w"), state(program, "v", 2)]
      cond(equal(which, 0), () => void write(w, add(w, x)))
      return { late: reduceSum(mul(w, x)) }
    })
    expectAfter(main, [0], { w: [11, 21], v: [2, 2], inPlace: 0, copied: 1 }, [late])
  })

  test("where only another branch writes, the value before the branch goes on", () => {
    const { main } = build((program) => {
      const [which, x] = [input(program, "which", [], "int32"), input(program, "x")]
      const [w] = [state(program, "w"), state(program, "v", 2)]
      const next = write(w, add(w, x))
      cond(
        equal(which, 0),
        () => void new SGD({ learningRate: fillConstant({ shape: [], value: 1, program }) }).applyGradients([[w, x]]),
      )
      expect(next.name).toBe("w@NEXT")
      return {}
    })
    expectAfter(main, [1], { w: [11, 21], v: [2, 2], inPlace: 1, copied: 0 })
    expectAfter(main, [0, 1], { w: [11, 21], v: [2, 2], inPlace: 1, copied: 0 })
  })
})

describe("a step that fails", () => {
  /** A table that is read at `which`: 2 is outside. */
  const picked = (program: Program, which: Variable) => gather(state(program, "table", 7), which)

  test("leaves state as it was, whether it fails in the branch, before it or behind it", () => {
    const inBranch = build((program) => {
      const [which, x] = [input(program, "which", [], "int32"), input(program, "x")]
      const [w, v] = [state(program, "w"), state(program, "v", 2)]
      cond(
        equal(which, 1),
        () => {},
        () => {
          write(v, mul(v, x))
          write(w, add(w, picked(program, which)))
        },
      )
      return {}
    })
    const behind = build((program) => {
      const [which, x] = [input(program, "which", [], "int32"), input(program, "x")]
      const [w, v] = [state(program, "w"), state(program, "v", 2)]
      cond(
        equal(which, 1),
        () => {},
        () => (write(w, add(w, x)), write(v, mul(v, x)), undefined),
      )
      return { late: picked(program, which) }
    })
    for (const backend of Object.values(backends)) {
      for (const { main, fetch } of [
        { main: inBranch.main, fetch: [] },
        { main: behind.main, fetch: [behind.late] },
      ]) {
        const executor = new Executor(backend(), { legalize })
        const run = (which: number) => executor.runSync(main, { feed: { which, x: [10, 20] }, fetch })
        const states = () => ["w", "v"].map((name) => Array.from(executor.scope.get(name).data, Number))
        run(0)
        const before = states()
        expect(before).not.toEqual([
          [1, 1],
          [2, 2],
        ])
        expect(() => run(2)).toThrow("CF_INDEX_RANGE")
        expect(states()).toEqual(before)
        executor.close()
      }
    }
  })
})

describe("gradients", () => {
  test("of orders 1 and 2 pass a branch that also writes, and ignore what it writes", async () => {
    const { main, y } = build((program) => {
      const [which, x] = [input(program, "which", [], "int32"), input(program, "x", [3, 2])]
      const [gain, shift] = [parameter(program, "gain"), parameter(program, "shift", [2], { initialValue: 0 })]
      const [average, spread] = [state(program, "average", 0), state(program, "spread")]
      const count = state(program, "count", 0, [])
      const y = cond(
        equal(which, 0),
        () => {
          write(count, add(count, 1))
          return tanh(batchNorm(x, gain, shift, average, spread).y)
        },
        () => mul(tanh(x), x),
      )
      return { y }
    })
    verify(main)
    expect(
      main
        .globalBlock()
        .ops.at(-1)
        ?.writes.map(({ state: { name } }) => name),
    ).toEqual(["count", "average", "spread"])
    for (const which of [0, 1]) {
      const feed = { which, x: [0.5, -1, 2, 0.25, -0.75, 1] }
      const report = await gradCheck(main, {
        targets: [y],
        wrt: ["x", "gain", "shift"].slice(0, which === 0 ? 3 : 1),
        feed,
        order: 2,
      })
      expect(report.toString()).toContain(": ok")
    }
    // What a gradient computes again writes nothing, and no new value of state is computed again.
    gradients(y, main.globalBlock().var("x"))
    verify(main)
    const backward = [...main.operators()].filter(({ role }) => role === "backward")
    expect(backward.flatMap(({ writes }) => writes)).toEqual([])
    expect(backward.filter(({ type, blocks }) => type === "cond" && Object.keys(blocks).length === 2).length).toBe(1)
    expect(backward.filter(({ type }) => type === "write")).toEqual([])
  })

  test("of what lies outside of a branch can be taken inside of it", () => {
    const { main, inside, outside } = build((program) => {
      const [which, x] = [input(program, "which", [], "int32"), input(program, "x")]
      const h = square(x)
      const inside = cond(
        equal(which, 0),
        () => gradients(reduceSum(mul(h, tanh(h))), x)[0]!,
        () => x,
      )
      return { inside, outside: gradients(reduceSum(mul(h, tanh(h))), x)[0]! }
    })
    verify(main)
    for (const backend of Object.values(backends)) {
      const executor = new Executor(backend(), { legalize })
      const [a, b] = executor.runSync(main, { feed: { which: 0, x: [0.5, -2] }, fetch: [inside, outside] })
      expect(a.data).toEqual(b.data)
      executor.close()
    }
  })
})

test("a copy for test keeps what counts outside of training, and nothing of training", () => {
  const { main } = build((program) => {
    const which = input(program, "which", [], "int32")
    const x = input(program, "x")
    const [w, v] = [parameter(program, "w"), state(program, "v", 2)]
    const loss = cond(
      equal(which, 0),
      () => {
        write(v, add(v, 1))
        const loss = mean(square(mul(w, x)))
        new SGD({ learningRate: () => fillConstant({ shape: [], value: 1, program }) }).minimize(loss)
        return loss
      },
      () => mean(w),
    )
    return { loss }
  })
  const test = main.clone({ forTest: true })
  verify(test)
  expect(
    [...test.operators()].flatMap(({ writes }) => writes.map(({ state: { name }, index }) => [name, index])),
  ).toEqual([["v", 1]])
  for (const backend of Object.values(backends)) {
    expect(after(backend(), main, [0, 1])).toMatchObject({ v: [3, 3] })
    expect(after(backend(), test, [0, 0, 1])).toMatchObject({ w: [1, 1], v: [4, 4] })
  }
})

describe("refusals", () => {
  test("a loop that writes: it hands on only what it carries", () => {
    const looping = (body: (program: Program, w: Variable, x: Variable) => unknown) =>
      refusalOf(() => build((program) => ({ made: body(program, state(program, "w"), input(program, "x")) })))
    expect(
      looping((_program, w, x) =>
        scan((c) => (cond(equal(reduceSum(c), 0), () => void write(w, c)), [c]), { init: x, length: 2 }),
      ),
    ).toMatchInlineSnapshot(`
      "CounterflowError: CF_BAD_ARGUMENT  scan: the body writes the state w, but a loop hands on only what it carries
          cond built at LINE
        this scan was built at LINE
        fix: carry w, let the body answer its next value, and write the last one after the loop"
    `)
    expect(
      looping((_program, w, x) =>
        whileLoop(
          (c) => equal(reduceSum(c), 0),
          (c) => (new SGD({ learningRate: 1 }).applyGradients([[w, c]]), c),
          [x],
        ),
      ),
    ).toMatchInlineSnapshot(`
      "CounterflowError: CF_BAD_ARGUMENT  whileLoop: the body writes the state w, but a loop hands on only what it carries
          sgd built at LINE
        this whileLoop was built at LINE
        fix: carry w, let the body answer its next value, and write the last one after the loop"
    `)
  })

  test("a loss of a branch that is built already", () => {
    expect(
      refusalOf(() =>
        build((program) => {
          const [w, x] = [parameter(program, "w"), input(program, "x")]
          let loss = x
          cond(
            equal(reduceSum(x), 0),
            () => ((loss = mean(mul(w, x))), loss),
            () => mean(x),
          )
          return { made: new SGD({ learningRate: 1 }).minimize(loss) }
        }),
      ),
    ).toMatchInlineSnapshot(`
      "CounterflowError: CF_BAD_ARGUMENT  appendBackward: the loss mean_0.tmp_0 belongs to a sub-block, which is closed
          mean_0.tmp_0 float32[]   built at LINE
        this SGD was applied at LINE
        fix: call it inside the function of the branch or loop, or let that answer the variable and use what the branch or loop answers"
    `)
  })

  test("in a program from a file: a state that one branch alone yields, or in another type, or not built on the first", () => {
    const { main } = branching((w, _v, x) => void write(w, add(w, x)))
    const text = String(main)
    const read = (from: RegExp, to: string) => {
      expect(text).toMatch(from)
      return refusalOf(() => verify(resolve(parseProgram(text.replace(from, to)), registry)))
    }
    expect(read(/ {6}return w\n/, "")).toMatchInlineSnapshot(`
      "CounterflowError: CF_SHAPE_MISMATCH  cond: the true branch answers 1 variables, the false branch 0
          true branch[0] = w@NEXT float32[2]   built at an unknown place
        it assigns w@NEXT_0 float32[2]
        fix: both branches must answer as many variables of the same shapes and dtypes"
    `)
    expect(read(/writes=\{zs\[0\]: w\}/, "writes={zs[1]: w}")).toMatchInlineSnapshot(`
      "CounterflowError: CF_BAD_TEXT  parseProgram: writes[0].index names place 1 of "zs", where no value is handed out
          (zs: [w@NEXT_0 : float32[2]]) = cond(condition: equal_0.tmp_0, captures: [w, x]) writes={zs[1]: w}
        at line 8"
    `)
    expect(read(/state v : float32\[2\]([^]*)writes=\{zs\[0\]: w\}/, "state v : float32[3]$1writes={zs[0]: v}"))
      .toMatchInlineSnapshot(`
      "CounterflowError: CF_BAD_PROGRAM  cond: it writes w@NEXT_0 float32[2] to v float32[3]; shape and dtype must be equal
          w@NEXT_0 = cond(equal_0.tmp_0, w, x)
        this cond was built at an unknown place"
    `)
    expect(read(/(\(next: w@NEXT : float32\[2\]\) = write\(value: \S+\))/, "$1 writes=w")).toMatchInlineSnapshot(`
      "CounterflowError: CF_BAD_PROGRAM  write: it writes w, but a sub-block must not write state
          w@NEXT = write(add_0.tmp_0)
        this write was built at an unknown place"
    `)
    const twice = build((program) => {
      const [which, w] = [input(program, "which", [], "int32"), state(program, "w")]
      write(w, add(w, 1))
      cond(equal(which, 0), () => void new SGD({ learningRate: 1 }).applyGradients([[w, w]]))
      return {}
    })
    verify(twice.main)
    const stale = String(twice.main).replace(/return w@NEXT\n/, "return w\n")
    expect(refusalOf(() => verify(resolve(parseProgram(stale), registry)))).toMatchInlineSnapshot(`
      "CounterflowError: CF_BAD_PROGRAM  cond: it writes w again and must read w@NEXT, the value written first
          w@NEXT = write(add_0.tmp_0)
          w@NEXT_1 = cond(equal_0.tmp_0, w@NEXT, w, learning_rate_0)
        this cond was built at an unknown place"
    `)
  })
})
