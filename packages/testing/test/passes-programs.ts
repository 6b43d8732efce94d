// Networks for tests of the compiler: small enough to run in a moment, with everything that passes look at.

import type { Program, Variable } from "@counterflow/ir"
import { conv2d, data, dropout, fc, layerNorm, pool2d } from "@counterflow/layers"
import {
  add,
  broadcastTo,
  cast,
  cond,
  gelu,
  matmul,
  mean,
  mul,
  reduceSum,
  reshape,
  scale,
  softmax,
  softmaxWithCrossEntropy,
  sub,
  transpose,
  where,
  greater,
  write,
} from "@counterflow/ops"
import { Adam, Momentum } from "@counterflow/optim"
import { build } from "./building.ts"

export interface Network {
  readonly main: Program
  readonly startup: Program
  readonly fetches: readonly Variable[]
  readonly feed: Readonly<Record<string, { shape: readonly number[]; data: Float32Array | Int32Array }>>
}

/** Feeds and weights need only differ from each other. */
export function waves(shape: readonly number[], seed = 1) {
  const length = shape.reduce((product, size) => product * size, 1)
  return { shape, data: Float32Array.from({ length }, (_, i) => Math.sin(seed + 1.3 * i)) }
}

function labels(shape: readonly number[], classes: number) {
  const length = shape.reduce((product, size) => product * size, 1)
  return { shape, data: Int32Array.from({ length }, (_, i) => (3 * i) % classes) }
}

/** A loss with its optimizer. */
export function trained(feed: Network["feed"], optimizer: Adam | Momentum, body: () => Variable): Network {
  const { main, startup, loss } = build((_main, first) => {
    first.randomSeed = 7
    const made = body()
    optimizer.minimize(made)
    return { loss: made }
  })
  return { main, startup, fetches: [loss], feed }
}

const crossEntropy = (logits: Variable) =>
  mean(softmaxWithCrossEntropy(logits, data({ name: "label", shape: [1], dtype: "int32" })))

/** Fully connected layers with dropout, by Adam. */
export function mlp(batch = 8, width = 20, hidden = 24): Network {
  const feed = { x: waves([batch, width]), label: labels([batch, 1], 5) }
  return trained(feed, new Adam({ learningRate: 0.01 }), () => {
    const first = fc(data({ name: "x", shape: [width] }), { size: hidden, act: "relu" })
    const second = fc(dropout(first, { dropoutProb: 0.25 }), { size: hidden, act: "tanh" })
    return crossEntropy(fc(second, { size: 5 }))
  })
}

/** Convolutions and pooling, by momentum. */
export function lenet(batch = 4): Network {
  const feed = { x: waves([batch, 1, 12, 12]), label: labels([batch, 1], 5) }
  return trained(feed, new Momentum({ learningRate: 0.01, momentum: 0.9 }), () => {
    let h = data({ name: "x", shape: [1, 12, 12] })
    for (const numFilters of [4, 6]) {
      h = conv2d(h, { numFilters, filterSize: 3, act: "relu" })
      h = pool2d(h, { poolSize: 2, poolStride: 2, poolType: "max" })
    }
    return crossEntropy(fc(fc(h, { size: 16, act: "relu" }), { size: 5 }))
  })
}

/** A block of attention and a wide layer, by Adam. */
export function transformer(batch = 2, length = 6, width = 8, heads = 2): Network {
  const split = (x: Variable) => transpose(reshape(x, { shape: [0, 0, heads, -1] }), { perm: [0, 2, 1, 3] })
  const linear = (x: Variable, size: number) => fc(x, { size, numFlattenDims: 2 })
  const norm = (x: Variable) => layerNorm(x, { beginNormAxis: 2 })
  const feed = { x: waves([batch, length, width]), y: waves([batch, length, width], 2) }
  return trained(feed, new Adam({ learningRate: 0.01 }), () => {
    const x = data({ name: "x", shape: [length, width] })
    const y = data({ name: "y", shape: [length, width] })
    const normed = norm(x)
    const [query, key, value] = [0, 1, 2].map(() => split(linear(normed, width)))
    const scores = matmul(query as Variable, key as Variable, { transposeY: true, alpha: 0.5 })
    const seen = matmul(softmax(scores), value as Variable)
    const joined = reshape(transpose(seen, { perm: [0, 2, 1, 3] }), { shape: [0, 0, width] })
    const h = add(x, linear(joined, width))
    const wide = linear(gelu(linear(norm(h), 4 * width), { approximate: true }), width)
    const error = sub(add(h, wide), y)
    return mean(mul(error, error))
  })
}

/** Views of views, axes moved there and back, constants of constants, a state that is read after its update was computed. */
export function oddments(): Network {
  const { main, startup, fetches } = build((program) => {
    const x = data({ name: "x", shape: [2, 3] })
    const w = program
      .globalBlock()
      .createVar({ name: "w", shape: [3], dtype: "float32", persistable: true, initialValue: 2 })
    const moved = transpose(transpose(x, { perm: [2, 0, 1] }), { perm: [1, 2, 0] })
    const viewed = reshape(reshape(reshape(moved, { shape: [-1] }), { shape: [-1, 6] }), { shape: [-1, 2, 3] })
    const same = scale(mul(viewed, 1), { scale: 1 })
    const ones = broadcastTo(scale(sub(mul(x, 0.5), mul(x, 0.5)), { bias: 1 }), { shape: x.shape })
    const chosen = where(greater(x, 0.25), same, ones)
    const counted = reduceSum(cast(greater(chosen, 0), { dtype: "int32" }))
    write(w, add(w, reduceSum(chosen, { axis: [0, 1] })))
    return { fetches: [chosen, counted, mul(w, 3), viewed] }
  })
  return { main, startup, fetches, feed: { x: waves([5, 2, 3]) } }
}

/** Layers that two optimizers train by turns, each in a branch, as a count of steps says. */
export function branching(): Network {
  const { main, startup, fetches } = build((program, first) => {
    first.randomSeed = 7
    const hidden = fc(data({ name: "x", shape: [6] }), { size: 5, act: "relu" })
    const loss = crossEntropy(fc(hidden, { size: 3 }))
    const count = program
      .globalBlock()
      .createVar({ name: "count", shape: [], dtype: "float32", persistable: true, initialValue: 0 })
    write(count, sub(1, count))
    cond(
      greater(count, 0.5),
      () => {
        new Adam({ learningRate: 0.01 }).minimize(loss)
      },
      () => {
        new Momentum({ learningRate: 0.01, momentum: 0.9 }).minimize(loss)
      },
    )
    return { fetches: [loss] }
  })
  return { main, startup, fetches, feed: { x: waves([4, 6]), label: labels([4, 1], 3) } }
}

export const networks = { mlp, lenet, transformer, oddments, branching } as const
