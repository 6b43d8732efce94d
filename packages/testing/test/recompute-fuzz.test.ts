// Random networks, with random checkpoints and with what the joint graph says: the same bits as with everything kept.

import { cpu } from "@counterflow/kernels-cpu"
import type { Variable } from "@counterflow/ir"
import { batchNorm, data, fc } from "@counterflow/layers"
import {
  add,
  cond,
  dropout,
  gelu,
  greater,
  layerNorm,
  matmul,
  mean,
  mul,
  reduceSum,
  reshape,
  scale,
  scan,
  softmax,
  square,
  sub,
  tanh,
  transpose,
} from "@counterflow/ops"
import { expect, test } from "vitest"
import { waves } from "./passes-programs.ts"
import type { Model } from "./recompute-models.ts"
import { bitsOf, copies, trained } from "./recompute-run.ts"
import { Random } from "../src/random.ts"

/** What makes a matrix [4, 4] of two. */
const steps: readonly ((x: Variable, y: Variable) => Variable)[] = [
  (x) => fc(x, { size: 4, act: "tanh" }),
  (x) => softmax(x),
  (x) => gelu(x),
  (x) => layerNorm(x),
  (x) => dropout(x, { dropoutProb: 0.25 }),
  (x) => transpose(x, { perm: [1, 0] }),
  (x) => batchNorm(x, { act: "relu" }),
  (x) => scale(reshape(reshape(x, { shape: [16] }), { shape: [4, 4] }), { scale: 0.5 }),
  (x, y) => add(x, tanh(y)),
  (x, y) => sub(mul(x, y), x),
  (x, y) => matmul(x, tanh(y)),
  (x, y) =>
    cond(
      greater(reduceSum(x), 0),
      () => tanh(mul(x, y)),
      () => sub(x, y),
    ),
  (x, y) =>
    scan((carry, row) => [tanh(add(carry, row)), mul(carry, row)], { init: reduceSum(x, { axis: 0 }), xs: y })[1],
]

function randomModel(seed: number): Model {
  return {
    feed: { x: waves([4, 4], seed) },
    build(keep) {
      const random = new Random(seed)
      const made = [data({ name: "x", shape: [4, 4], appendBatchSize: false })]
      const recent = () => made[Math.max(0, made.length - 1 - random.integer(0, 3))]!
      for (let i = 0; i < 14; i++) {
        const value = steps[random.integer(0, steps.length - 1)]!(made.at(-1)!, recent())
        made.push(random.integer(0, 2) === 0 ? keep(value) : value)
      }
      return mean(square(add(fc(made.at(-1)!, { size: 2 }), reduceSum(recent()))))
    },
  }
}

test.each([1, 2, 3, 4, 5, 6])("seed %i", (seed) => {
  const model = randomModel(seed)
  const expected = bitsOf(
    cpu(),
    trained(model, () => ({})),
    model,
  )
  const built = trained(model, (checkpoints) => ({ checkpoints }))
  expect(copies(built.main).length).toBeGreaterThan(0)
  expect(bitsOf(cpu(), built, model)).toEqual(expected)
  expect(
    bitsOf(
      cpu(),
      trained(model, () => ({ recompute: "auto" })),
      model,
    ),
  ).toEqual(expected)
})
