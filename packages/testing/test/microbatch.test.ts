// Gradient accumulation over micro-batches: the gradients of the whole batch, from a part of it at a time.

import { appendBackward, type Backward, microBatches } from "@counterflow/autodiff"
import { type Backend, Executor, type Feeds } from "@counterflow/executor"
import { symbol, type Variable } from "@counterflow/ir"
import { cpu } from "@counterflow/kernels-cpu"
import { wasm } from "@counterflow/kernels-wasm"
import { batchNorm, data, dropout, fc } from "@counterflow/layers"
import {
  accuracy,
  add,
  broadcastTo,
  cond,
  createState,
  fillConstant,
  legalize,
  less,
  matmul,
  mean,
  mul,
  reduceMean,
  reduceSum,
  reshape,
  scale,
  scan,
  softmax,
  softmaxWithCrossEntropy,
  square,
  startupFor,
  transpose,
  write,
} from "@counterflow/ops"
import { Adam, ClipByGlobalNorm, L2Decay } from "@counterflow/optim"
import { describe, expect, test } from "vitest"
import { classifier, digits, expectClose, inParts, type Net, net, sgd, train, wave } from "./microbatch-net.ts"

describe("gradients of micro-batches", () => {
  test.each([
    ["cpu", cpu()],
    ["wasm", wasm()],
  ] as const)("train as the whole batch does, on %s", (_, backend) => {
    const adam = (backward: Backward | null) => (loss: Variable) =>
      new Adam({
        learningRate: 0.01,
        regularization: new L2Decay(0.01),
        gradClip: new ClipByGlobalNorm(0.1),
      }).minimize(loss, { backward })
    const more = ["fc_0.w_0@GRAD", "fc_1.b_0@GRAD"]
    const whole = train(backend, net(classifier, adam(null)), digits, more)
    for (const count of [2, 4, 8]) {
      const parts = net(classifier, adam(microBatches(count)))
      const values = train(backend, parts, digits, more)
      expectClose(values, whole, 5)
      expect(train(backend, parts, digits, more)).toEqual(values)
    }
  })

  test("agree with the whole batch's to the last digits of float64, and with differences", () => {
    const feed = { ...digits, x: { data: Float64Array.from(wave(40)), shape: [8, 5] } }
    const body = () => classifier("float64")
    const [parts, whole] = [net(body, microBatches(4)), net(body, appendBackward)]
    const name = "fc_0.w_0"
    const executor = new Executor(cpu(), { legalize })
    executor.runSync(parts.startup)
    const run = ({ main, loss }: Net) => executor.runSync(main, { feed, fetch: [loss, `${name}@GRAD`] })
    const [[loss, gradient], [, expected]] = [run(parts), run(whole)]
    expectClose([Array.from(gradient.data, Number)], [Array.from(expected.data, Number)], 14)
    const weights = executor.scope.get(name).data as Float64Array
    const [step, direction] = [1e-5, wave(weights.length, 2)]
    const shifted = (sign: number) => {
      executor.scope.set(
        name,
        weights.map((value, i) => value + sign * step * direction[i]!),
      )
      return run(parts)[0].item()
    }
    const slope = Array.from(gradient.data, Number).reduce((total, value, i) => total + value * direction[i]!, 0)
    expect((shifted(1) - shifted(-1)) / (2 * step)).toBeCloseTo(slope, 9)
    expect(loss.item()).toBeGreaterThan(0)
    executor.close()
  })

  test("of a loss that is no mean are those of the mean over micro-batches", () => {
    const body = () => [reduceSum(square(fc(data({ name: "x", shape: [5] }), { size: 1 })))] as const
    const feed = { x: digits["x"]! }
    const [whole = [], parts = []] = [appendBackward, microBatches(4)].map((finish) =>
      train(cpu(), net(body, finish), feed, ["fc_0.w_0@GRAD"], 1),
    )
    expectClose(
      parts.slice(0, 2),
      whole.slice(0, 2).map((list) => list.map((value) => value / 4)),
      5,
    )
  })

  test("follow parameterList and noGradSet, and callbacks see the backward part of one micro-batch", () => {
    const { main } = net(classifier, (loss) => {
      const seen: string[] = []
      const pairs = microBatches(2)(loss, {
        parameterList: ["fc_1.w_0", "fc_0.b_0", "fc_0.w_0"],
        noGradSet: ["fc_0.b_0"],
        callbacks: [({ block, context }) => seen.push(`${block.index} ${context.currentOp.role}`)],
      })
      expect(pairs.map(([parameter, gradient]) => `${parameter.name} ${gradient.name}`)).toEqual([
        "fc_1.w_0 fc_1.w_0@GRAD",
        "fc_0.w_0 fc_0.w_0@GRAD",
      ])
      expect(pairs.every(([parameter, gradient]) => gradient.gradientOf === parameter)).toBe(true)
      expect(new Set(seen)).toEqual(new Set(["1 backward"]))
    })
    expect(main.globalBlock().ops.filter(({ type }) => type === "scan").length).toBe(1)
  })

  test("are of one batch with one micro-batch", () => {
    const text = (backward: Backward) => String(net(classifier, backward).main)
    expect(text(microBatches(1))).toBe(text(appendBackward))
  })
})

