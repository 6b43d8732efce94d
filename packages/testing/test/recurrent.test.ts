// Recurrent layers run: values against plain loops over numbers, gradients against differences.

import { appendBackward } from "@counterflow/autodiff"
import { data, FromArray, gru, type GruOptions, lstm, rnn } from "@counterflow/layers"
import { reduceSum, square } from "@counterflow/ops"
import { gradCheck } from "@counterflow/testing"
import { describe, expect, test } from "vitest"
import { build, input } from "./building.ts"
import { run } from "./control-run.ts"
import { wave } from "./scan-recurrent.ts"

const [steps, width, size] = [3, 2, 2]
const sigmoid = (z: number) => 1 / (1 + Math.exp(-z))
const range = (count: number) => Array.from({ length: count }, (_, i) => i)

/** One step of a cell on numbers: from x, the states, and z(gate, unit, h) = x W + h U + b. */
type Cell = (states: number[][], z: (gate: number, unit: number, h: number[]) => number) => number[][]

const cells = {
  lstm: ([h, c], z) => {
    const next = range(size).map((k) => {
      const [i, f, o] = [sigmoid(z(0, k, h!)), sigmoid(z(1, k, h!)), sigmoid(z(3, k, h!))]
      const memory = f * c![k]! + i * Math.tanh(z(2, k, h!))
      return [o * Math.tanh(memory), memory]
    })
    return [next.map(([output]) => output!), next.map(([, memory]) => memory!)]
  },
  gru: ([h], z) => {
    const reset = range(size).map((k) => sigmoid(z(1, k, h!)) * h![k]!)
    const next = range(size).map((k) => {
      const u = sigmoid(z(0, k, h!))
      return (1 - u) * h![k]! + u * Math.tanh(z(2, k, reset))
    })
    return [next]
  },
  rnn: ([h], z) => [range(size).map((k) => Math.tanh(z(0, k, h!)))],
} satisfies Record<string, Cell>

const layers = {
  lstm: { layer: lstm, gates: 4, states: 2 },
  gru: { layer: gru, gates: 3, states: 1 },
  rnn: { layer: rnn, gates: 1, states: 1 },
}

type Kind = keyof typeof cells
const kinds: readonly Kind[] = ["lstm", "gru", "rnn"]

const weightsOf = (gates: number) => ({
  w: wave(width * gates * size, 0.7),
  u: wave(size * gates * size, 0.9),
  b: wave(gates * size, 1.1),
})

/** Outputs of one sequence [steps][width], and the states after the last step. */
function computed(kind: Kind, x: number[][], start: number[][], isReverse = false): [number[][], number[][]] {
  const columns = layers[kind].gates * size
  const { w, u, b } = weightsOf(layers[kind].gates)
  let states = start
  const outputs: number[][] = []
  for (const t of isReverse ? range(steps).reverse() : range(steps)) {
    states = cells[kind](states, (gate, unit, h) => {
      const column = gate * size + unit
      const ofX = range(width).reduce((total, j) => total + x[t]![j]! * w[j * columns + column]!, b[column]!)
      return range(size).reduce((total, j) => total + h[j]! * u[j * columns + column]!, ofX)
    })
    outputs[t] = states[0]!
  }
  return [outputs, states]
}

function built(kind: Kind, options: Partial<GruOptions> = {}, initial?: number[][]) {
  return build(() => {
    const { layer, gates, states } = layers[kind]
    const x = data({ name: "x", shape: [steps, width] })
    const { w, u, b } = weightsOf(gates)
    const given = ["initH", "initC"].slice(0, initial === undefined ? 0 : states)
    const starts = given.map((name) => [name, data({ name, shape: [size] })] as const)
    const [outputs, ...last] = layer(x, {
      size,
      paramAttr: [new FromArray(w), new FromArray(u)],
      biasAttr: new FromArray(b),
      ...Object.fromEntries(starts),
      ...options,
    })
    return { outputs, last }
  })
}

const x = [wave(steps * width), wave(steps * width, 0.3)]
const rows = (values: number[]) => range(steps).map((t) => values.slice(t * width, (t + 1) * width))
const expectClose = (values: readonly number[] | undefined, wanted: readonly number[]) =>
  expect(values).toEqual(wanted.map((value) => expect.closeTo(value, 5) as number))

