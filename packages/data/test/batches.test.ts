// Batches and splits: every row exactly once, columns kept together, copies that are copies, and refusals.
import fc from "fast-check"
import { describe, expect, test } from "vitest"
import { batches, type Dataset, reshaped, rowCount, splitRows, takeRows, type Tensor } from "../src/index.ts"
import { refusal } from "./refusal.ts"

/** Row i holds i in every column, in every dtype that can. */
function numbered(rows: number) {
  const row = Array.from({ length: rows }, (_, i) => i)
  return {
    x: { data: Float32Array.from(row.flatMap((i) => [i, i + 0.5])), shape: [rows, 2, 1], dtype: "float32" },
    id: { data: BigInt64Array.from(row, BigInt), shape: [rows], dtype: "int64" },
    odd: { data: Uint8Array.from(row, (i) => i & 1), shape: [rows, 1], dtype: "bool" },
  } satisfies Dataset
}

describe("batches", () => {
  test("gives every row once, in feeds whose columns belong together", () => {
    const options = fc.record({
      rows: fc.nat(40),
      batchSize: fc.integer({ min: 1, max: 12 }),
      shuffle: fc.boolean(),
      seed: fc.nat(),
      epoch: fc.nat(5),
      dropLast: fc.boolean(),
    })
    fc.assert(
      fc.property(options, ({ rows, ...rest }) => {
        const all = batches(numbered(rows), rest)
        const feeds = [...all]
        expect(all.length).toBe(feeds.length)
        const seen = feeds.flatMap(({ x, id, odd }, b) => {
          const size = b === feeds.length - 1 && !rest.dropLast ? rows - b * rest.batchSize : rest.batchSize
          expect([x.shape, id.shape, odd.shape]).toEqual([[size, 2, 1], [size], [size, 1]])
          const ids = [...id.data].map(Number)
          expect([...x.data]).toEqual(ids.flatMap((i) => [i, i + 0.5]))
          expect([...odd.data]).toEqual(ids.map((i) => i & 1))
          return ids
        })
        expect(new Set(seen).size).toBe(seen.length)
        expect(seen.length).toBe(rest.dropLast ? rows - (rows % rest.batchSize) : rows)
        const inOrder = [...Array(seen.length).keys()]
        expect(rest.shuffle ? inOrder : seen).toEqual(inOrder)
        expect([...all]).toEqual(feeds)
      }),
      { seed: 3, numRuns: 300 },
    )
  })

  test("another epoch has another order, the same one each time", () => {
    const order = (epoch: number) =>
      [...batches(numbered(50), { batchSize: 50, shuffle: true, seed: 4, epoch })].flatMap(({ id }) =>
        [...id.data].map(Number),
      )
    expect(order(1)).toEqual(order(1))
    expect(order(1)).not.toEqual(order(2))
    expect(order(1)).not.toEqual([...Array(50).keys()])
  })

  test("a batch may be changed without harm to the data", () => {
    const data = numbered(4)
    for (const { x } of batches(data, { batchSize: 2 })) x.data.fill(-1)
    expect(data).toEqual(numbered(4))
  })

  test("columns that are views into larger buffers", () => {
    const x: Tensor<"float64"> = { data: Float64Array.of(9, 1, 2, 3, 9).subarray(1, 4), shape: [3], dtype: "float64" }
    expect([...batches({ x }, { batchSize: 2 })].map((feed) => [...feed.x.data])).toEqual([[1, 2], [3]])
  })

  test("refuses sizes and columns that make no batches", async () => {
    const data = numbered(3)
    for (const batchSize of [0, -1, 1.5, NaN]) {
      expect(await refusal(() => batches(data, { batchSize }))).toBe(
        `CF_BAD_ARGUMENT expected an integer of at least 1, got ${batchSize} @ batches: batchSize`,
      )
    }
    expect(await refusal(() => batches(data, { batchSize: 1, epoch: -1 }))).toContain("@ batches: epoch")
    expect(await refusal(() => batches({ ...data, z: numbered(2).x }, { batchSize: 1 }))).toBe(
      'CF_BAD_ARGUMENT 2 rows, but "x" has 3 @ column "z"',
    )
    expect(await refusal(() => rowCount({}))).toBe(
      "CF_BAD_ARGUMENT a data set without columns has no rows @ the data set",
    )
    expect(await refusal(() => rowCount({ s: { data: Float32Array.of(1), shape: [], dtype: "float32" } }))).toBe(
      'CF_BAD_ARGUMENT a scalar has no rows @ column "s"',
    )
    expect(await refusal(() => rowCount({ s: { data: Float32Array.of(1), shape: [2], dtype: "float32" } }))).toBe(
      'CF_BAD_ARGUMENT shape [2] holds 2 elements, data 1 @ column "s"',
    )
  })
})

describe("splitRows", () => {
  test("every row is in one part; a fraction of a row counts as a row", () => {
    const parts = (rows: number, heldOut: number) => {
      const { train, test: rest } = splitRows(numbered(rows), { heldOut, shuffle: true, seed: 8 })
      const ids = [...train.id.data, ...rest.id.data].map(Number)
      expect(ids.toSorted((a, b) => a - b)).toEqual([...Array(rows).keys()])
      return [rowCount(train), rowCount(rest)]
    }
    expect(parts(506, 0.2)).toEqual([404, 102])
    expect(parts(100, 0.07)).toEqual([93, 7])
    expect(parts(10, 0.3)).toEqual([7, 3])
    expect(parts(3, 0)).toEqual([3, 0])
    expect(parts(0, 0.5)).toEqual([0, 0])
  })

  test("holds out the last rows unless told to shuffle", () => {
    const { train, test: rest } = splitRows(numbered(5), { heldOut: 0.4 })
    expect([...train.id.data, ...rest.id.data]).toEqual([0n, 1n, 2n, 3n, 4n])
    expect(rowCount(rest)).toBe(2)
  })

  test("refuses what is no part", async () => {
    for (const heldOut of [1, -0.1, NaN]) {
      expect(await refusal(() => splitRows(numbered(5), { heldOut }))).toBe(
        `CF_BAD_ARGUMENT expected a fraction from 0 to below 1, got ${heldOut} @ splitRows: heldOut`,
      )
    }
  })
})

describe("takeRows and reshaped", () => {
  test("repeat and reorder rows; keep elements", () => {
    expect([...takeRows(numbered(3), [2, 0, 2]).x.data]).toEqual([2, 2.5, 0, 0.5, 2, 2.5])
    expect(reshaped(numbered(3).x, [6]).shape).toEqual([6])
  })

  test("refuse rows and shapes that are not there", async () => {
    for (const row of [3, -1, 0.5]) {
      expect(await refusal(() => takeRows(numbered(3), [0, row]))).toBe(
        `CF_BAD_ARGUMENT row ${row} of 3 @ takeRows: indices[1]`,
      )
    }
    expect(await refusal(() => reshaped(numbered(3).x, [4]))).toBe(
      "CF_BAD_ARGUMENT [4] holds 4 elements, the tensor 6 @ reshaped: shape",
    )
    expect(await refusal(() => reshaped(numbered(3).x, [-2, -3]))).toContain("got -2 @ reshaped: shape")
  })
})
