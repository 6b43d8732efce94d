// The tape: memory of loops without `maxTrips`, the only one that depends on how a step goes. What it takes is known per trip, it is
// empty between steps, and a loop for which there is not enough leaves state as it was.

import { gradients } from "@counterflow/autodiff"
import { type Backend, Executor } from "@counterflow/executor"
import { parseProgram, type Program, type Variable, verify } from "@counterflow/ir"
import { type CallOf, cpu } from "@counterflow/kernels-cpu"
import { hostKernel, saveSteps, wasm } from "@counterflow/kernels-wasm"
import { loadSteps } from "@counterflow/kernels-wasm/saved"
import {
  add,
  emit,
  fillConstant,
  legalize,
  less,
  mul,
  noGrad,
  primitive,
  reduceSum,
  registry,
  resolve,
  scale,
  scan,
  sin,
  sub,
  whileLoop,
  write,
} from "@counterflow/ops"
import { describe, expect, test } from "vitest"
import { build, input, parameter, refusalOf } from "./building.ts"
import { run } from "./control-run.ts"

const zeroOf = (program: Program) => fillConstant({ shape: [], value: 0, dtype: "int32", program })

function repeated(x: Variable, runs: Variable, body: (x: Variable) => Variable, maxTrips?: number): Variable {
  const [, last] = whileLoop(
    (i) => less(i, runs),
    (i, x) => [add(i, 1), body(x)],
    [zeroOf(x.program), x],
    maxTrips === undefined ? {} : { maxTrips },
  )
  return last
}

/** A state that takes a step down the gradient of what a loop makes of it. */
function training(maxTrips?: number) {
  return build((program) => {
    const w = parameter(program, "w", [100], { initialValue: 1 })
    const y = repeated(w, input(program, "n", [], "int32"), (c) => add(c, scale(sin(c), { scale: 0.001 })), maxTrips)
    const [dw] = gradients(y, w)
    write(w, sub(w, scale(dw!, { scale: 0.1 })))
    return { w, y, dw: dw! }
  })
}

describe("what the tape takes", () => {
  test("is known per trip, printed, and nothing where no gradient is fetched, or where the loop has a limit", () => {
    const memory = (maxTrips: number | undefined, isTrained: boolean) => {
      const { main, y } = training(maxTrips)
      const program = isTrained ? main : main.prune(y)
      const executor = new Executor(cpu(), { legalize })
      const { plan } = executor.compileSync(program, { feed: { n: [] }, fetch: [y] })
      executor.close()
      return plan
    }
    const plan = memory(undefined, true)
    // Two links, and what sin reads.
    expect(plan.memory.bytesPerTrip).toBe(8 + 4 * 100)
    expect(plan.toString()).toMatch(/^plan: .*, tape 408 B per trip$/m)
    expect(plan.toString()).toContain("while.carry_3@STACK tape of float32[100] @arena+")
    expect(memory(undefined, false).memory.bytesPerTrip).toBe(0)
    expect(memory(5, true).memory.bytesPerTrip).toBe(0)
    expect(memory(5, true).toString()).not.toContain("tape")
  })

  test("grows with the longest run and stays, with feeds, state and results where they belong", async () => {
    const [limited, open] = [training(6000), training()]
    for (const backend of [cpu, wasm, () => wasm({ threads: 2 })]) {
      const [planned, grown] = [limited, open].map(({ main, startup, dw, w }) => {
        const executor = new Executor(backend(), { legalize })
        executor.runSync(startup)
        const step = executor.compileSync(main, { feed: { n: [] }, fetch: [dw, w] })
        const found = [3, 6000, 2, 0, 700, 6000].map((n) =>
          step.runSync({ n }).map(({ data }) => Array.from(data, Number)),
        )
        return { executor, found }
      })
      expect(grown!.found).toEqual(planned!.found)
      const { executor } = grown!
      // A head of 16 bytes, and a pair that says where the stack is.
      expect(executor.memory.tapeBytes).toBe(6000 * 408 + 24)
      expect(planned!.executor.memory.tapeBytes).toBe(0)
      // What is allocated later lies where the tape was, and the tape behind it.
      const small = build((program) => ({ z: reduceSum(input(program, "z", [100_000])) }))
      const z = new Float32Array(100_000).fill(1)
      expect(executor.runSync(small.main, { feed: { z }, fetch: [small.z] })[0]?.item()).toBe(100_000)
      const again = [grown!, planned!].map((each, i) => {
        const { main, dw, w } = i === 0 ? open : limited
        return each.executor
          .runSync(main, { feed: { n: 50 }, fetch: [dw, w] })
          .map(({ data }) => Array.from(data, Number))
      })
      expect(again[0]).toEqual(again[1])
      expect(executor.memory.tapeBytes).toBe(6000 * 408 + 24)
      for (const each of [grown!, planned!]) each.executor.close()
    }
  })

  test("is the same for a step that was saved and loaded", () => {
    const { main, startup, dw, w } = training()
    const executor = new Executor(wasm(), { legalize })
    const begin = executor.compileSync(startup)
    const train = executor.compileSync(main, { feed: { n: [] }, fetch: [dw, w] })
    const steps = loadSteps(saveSteps({ begin, train }))
    const loaded = steps.step("train")
    expect(loaded.memory).toEqual(train.memory)
    for (const step of [begin, steps.step("begin")]) step.runSync()
    for (const n of [5, 900, 0, 20]) {
      const [expected, found] = [train, loaded].map((step) => step.runSync({ n }).map(({ data }) => data))
      expect(found).toEqual(expected)
    }
    expect(steps.memory.tapeBytes).toBe(900 * 408 + 24)
    steps.close()
    executor.close()
  })

  test("goes with the run of a block that keeps nothing of it", () => {
    const { main, last } = build((program) => {
      const [x, n] = [input(program, "x", [4]), input(program, "n", [], "int32")]
      // A few steps of gradient descent, of which each differentiates a loop.
      const [last] = scan((c) => [sub(c, scale(gradients(repeated(c, n, sin), c)[0]!, { scale: 0.1 }))], {
        init: x,
        length: 30,
      })
      return { last }
    })
    verify(main)
    for (const backend of [cpu, wasm]) {
      const executor = new Executor(backend(), { legalize })
      executor.runSync(main, { feed: { x: [1, 2, 3, 4], n: 10 }, fetch: [last] })
      expect(executor.memory.tapeBytes).toBe(10 * (8 + 16) + 24)
      executor.close()
    }
  })
})

