// Rows looked up and rows added up on WebAssembly, in vectors where there is room for them, against the reference backend bit
// for bit; and draws that are made sixteen at a time.

import { gradients } from "@counterflow/autodiff"
import { type DType, Program } from "@counterflow/ir"
import { embedding, gather, normal, randint, scatterAdd, uniform } from "@counterflow/ops"
import fc from "fast-check"
import { describe, test } from "vitest"
import { all, dtypeOf, expectEquality, floats, holds, numeric, tameValueOf, tensorOf, valueOf } from "./wasm-pair.ts"

describe("rows of every width", () => {
  const table = fc.record({ rows: fc.integer({ min: 1, max: 5 }), width: fc.integer({ min: 0, max: 37 }) })
  const ids = (rows: number) =>
    fc
      .tuple(dtypeOf(["int32", "int64"] as const), fc.integer({ min: 0, max: 9 }))
      .chain(([dtype, count]) => tensorOf(dtype, [count], fc.nat({ max: rows - 1 })))

  test("an embedding and its gradient", () => {
    const cases = fc
      .tuple(table, dtypeOf(floats))
      .chain(([{ rows, width }, dtype]) =>
        fc.record({ w: tensorOf(dtype, [rows, width], tameValueOf(dtype)), ids: ids(rows) }),
      )
    holds([cases], (fed) =>
      expectEquality(fed, (v) =>
        [null, 0].flatMap((paddingIdx) => {
          const z = embedding(v.ids, v.w, { paddingIdx })
          return [z, ...gradients(z, v.w)].filter((each) => each !== null)
        }),
      ),
    )
  })

  test("rows that meet are added in their order, in every dtype", () => {
    const cases = fc
      .tuple(table, dtypeOf(numeric))
      .chain(([{ rows, width }, dtype]) =>
        ids(rows).chain((index) =>
          tensorOf(dtype, [...index.shape, width], valueOf(dtype)).map((updates) => ({ index, updates, rows, width })),
        ),
      )
    holds([cases], ({ index, updates, rows, width }) =>
      expectEquality({ index, updates }, (v) => [scatterAdd(v.updates, v.index, { shape: [rows, width] })]),
    )
  })

  test("rows of anything are looked up", () => {
    const cases = fc
      .tuple(table, dtypeOf(all))
      .chain(([{ rows, width }, dtype]) =>
        fc.record({ x: tensorOf(dtype, [rows, width], valueOf(dtype)), index: ids(rows) }),
      )
    holds([cases], ({ x, index }) => expectEquality({ x, index }, (v) => [gather(v.x, v.index)]))
  })
})

test("draws of every length, range and dtype have the same bits", () => {
  const cases = fc.record({
    count: fc.oneof(fc.integer({ min: 0, max: 70 }), fc.constantFrom(40_000, 40_017, 100_003)),
    seed: fc.integer({ min: 0, max: 2 ** 40 }),
    min: fc.constantFrom(0, -1, 0.25, -3.5),
    span: fc.constantFrom(1, 0, 2 ** -20, 7.3),
    dtype: dtypeOf<DType>(floats),
  })
  holds([cases], ({ count, seed, min, span, dtype }) => {
    const shape = [count]
    expectEquality({ x: { dtype: "float32", shape: [1], data: [0] } }, (_, program: Program) => [
      uniform({ shape, min, max: min + span, seed, dtype, program }),
      uniform({ shape, min, max: min + span, seed, dtype, program }),
      normal({ shape: [Math.min(count, 99)], seed, dtype, program }),
      randint({ shape, low: -5, high: 1000, seed, program }),
    ])
  })
})
