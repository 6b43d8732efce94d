// What gradient accumulation makes of a program: the forward part stays, what the micro-batches compute stands instead of it.

import { appendBackward, microBatches } from "@counterflow/autodiff"
import { Executor } from "@counterflow/executor"
import { isCounterflowError, parseProgram, Program, programGuard, symbol, type Variable, verify } from "@counterflow/ir"
import { cpu } from "@counterflow/kernels-cpu"
import { wasm } from "@counterflow/kernels-wasm"
import { batchNorm, data, dropout, fc } from "@counterflow/layers"
import {
  add,
  cond,
  legalize,
  less,
  mean,
  reduceSum,
  registry,
  resolve,
  scale,
  scan,
  square,
  stack,
} from "@counterflow/ops"
import { describe, expect, test } from "vitest"
import { classifier, digits, expectClose, inParts, type Net, net, sgd, train, wave } from "./microbatch-net.ts"

function normalized() {
  const x = data({ name: "x", shape: [5] })
  const h = dropout(batchNorm(fc(x, { size: 4, act: "relu" })), { dropoutProb: 0.3 })
  return [mean(square(fc(h, { size: 2 }))), h] as const
}

function compiled({ main, startup, loss }: Net, fetch: readonly Variable[] = [loss], batch = 64) {
  const executor = new Executor(cpu(), { legalize })
  executor.runSync(startup)
  const feed = { x: [batch, 5], ...(main.variables.has("label") ? { label: [batch, 1] } : {}) }
  const step = executor.compileSync(main, { feed, fetch })
  executor.close()
  return step
}

function refusal(body: () => unknown): string {
  try {
    body()
  } catch (error) {
    if (isCounterflowError(error)) return error.message.replace(/\S+\.ts:\d+:\d+/g, "…")
    throw error
  }
  return "nothing was refused"
}

describe("a program with micro-batches", () => {
  test("has the same test clone, before and after", () => {
    let before = ""
    const { main } = net(normalized, (loss) => {
      before = String(loss.program.clone({ forTest: true }))
      inParts(4)(loss)
    })
    expect(String(main.clone({ forTest: true }))).toBe(before)
  })

  test("is read back from text and JSON, and cloned, with what stands for what", () => {
    const { main, startup, fetch } = net(normalized, inParts(2))
    const feed = { x: { data: Float32Array.from(wave(20)), shape: [4, 5] } }
    const wanted = train(cpu(), { main, startup, loss: fetch[0]!, fetch }, feed)
    for (const copy of [parseProgram(String(main)), Program.fromJSON(main.toJSON()), main.clone()]) {
      expect(String(copy)).toBe(String(main))
      const whole = resolve(copy, registry)
      verify(whole)
      const named = fetch.map(({ name }) => whole.globalBlock().var(name))
      expect(train(cpu(), { main: whole, startup, loss: named[0]!, fetch: named }, feed)).toEqual(wanted)
    }
  })

  test("computes loss and metrics from the micro-batches, not once more from the whole batch", () => {
    const whole = net(classifier, sgd())
    const parts = net(classifier, inParts(8))
    const steps = [whole, parts].map((each) => compiled(each, each.fetch.slice(0, 2)))
    expect(steps[1]!.plan.block.ops.some(({ type }) => /matmul/.test(type))).toBe(false)
    expect(steps[1]!.memory.peakBytes).toBeLessThan(steps[0]!.memory.peakBytes)
    expect(steps[1]!.flops).toBeLessThan(1.2 * steps[0]!.flops)
  })

  test("holds the activations of one micro-batch", () => {
    const deep = () => {
      let h = data({ name: "x", shape: [5] })
      for (let i = 0; i < 12; i++) h = fc(h, { size: 8, act: "tanh" })
      return [mean(square(h))] as const
    }
    const [whole, parts] = [sgd(), inParts(16)].map((finish) => compiled(net(deep, finish), undefined, 1024))
    expect(parts!.memory.peakBytes).toBeLessThan(0.25 * whole!.memory.peakBytes)
  })

  test("what is built on the loss, before or after, reads what stands for it", () => {
    const made = net(() => {
      const [loss] = normalized()
      return [loss, scale(loss, { scale: 2 })] as const
    }, inParts(2))
    const later = programGuard(made.main, made.startup, () => add(made.loss, 1))
    const feed = { x: { data: Float32Array.from(wave(20)), shape: [4, 5] } }
    const [loss, twice, more] = train(cpu(), { ...made, fetch: [...made.fetch, later] }, feed, [], 1) as number[][]
    expect(twice![0]).toBeCloseTo(2 * loss![0]!, 6)
    expect(more![0]).toBeCloseTo(1 + loss![0]!, 6)
  })

  test("may have two losses, each with its own micro-batches", () => {
    const body = () => {
      const h = fc(data({ name: "x", shape: [5] }), { size: 4, act: "tanh" })
      return [mean(square(fc(h, { size: 1 }))), mean(square(add(fc(h, { size: 2 }), -1)))] as const
    }
    const feed = { x: { data: Float32Array.from(wave(40)), shape: [8, 5] } }
    const two = (first: (loss: Variable) => unknown, second: (loss: Variable) => unknown) => {
      const made = net(body, first)
      programGuard(made.main, made.startup, () => second(made.fetch[1]!))
      verify(made.main)
      return made
    }
    const whole = train(cpu(), two(sgd(), sgd()), feed)
    for (const backend of [cpu(), wasm()]) expectClose(train(backend, two(inParts(2), inParts(4)), feed), whole, 5)
  })
})