describe("what is refused", () => {
  const limited = (backend: Backend) => {
    const { main, startup, w } = training()
    const plain = new Executor(backend, { legalize })
    const { memory } = plain.compileSync(main, { feed: { n: [] }, fetch: [w] })
    plain.close()
    // For ten runs.
    const memoryLimit = memory.arenaBytes + memory.stateBytes + 24 + 10 * memory.bytesPerTrip
    const executor = new Executor(backend, { legalize, memoryLimit })
    executor.runSync(startup)
    return { executor, step: (n: number) => executor.runSync(main, { feed: { n }, fetch: [w] })[0]?.toArray() }
  }

  test("a loop whose runs save more than there may be: an error that says so, and state stays", () => {
    const refusals = [cpu(), wasm()].map((backend) => {
      const { executor, step } = limited(backend)
      step(10)
      const before = executor.scope.get("w").toArray()
      const refusal = refusalOf(() => step(11))
      expect(executor.scope.get("w").toArray()).toEqual(before)
      step(10)
      expect(executor.scope.get("w").toArray()).not.toEqual(before)
      executor.close()
      return refusal
    })
    expect(refusals[0]).toBe(refusals[1])
    expect(refusals[0]).toMatchInlineSnapshot(`
      "CounterflowError: CF_MEMORY_LIMIT  whileLoop: what its runs save for gradients takes more than the 4104 bytes that are left
          init = fill_constant_0.tmp_0 int32[]
          init = w float32[100]
          captures = n int32[]
        this whileLoop was built at LINE
        fix: give the loop maxTrips, raise memoryLimit, or feed a smaller batch"
    `)
  })

  test("what a loop saves is neither fetched nor read by anything but loops", () => {
    const { main, y } = training()
    const name = y.producer?.outputs["saved"]?.[0]?.name ?? ""
    const executor = new Executor(cpu(), { legalize })
    expect(refusalOf(() => executor.runSync(main, { feed: { n: 1 }, fetch: [name] }))).toMatchInlineSnapshot(`
      "CounterflowError: CF_SYMBOL_UNBOUND  [trips_0, 100] has no size before the run, needed for a fetch of while.carry_3@STACK
          it says how often a loop runs
        fix: give the loop maxTrips: whileLoop(cond, body, loopVars, { maxTrips: 100 })"
    `)
    const stack = main.globalBlock().var(name)
    const doubled = scale(stack, { scale: 2 })
    expect(refusalOf(() => verify(main))).toMatchInlineSnapshot(`
      "CounterflowError: CF_BAD_PROGRAM  scale: only a run can tell the size of while.carry_3@STACK float32[trips_0, 100]: loops may read it
          scale_2.tmp_0 = scale(while.carry_3@STACK)
        this scale was built at LINE"
    `)
    expect(refusalOf(() => executor.runSync(main, { feed: { n: 1 }, fetch: [doubled] }))).toContain(
      "CF_SYMBOL_UNBOUND  [trips_0, 100] has no size before the run",
    )
  })

  test("a gradient of an operator that does not say how long its stacks are", () => {
    const text = build((program) => ({ y: repeated(input(program, "x"), input(program, "n", [], "int32"), sin) }))
    const old = resolve(parseProgram(String(text.main).replace("length: trips_0", "length: null")), registry)
    const [x, y] = [old.globalBlock().var("x"), old.globalBlock().var(text.y.name)]
    expect(run(old, { x: [1, 2], n: 0 }, [y])).toEqual([[1, 2]])
    expect(refusalOf(() => gradients(y, x))).toMatchInlineSnapshot(`
      "CounterflowError: CF_NO_GRADIENT  whileLoop: its gradient keeps values of every run, and nothing says how many there are
        this whileLoop was built at an unknown place
        fix: build it with whileLoop, or give the operator maxTrips, or a symbol of its own as length"
    `)
  })
})