describe("what is not along the leading axis", () => {
  test("is cut where the batch is, or taken whole", () => {
    const body = () => {
      const x = data({ name: "x", shape: [3, symbol("batch"), 2], appendBatchSize: false })
      const weights = data({ name: "weights", shape: [2], appendBatchSize: false })
      const h = fc(mul(transpose(x, { perm: [1, 0, 2] }), weights), { size: 4, numFlattenDims: 2, act: "tanh" })
      return [mean(reduceSum(square(h), { axis: [1, 2] })), transpose(h, { perm: [1, 0, 2] })] as const
    }
    const feed = { x: { data: Float32Array.from(wave(36)), shape: [3, 6, 2] }, weights: [0.5, 2] }
    const [whole, parts] = [sgd(), inParts(3)].map((finish) => net(body, finish))
    for (const backend of [cpu(), wasm()]) expectClose(train(backend, parts!, feed), train(backend, whole!, feed), 5)
  })

  test("may be a symbol of the user's", () => {
    const body = () => {
      const x = data({ name: "x", shape: [symbol("rows"), 2], appendBatchSize: false })
      return [mean(square(fc(x, { size: 2 })))] as const
    }
    const feed = { x: { data: Float32Array.from(wave(12)), shape: [6, 2] } }
    const [whole, parts] = [sgd(), inParts(3)].map((finish) => train(cpu(), net(body, finish), feed))
    expectClose(parts!, whole!, 5)
  })
})

describe("a batch that is a number", () => {
  const axes = [8, 4, 4, 2]
  /** Sizes of the batch's everywhere else, a bias, constants and a view of the batch: shapes alone tell them apart. */
  const body = (isFixed: boolean) => () => {
    const size = isFixed ? 8 : symbol("batch")
    const x = data({ name: "x", shape: [size, 4, 4, 2], appendBatchSize: false })
    const label = data({ name: "label", shape: [size, 1], dtype: "int64", appendBatchSize: false })
    const h = batchNorm(fc(reshape(x, { shape: [size, 32] }), { size: 8, act: "tanh" }))
    const ones = scale(fillConstant({ shape: [size, 8], value: 1, dtype: "float32", program: x.program }), {
      scale: 0.5,
    })
    const table = broadcastTo(
      reduceSum(fillConstant({ shape: [8, 8], value: 1, dtype: "float32", program: x.program })),
      {
        shape: [8, 8],
      },
    )
    const logits = fc(matmul(dropout(add(h, ones), { dropoutProb: 0.2 }), table), { size: 8 })
    return [mean(softmaxWithCrossEntropy(logits, label)), accuracy(logits, label), softmax(logits)] as const
  }
  const feed: Feeds = {
    x: { data: Float32Array.from(wave(256)), shape: axes },
    label: [0, 2, 1, 1, 7, 2, 1, 0].map((label) => [label]),
  }

  test("is cut as one that is a symbol, bit for bit", () => {
    for (const backend of [cpu(), wasm()]) {
      const [fixed, symbolic] = [true, false].map((isFixed) => train(backend, net(body(isFixed), inParts(4)), feed))
      expect(fixed).toEqual(symbolic)
    }
  })
})