describe("refusals", () => {
  test("a batch that the micro-batches cannot share, on both backends, before anything runs", () => {
    const { main, startup, loss } = net(classifier, inParts(4))
    for (const backend of [cpu(), wasm()]) {
      const executor = new Executor(backend, { legalize })
      executor.runSync(startup)
      const feed = { x: new Float32Array(50), label: Array.from({ length: 10 }, () => [1]) }
      expect(refusal(() => executor.runSync(main, { feed, fetch: [loss] }))).toMatchInlineSnapshot(`
        "CF_SYMBOL_CONFLICT  partition: mod(batch, 4) = 2 and 0 must be equal
            axis 0, of size batch, must be cut into 4 equal parts
            batch = 10
          this partition was built at …
          fix: feed sizes for which both are equal"
      `)
      expect(executor.runSync(main, { feed: digits, fetch: [loss] })[0].item()).toBeGreaterThan(0)
      executor.close()
    }
  })

  test("leave the program as it was", () => {
    const refused = (body: () => readonly [Variable, ...Variable[]], finish: (loss: Variable) => unknown) => {
      const [main, startup] = [new Program(), new Program()]
      return programGuard(main, startup, () => {
        const [loss] = body()
        const before = String(main)
        const text = refusal(() => finish(loss))
        expect(String(main)).toBe(before)
        return text
      })
    }
    const unclear = () => {
      const [x, y] = [2, 4].map((rows) => data({ name: `x${rows}`, shape: [rows, 3], appendBatchSize: false }))
      return [add(mean(square(fc(x!, { size: 1 }))), reduceSum(y!))] as const
    }
    const uneven = () =>
      [mean(square(fc(data({ name: "x", shape: [5, 3], appendBatchSize: false }), { size: 1 })))] as const
    const looped = () => {
      const x = data({ name: "x", shape: [4, 3], appendBatchSize: false })
      const [sum] = scan((carry, each) => [add(carry, each)], { init: scale(x, { scale: 0 }), xs: stack([x, x]) })
      return [mean(square(fc(sum, { size: 1 })))] as const
    }
    const double = () => {
      const x = data({ name: "x", shape: [3] })
      const pairs = data({
        name: "pairs",
        shape: [symbol("batch"), symbol("batch")],
        appendBatchSize: false,
      })
      return [add(mean(square(fc(x, { size: 1 }))), reduceSum(pairs))] as const
    }
    expect(refused(unclear, microBatches(2))).toMatchInlineSnapshot(`
      "CF_BAD_ARGUMENT  microBatches: add_0.tmp_0 is computed from no data with a batch that could be cut
          x2 float32[2, 3]   built at …
          x4 float32[4, 3]   built at …
        called at …
        fix: let all data begin with the batch: layers.data({ name, shape: [13] }) has the shape [batch, 13]"
    `)
    expect(refused(uneven, microBatches(2))).toMatchInlineSnapshot(`
      "CF_SHAPE_MISMATCH  partition: axis 0, of size 5, must be cut into 2 equal parts
          x = x   float32[5, 3]   built at …
        this partition was built at …"
    `)
    expect(refused(looped, microBatches(2))).toMatchInlineSnapshot(`
      "CF_BAD_ARGUMENT  microBatches: a scan cannot be taken in micro-batches of a batch that is a number
          scan built at …
        called at …
        fix: build the program with the batch as a symbol: layers.data prepends it"
    `)
    expect(refused(double, microBatches(2))).toMatchInlineSnapshot(`
      "CF_BAD_ARGUMENT  pairs float32[batch, batch] cannot be cut into micro-batches: the batch must be one of its axes
          pairs float32[batch, batch]   built at …
        called at …"
    `)
    const logits = (loss: Variable) => microBatches(2)(loss, { parameterList: ["fc_0.tmp_2"] })
    expect(refused(classifier, logits)).toMatchInlineSnapshot(`
      "CF_BAD_ARGUMENT  microBatches: parameterList holds fc_0.tmp_2, which every micro-batch has its own of
          fc_0.tmp_2 float32[batch, 4]   built at …
        called at …
        fix: list parameters, or use appendBackward on the whole batch"
    `)
    const nothing = (loss: Variable) =>
      sgd({ backward: microBatches(2), noGradSet: ["fc_1.w_0", "fc_1.b_0", "fc_0.tmp_2"] })(loss)
    expect(refused(classifier, nothing)).toMatchInlineSnapshot(`
      "CF_BAD_ARGUMENT  SGD: the loss mean_0.tmp_0 depends on no parameter that is to be trained
        this SGD was applied at …
        fix: look for stopGradient, trainable: false, parameterList and noGradSet"
    `)
    const odd = { checkpoint: ["fc_0.tmp_2"] }
    expect(refused(classifier, (loss) => microBatches(2)(loss, odd as object))).toMatchInlineSnapshot(`
      "CF_BAD_ARGUMENT  microBatches: micro-batches do not take checkpoint; they take parameterList, noGradSet, checkpoints, recompute, callbacks
        called at …"
    `)
    expect(refused(classifier, () => microBatches(0))).toMatchInlineSnapshot(
      `"CF_BAD_ARGUMENT  microBatches: the number of micro-batches must be a positive integer, got the number 0"`,
    )
    expect(refused(classifier, (loss) => sgd({ backward: 4 as never })(loss))).toMatchInlineSnapshot(`
      "CF_BAD_ATTRIBUTE  SGD: backward must be what appends a backward part, got the number 4
        this SGD was applied at …
        fix: pass microBatches(4), or leave it out"
    `)
  })

  test("a loss inside of a branch", () => {
    const { main } = net(classifier, () => 0)
    const loss = main.globalBlock().var("mean_0.tmp_0")
    const branch = () => {
      const own = scale(loss, { scale: 2 })
      microBatches(2)(own)
      return own
    }
    const pred = less(loss, 0)
    expect(refusal(() => cond(pred, branch, () => loss))).toMatchInlineSnapshot(`
      "CF_NOT_A_LOSS  microBatches: micro-batches are a loop around the whole program, and scale_0.tmp_0 is minimized in a sub-block
          scale_0.tmp_0 float32[]   built at …
        called at …
        fix: let the branch or loop answer the loss, and minimize what it answers"
    `)
  })

  test("of the verifier: what cannot stand for another", () => {
    const broken = (change: (made: Net) => void) => {
      const made = net(classifier, appendBackward)
      change(made)
      return refusal(() => verify(made.main))
    }
    const [x, accuracy] = ["x", "accuracy_0.tmp_0"]
    const at = ({ main }: Net, name: string) => main.globalBlock().var(name)
    expect(broken((made) => (made.loss.insteadOf = at(made, "fc_0.tmp_2")))).toMatchInlineSnapshot(`
      "CF_BAD_PROGRAM  mean_0.tmp_0: it must have the shape and dtype of fc_0.tmp_2 float32[batch, 4], instead of which it stands
          mean_0.tmp_0 float32[]
        this variable was built at …"
    `)
    expect(broken((made) => (made.loss.insteadOf = made.loss))).toMatchInlineSnapshot(`
      "CF_BAD_PROGRAM  mean_0.tmp_0: it stands instead of mean_0.tmp_0: mean_0.tmp_0 must be computed by an operator of the global block, each by its own
          mean_0.tmp_0 float32[]
        this variable was built at …"
    `)
    expect(broken((made) => (at(made, x).insteadOf = at(made, x)))).toMatchInlineSnapshot(`
      "CF_BAD_PROGRAM  x: it stands instead of x: x must be computed by an operator of the global block, each by its own
          x float32[batch, 5]
        this variable was built at …"
    `)
    expect(broken((made) => (made.loss.insteadOf = at(made, accuracy)))).toBe("nothing was refused")
  })
})
