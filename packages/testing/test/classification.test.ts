// Classification losses, embedding and accuracy in programs: extreme logits, ignored labels, labels that are no class.

import { gradients } from "@counterflow/autodiff"
import { Executor } from "@counterflow/executor"
import { Program, programGuard, symbol, type Variable } from "@counterflow/ir"
import { cpu } from "@counterflow/kernels-cpu"
import {
  accuracy,
  crossEntropy,
  embedding,
  legalize,
  mean,
  sigmoidCrossEntropyWithLogits,
  softmaxWithCrossEntropy,
  square,
} from "@counterflow/ops"
import { describe, expect, test } from "vitest"

const batch = symbol("batch")

interface Inputs {
  x: Variable
  label: Variable
}

interface Case {
  classes: number
  x: readonly number[]
  /** Integers name classes; with `soft` the labels are floats shaped like x. */
  label: readonly number[]
  soft?: boolean
  labelShape?: Variable["shape"]
  build: (inputs: Inputs) => Variable[]
}

/** Runs what `build` makes of float32 x [batch, classes] and its label, and answers the values of it all. */
function run({ classes, x, label, soft = false, labelShape, build }: Case): number[][] {
  const program = new Program()
  const fetch = programGuard(program, () => {
    const block = program.globalBlock()
    const shape = soft ? [batch, classes] : (labelShape ?? [batch, 1])
    return build({
      x: block.createVar({ name: "x", shape: [batch, classes], dtype: "float32", isData: true, stopGradient: false }),
      label: block.createVar({ name: "label", shape, dtype: soft ? "float32" : "int64", isData: true }),
    })
  })
  const feed = { x: [...x], label: [...label] }
  return new Executor(cpu(), { legalize }).runSync(program, { feed, fetch }).map(({ data }) => [...data].map(Number))
}

const withGradient = (loss: (inputs: Inputs) => Variable) => (inputs: Inputs) => {
  const z = loss(inputs)
  return [z, gradients(z, inputs.x)[0] ?? z]
}

describe("softmaxWithCrossEntropy", () => {
  const big = 1e4

  test("is exact for logits of ±10,000", () => {
    const [loss, dx] = run({
      classes: 3,
      x: [big, -big, 0, -big, big, -big, big, big, big],
      label: [1, 1, 2],
      build: withGradient(({ x, label }) => softmaxWithCrossEntropy(x, label)),
    })
    const third = Math.fround(1 / 3)
    expect(loss).toEqual([2 * big, 0, Math.fround(Math.log(3))])
    expect(dx).toEqual([1, -1, 0, 0, 0, 0, third, third, Math.fround(third - 1)])
  })

  test("a label may be [batch] or [batch, 1], the loss is [batch, 1]", () => {
    const shapes: string[] = []
    const [column, row] = [[batch, 1], [batch]].map((labelShape) =>
      run({
        classes: 2,
        x: [0.5, -1, 2, 3],
        label: [1, 0],
        labelShape,
        build: ({ x, label }) => {
          const loss = softmaxWithCrossEntropy(x, label)
          shapes.push(loss.type)
          return [loss]
        },
      }),
    )
    expect(row).toEqual(column)
    expect(shapes).toEqual(["float32[batch, 1]", "float32[batch, 1]"])
  })

  test("ignored rows have no loss and no gradient, also where the ignored class exists", () => {
    const x = [0, 0, 9, 7, 1, 1]
    const half = Math.fround(Math.log(2))
    const ignoring = (ignoreIndex: number) =>
      run({
        classes: 2,
        x,
        label: [0, ignoreIndex, 0],
        build: withGradient((inputs) => softmaxWithCrossEntropy(inputs.x, inputs.label, { ignoreIndex })),
      })
    for (const ignoreIndex of [-100, 1, 5]) {
      const [loss, dx] = ignoring(ignoreIndex)
      expect(loss).toEqual([half, 0, half])
      expect(dx?.map((value) => value + 0)).toEqual([-0.5, 0.5, 0, 0, -0.5, 0.5])
    }
  })

  test("gradients flow through the returned softmax as well", () => {
    const [softmax, dx = []] = run({
      classes: 2,
      x: [0, Math.log(3)],
      label: [0],
      build: ({ x, label }) => {
        const [, p] = softmaxWithCrossEntropy(x, label, { returnSoftmax: true })
        return [p, ...gradients(square(p), x).filter((g) => g !== null)]
      },
    })
    expect(softmax?.map((value) => Math.abs(value - 0.5))).toEqual([0.25, expect.closeTo(0.25, 6)])
    // p ∘ (2p − Σ 2p²)
    expect(dx[0]).toBeCloseTo(-0.1875, 6)
    expect(dx[1]).toBeCloseTo(0.1875, 6)
  })

  const outside = { classes: 3, x: [1, 2, 3, 4, 5, 6], label: [0, 3] }

  test.each([
    ["loss", ({ x, label }: Inputs) => [softmaxWithCrossEntropy(x, label)]],
    [
      "gradient alone",
      ({ x, label }: Inputs) => gradients(softmaxWithCrossEntropy(x, label), x).filter((g) => g !== null),
    ],
    ["cross entropy of probabilities", ({ x, label }: Inputs) => [crossEntropy(x, label)]],
  ])("a label that is no class is refused: %s", (_, build) => {
    expect(() => run({ ...outside, build })).toThrowError(/^CF_INDEX_RANGE {2}.*index 3 lies outside axis 1 of size 3/)
  })

  test("so is a negative one that is not the ignored one", () => {
    const build = ({ x, label }: Inputs) => [softmaxWithCrossEntropy(x, label)]
    expect(() => run({ ...outside, label: [0, -1], build })).toThrowError(/^CF_INDEX_RANGE {2}.*index -1 /)
  })
})