describe("state and draws", () => {
  test("running statistics move once per micro-batch, with its own statistics", () => {
    const body = (isBranch: boolean) => () => {
      const x = fc(data({ name: "x", shape: [5] }), { size: 3 })
      if (!isBranch) return [mean(square(batchNorm(x)))] as const
      return [
        cond(
          less(mean(x), 100),
          () => mean(square(batchNorm(x))),
          () => mean(x),
        ),
      ] as const
    }
    const running = ["batch_norm_0.w_1", "batch_norm_0.w_2"]
    const rows = wave(40)
    const stateOf = (backend: Backend, { main, startup, loss }: Net, feeds: readonly Feeds[]) => {
      const executor = new Executor(backend, { legalize })
      executor.runSync(startup)
      for (const feed of feeds) executor.runSync(main, { feed, fetch: [loss] })
      const values = running.map((name) => Array.from(executor.scope.get(name).data, Number))
      executor.close()
      return values
    }
    const fed = (from: number, count: number) => ({
      x: { data: Float32Array.from(rows.slice(5 * from, 5 * (from + count))), shape: [count, 5] },
    })
    for (const isBranch of [false, true]) {
      const [forward, parts] = [net(body(isBranch), () => 0), net(body(isBranch), inParts(2))]
      for (const backend of [cpu(), wasm()]) {
        const oneByOne = stateOf(backend, forward, [fed(0, 4), fed(4, 4)])
        expectClose(stateOf(backend, parts, [fed(0, 8)]), oneByOne, 6)
      }
    }
  })

  test("a state that is written from the batch is carried on, and committed once", () => {
    const body = () => {
      const x = data({ name: "x", shape: [2] })
      const seen = createState({
        name: "seen",
        shape: [],
        dtype: "float32",
        value: 0,
        main: x.program,
        startup: startupFor(x.program),
      })
      write(seen, add(seen, reduceSum(square(x))))
      return [mean(square(fc(x, { size: 1 })))] as const
    }
    const feed = {
      x: [
        [1, 2],
        [3, 4],
        [5, 6],
        [7, 8],
      ],
    }
    for (const finish of [sgd(), inParts(2), inParts(4)]) {
      const made = net(body, finish)
      for (const backend of [cpu(), wasm()]) {
        const [, first, , second] = train(backend, made, feed, ["seen"], 2)
        expect([first, second]).toEqual([[204], [408]])
      }
    }
  })

  test("every micro-batch draws its own numbers, inside loops too", () => {
    const body = () => {
      const x = data({ name: "x", shape: [16] })
      const direct = reduceMean(dropout(x, { dropoutProb: 0.5 }), { axis: 0 })
      const looped = scan((carry, _, __) => [add(carry, dropout(x, { dropoutProb: 0.5 }))], {
        init: scale(x, { scale: 0 }),
        length: 2,
      })[0]
      const w = fc(x, { size: 1 })
      return [mean(add(reduceSum(w), reduceSum(direct))), direct, reduceMean(looped, { axis: 0 })] as const
    }
    const made = net(body, inParts(2))
    const feed = { x: { data: new Float32Array(32).fill(1), shape: [2, 16] } }
    for (const backend of [cpu(), wasm()]) {
      const [, direct = [], looped = []] = train(backend, made, feed, [], 1)
      // A mean over two micro-batches of one row: 1 where the two masks differ.
      expect(direct).toContain(1)
      expect(looped.some((value) => value % 2 === 1)).toBe(true)
      expect(train(backend, made, feed, [], 1)).toEqual(train(backend, made, feed, [], 1))
    }
  })
})