describe("kernels in JavaScript beside the tape", () => {
  const twiceOp = primitive({
    name: "test.twice",
    inputs: { x: "tensor" },
    outputs: ["z"],
    infer: ({ x }) => ({ z: x }),
    grad: (_inputs, _outputs, { z: dz }) => ({ x: twice(dz) }),
    facts: { kind: "opaque" },
  })
  type Call = CallOf<typeof twiceOp.inputs, typeof twiceOp.outputs, typeof twiceOp.attrs>
  const twice = (x: Variable): Variable => emit(twiceOp, { x }, {}, twice).z
  const kernel =
    ({ inputs: { x }, outputs: { z } }: Call) =>
    () => {
      for (let i = 0; i < z.data.length; i++) z.data[i] = 2 * x.data[i]!
    }

  test("see memory where it is after it has grown in the middle of a step", () => {
    const { main, fetch } = build((program) => {
      const [x, n] = [input(program, "x", [500]), input(program, "n", [], "int32")]
      const y = repeated(x, n, (c) => scale(twice(sin(c)), { scale: 0.5 }))
      return { fetch: [y, gradients(y, x)[0]!] }
    })
    const kernels = { "test.twice": kernel }
    const hosts = { "test.twice": hostKernel<typeof twiceOp>(kernel) }
    const x = Float32Array.from({ length: 500 }, (_, i) => Math.sin(i))
    const [reference, found] = [cpu({ kernels }), wasm({ kernels: hosts })].map((backend) => {
      const executor = new Executor(backend, { legalize })
      const values = executor.runSync(main, { feed: { x, n: 400 }, fetch }).map(({ data }) => Array.from(data, Number))
      expect(executor.memory.tapeBytes).toBeGreaterThan(4 * 2 ** 16)
      executor.close()
      return values
    })
    reference!.flat().forEach((value, i) => expect(found!.flat()[i]).toBeCloseTo(value, 5))
  })

  const onceOp = primitive({
    name: "test.once",
    inputs: { x: "tensor", captures: "tensors" },
    outputs: ["z"],
    infer: ({ x }) => ({ z: x }),
    grad: noGrad("it shows a block"),
    facts: { kind: "control", flops: () => 0 },
  })

  test("run no block that would let memory grow", () => {
    const { main, z } = build((program) => {
      const [x, n] = [input(program, "x", [3]), input(program, "n", [], "int32")]
      const body = program.createBlock()
      program.within({ block: body }, () => body.setResults([gradients(repeated(x, n, sin), x)[0]!]))
      return { z: emit(onceOp, { x, captures: [x, n] }, {}, twice, { blocks: { body } }).z }
    })
    verify(main)
    const backend = wasm({ kernels: { "test.once": hostKernel<typeof onceOp>(() => () => {}) } })
    const executor = new Executor(backend, { legalize })
    expect(refusalOf(() => executor.runSync(main, { feed: { x: [1, 2, 3], n: 2 }, fetch: [z] })))
      .toMatchInlineSnapshot(`
      "CounterflowError: CF_KERNEL_MISSING  test.once: its kernel looks at memory, which must not grow while a whileLoop in its block runs
          whileLoop built at LINE
        this test.once was built at an unknown place
        fix: give that loop maxTrips, so that its memory is planned; or run on cpu()"
    `)
  })
})

test("a body may save more values than one kernel takes", () => {
  const count = 230
  const { main, fetch } = build((program) => {
    const [x, n] = [input(program, "x", []), input(program, "n", [], "int32")]
    const y = repeated(x, n, (c) => {
      let h = c
      for (let i = 0; i < count; i++) h = sin(h)
      return h
    })
    return { fetch: [y, gradients(y, x)[0]!] }
  })
  let [value, slope] = [1, 1]
  for (let i = 0; i < 2 * count; i++) [value, slope] = [Math.sin(value), slope * Math.cos(value)]
  const [y, dx] = run(main, { x: 1, n: 2 }, fetch).flat()
  expect(y! / value).toBeCloseTo(1, 4)
  expect(dx! / slope).toBeCloseTo(1, 2)
})

test("a product of two stacks' rows needs no size", () => {
  const { main, fetch } = build((program) => {
    const [x, n] = [input(program, "x", [2]), input(program, "n", [], "int32")]
    const y = repeated(x, n, (c) => mul(c, x))
    return { fetch: [y, gradients(y, x)[0]!] }
  })
  // x · x³, and 4 x³
  expect(run(main, { x: [2, -1], n: 3 }, fetch)).toEqual([
    [16, 1],
    [32, -4],
  ])
})