describe("crossEntropy", () => {
  test("0 · log 0 counts as 0 in a soft label, with a finite gradient", () => {
    const [loss, dx] = run({
      classes: 2,
      x: [0, 1],
      label: [0, 1],
      soft: true,
      build: withGradient(({ x, label }) => crossEntropy(x, label, { softLabel: true })),
    })
    expect(loss?.map(Math.abs)).toEqual([0])
    expect(dx?.map((value) => value + 0)).toEqual([0, -1])
  })

  test("ignored rows have no loss and no gradient, also where the probability is 0", () => {
    const [loss, dx] = run({
      classes: 2,
      x: [0, 1, 0.5, 0.5],
      label: [-1, 1],
      build: withGradient(({ x, label }) => crossEntropy(x, label, { ignoreIndex: -1 })),
    })
    expect(loss?.map((value) => value + 0)).toEqual([0, Math.fround(Math.log(2))])
    expect(dx?.map((value) => value + 0)).toEqual([0, 0, 0, -2])
  })
})

describe("sigmoidCrossEntropyWithLogits", () => {
  test("is exact for large logits and keeps the tail of a nearly sure one", () => {
    const [loss, dx] = run({
      classes: 4,
      x: [1e4, -1e4, 50, 1e4],
      label: [0, 1, 1, 1],
      soft: true,
      build: withGradient(({ x, label }) => sigmoidCrossEntropyWithLogits(x, label)),
    })
    expect(loss).toEqual([1e4, 1e4, Math.fround(Math.exp(-50)), 0])
    expect(dx).toEqual([1, -1, 0, 0])
  })

  test("normalize divides by the number of elements that are not ignored", () => {
    const [loss, dx] = run({
      classes: 4,
      x: [0, 0, 0, 0],
      label: [1, -1, 0, -1],
      soft: true,
      build: withGradient(({ x, label }) =>
        sigmoidCrossEntropyWithLogits(x, label, { ignoreIndex: -1, normalize: true }),
      ),
    })
    const half = Math.fround(Math.fround(Math.log(2)) / 2)
    expect(loss).toEqual([half, 0, half, 0])
    expect(dx?.map((value) => value + 0)).toEqual([-0.25, 0, 0.25, 0])
  })
})

describe("accuracy", () => {
  const of = (k: number, classes: number, x: readonly number[], label: readonly number[]) =>
    run({ classes, x, label, build: (inputs) => [accuracy(inputs.x, inputs.label, { k })] })[0]?.[0]

  test("counts rows whose label is among the k largest", () => {
    const x = [0.1, 0.7, 0.2, 0.5, 0.3, 0.2]
    expect([1, 2, 3].map((k) => of(k, 3, x, [2, 0]))).toEqual([0.5, 1, 1])
  })

  test("of equal scores the first is the larger one, and a NaN is larger than any number", () => {
    expect([0, 1, 2].map((label) => of(1, 3, [1, 1, 1], [label]))).toEqual([1, 0, 0])
    expect([0, 1, 2].map((label) => of(2, 3, [1, 1, 1], [label]))).toEqual([1, 1, 0])
    expect([0, 1, 2].map((label) => of(1, 3, [2, NaN, 1], [label]))).toEqual([0, 1, 0])
    expect([0, 1, 2].map((label) => of(2, 3, [2, NaN, 1], [label]))).toEqual([1, 1, 0])
  })

  test("a label that is no class is never right", () => {
    expect([1, 2].map((k) => of(k, 2, [1, 2, 1, 2], [-100, 1]))).toEqual([0.5, 0.5])
  })
})

describe("embedding", () => {
  test("the row of the padding reads as zeros and gets no gradient; repeated ids add up", () => {
    const [z, dw] = run({
      classes: 2,
      x: [1, 2, 3, 4, 5, 6],
      label: [2, 1, 2],
      build: ({ x, label }) => {
        const rows = embedding(label, x, { paddingIdx: 1 })
        expect(rows.type).toBe("float32[batch, 1, 2]")
        return [rows, ...gradients(mean(rows), x).filter((g) => g !== null)]
      },
    })
    expect(z).toEqual([5, 6, 0, 0, 5, 6])
    const twice = 2 * Math.fround(1 / 6)
    expect(dw).toEqual([0, 0, 0, 0, twice, twice])
  })

  test("an id outside the vocabulary is refused", () => {
    const build = ({ x, label }: Inputs) => [embedding(label, x)]
    expect(() => run({ classes: 2, x: [1, 2, 3, 4], label: [0, 2], build })).toThrowError(
      /^CF_INDEX_RANGE {2}embedding: index 2 lies outside axis 0 of size 2\n/,
    )
  })

  test("a negative paddingIdx counts from the end", () => {
    const program = new Program()
    programGuard(program, () => {
      const block = program.globalBlock()
      const ids = block.createVar({ name: "ids", shape: [batch], dtype: "int64", isData: true })
      const w = block.createVar({ name: "w", shape: [5, 2], dtype: "float32", persistable: true })
      embedding(ids, w, { paddingIdx: -2 })
    })
    expect(program.globalBlock().ops[0]?.attrs).toEqual({ paddingIdx: 3 })
  })
})