describe.each(kinds)("%s", (kind) => {
  const { states } = layers[kind]
  const zeros = range(states).map(() => Array.from({ length: size }, () => 0))

  test("each sequence of a batch is what plain loops make of it", () => {
    const { main, startup, outputs, last } = built(kind)
    const results = run(main, { x: x.flat() }, [outputs, ...last], startup)
    const wanted = x.map((values) => computed(kind, rows(values), zeros))
    expectClose(
      results[0],
      wanted.flatMap(([ys]) => ys.flat()),
    )
    range(states).forEach((state) =>
      expectClose(
        results[1 + state],
        wanted.flatMap(([, ends]) => ends[state]!),
      ),
    )
  })

  test("from a given state, backwards", () => {
    const { main, startup, outputs, last } = built(kind, { isReverse: true }, zeros)
    const start = range(states).map((state) => wave(size, state + 1.5))
    const feed = { x: x[0]!, initH: start[0]!, ...(states === 2 ? { initC: start[1]! } : {}) }
    const results = run(main, feed, [outputs, ...last], startup)
    const [ys, ends] = computed(kind, rows(x[0]!), start, true)
    expectClose(results[0], ys.flat())
    range(states).forEach((state) => expectClose(results[1 + state], ends[state]!))
  })

  test("both directions side by side, with one pair of weights", () => {
    const { main, startup, outputs, last } = build(() => {
      const { layer, gates } = layers[kind]
      const { w, u, b } = weightsOf(gates)
      const named = (name: string, values: number[]) => ({
        name,
        initializer: new FromArray(values),
      })
      const pair = [named("w", w), named("u", u)]
      const bias = named("b", b)
      const [outputs, ...last] = layer(data({ name: "x", shape: [steps, width] }), {
        size,
        isBidirec: true,
        paramAttr: [...pair, ...pair],
        biasAttr: [bias, bias],
      })
      return { outputs, last }
    })
    const results = run(main, { x: x[0]! }, [outputs, ...last], startup)
    const [ahead, back] = [false, true].map((isReverse) => computed(kind, rows(x[0]!), zeros, isReverse))
    expectClose(
      results[0],
      range(steps).flatMap((t) => [...ahead![0][t]!, ...back![0][t]!]),
    )
    range(states).forEach((state) => expectClose(results[1 + state], [...ahead![1][state]!, ...back![1][state]!]))
  })

  test("gradients agree with differences, orders 1 and 2", async () => {
    const { main, startup, targets } = build((program) => {
      const [outputs, ...last] = layers[kind].layer(input(program, "x", [2, steps, width]), { size, numLayers: 2 })
      return { targets: [outputs, ...last] }
    })
    const wrt = ["x", ...main.allParameters().map(({ name }) => name)]
    const report = await gradCheck(main, { targets, wrt, feed: { x: x.flat() }, startup, order: 2 })
    expect(report.toString()).toContain(": ok")
  })

  test("the backward part has as many operators for any number of steps, and its loop carries no weights", () => {
    const backward = (length: number) => {
      const { main } = build(() => {
        const [outputs] = layers[kind].layer(data({ name: "x", shape: [length, width] }), { size })
        const loss = reduceSum(square(outputs))
        appendBackward(loss)
        return { loss }
      })
      return main.globalBlock().ops.filter(({ role }) => role === "backward")
    }
    expect(backward(500).length).toBe(backward(2).length)
    expect(backward(5).find(({ type }) => type === "scan")?.inputs["init"]?.length).toBe(states)
  })
})

test("dropout between layers is off in a test", () => {
  const { main, startup, outputs } = build(() => {
    const [outputs] = lstm(data({ name: "x", shape: [steps, width] }), {
      size,
      numLayers: 2,
      dropoutProb: 0.5,
      seed: 3,
    })
    return { outputs }
  })
  const clone = main.clone({ forTest: true })
  const [trained] = run(main, { x: x[0]! }, [outputs], startup)
  const [tested] = run(clone, { x: x[0]! }, [outputs.name], startup)
  expect(trained).not.toEqual(tested)
})

test("gru in origin mode: u keeps the state, as in the paper", () => {
  const kept = (originMode: boolean) => {
    const { main, startup, outputs } = built("gru", { originMode })
    return run(main, { x: x[0]! }, [outputs], startup)[0]!.slice(0, size)
  }
  // From a state of zeros the first output is u m, or (1 − u) m: together m, which reads x alone.
  const { w, b } = weightsOf(3)
  const m = range(size).map((k) =>
    Math.tanh(range(width).reduce((z, j) => z + x[0]![j]! * w[j * 6 + 4 + k]!, b[4 + k]!)),
  )
  const [usual, origin] = [kept(false), kept(true)]
  expectClose(
    usual.map((value, k) => value + origin[k]!),
    m,
  )
})
