// mapBatches and prefetch: order, laziness, how far ahead, and what happens to the source on an early end or a failure.
import { describe, expect, test } from "vitest"
import { mapBatches, prefetch } from "../src/index.ts"
import { refusal } from "./refusal.ts"

/** Counts up with a pause of one task before each item, and notes what happens to it. */
function counter(limit: number, failAt = Infinity) {
  const seen = { asked: 0, closed: 0, most: 0, running: 0 }
  async function* count() {
    try {
      for (let i = 0; i < limit; i++) {
        seen.asked++
        seen.running++
        seen.most = Math.max(seen.most, seen.running)
        await new Promise((resolve) => setImmediate(resolve))
        seen.running--
        if (i === failAt) throw new RangeError(`item ${i}`)
        yield i
      }
    } finally {
      seen.closed++
    }
  }
  return { seen, source: count() }
}

async function collect<T>(source: AsyncIterable<T>): Promise<T[]> {
  const items: T[] = []
  for await (const item of source) items.push(item)
  return items
}

describe("mapBatches", () => {
  test("a sync source stays sync, lazy and iterable again", () => {
    let calls = 0
    const mapped = mapBatches([10, 20, 30], (item, index) => {
      calls++
      return item + index
    })
    expect(calls).toBe(0)
    expect([...mapped]).toEqual([10, 21, 32])
    expect([...mapped]).toEqual([10, 21, 32])
    for (const item of mapped) if (item === 10) break
    expect(calls).toBe(7)
  })

  test("an async source, with a function that may be async", async () => {
    const { source, seen } = counter(4)
    expect(await collect(mapBatches(source, async (item, index) => [item, index]))).toEqual([
      [0, 0],
      [1, 1],
      [2, 2],
      [3, 3],
    ])
    expect(seen.closed).toBe(1)
  })
})

describe("prefetch", () => {
  test.each([1, 2, 5, 50])("keeps the order and the items at depth %i", async (depth) => {
    const { source, seen } = counter(10)
    expect(await collect(prefetch(source, depth))).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9])
    expect(seen).toEqual({ asked: 10, closed: 1, most: 1, running: 0 })
  })

  test("runs so far ahead and no further", async () => {
    const { source, seen } = counter(100)
    const ahead = prefetch(source, 3)
    expect(seen.asked).toBe(0)
    expect(await ahead.next()).toEqual({ done: false, value: 0 })
    while (seen.asked < 4) await new Promise((resolve) => setImmediate(resolve))
    for (let i = 0; i < 10; i++) await new Promise((resolve) => setImmediate(resolve))
    expect(seen.asked).toBe(4) // the one taken, and three ahead
    await ahead.return()
    expect(seen.closed).toBe(1)
  })

  test("closes the source when the consumer stops", async () => {
    const { source, seen } = counter(100)
    for await (const item of prefetch(source, 4)) if (item === 2) break
    expect(seen.closed).toBe(1)
    expect(seen.asked).toBe(4) // items 0 to 2, and the one under way; three more were queued and not begun
  })

  test("a failure comes after the items before it, and ends the source", async () => {
    const { source, seen } = counter(10, 3)
    const items: number[] = []
    await expect(async () => {
      for await (const item of prefetch(source, 5)) items.push(item)
    }).rejects.toThrow(new RangeError("item 3"))
    expect(items).toEqual([0, 1, 2])
    expect(seen).toEqual({ asked: 4, closed: 1, most: 1, running: 0 })
  })

  test.each([
    ["ended", { next: 4, return: 0 }, false],
    ["failed", { next: 4, return: 0 }, true],
  ])("a source that %s is neither asked again nor closed", async (_name, expected, fails) => {
    const calls = { next: 0, return: 0 }
    const source = {
      [Symbol.asyncIterator]: () => ({
        async next() {
          calls.next++
          if (calls.next <= 3) return { done: false, value: calls.next }
          if (fails) throw new RangeError("gone")
          return { done: true, value: undefined }
        },
        async return() {
          calls.return++
          return { done: true, value: undefined }
        },
      }),
    } as AsyncIterable<number>
    const outcome = await collect(prefetch(source, 6)).catch(String)
    expect(outcome).toEqual(fails ? "RangeError: gone" : [1, 2, 3])
    expect(calls).toEqual(expected)
  })

  test("sync sources, of items or of promises", async () => {
    expect(await collect(prefetch([1, 2, 3]))).toEqual([1, 2, 3])
    expect(await collect(prefetch(mapBatches([1, 2, 3], async (item) => item * 2)))).toEqual([2, 4, 6])
    let closed = 0
    function* failing() {
      try {
        yield Promise.resolve(1)
        yield Promise.reject(new RangeError("second"))
        yield Promise.resolve(3)
      } finally {
        closed++
      }
    }
    await expect(collect(prefetch(failing()))).rejects.toThrow(new RangeError("second"))
    expect(closed).toBe(1)
  })

  test("refuses a depth of nothing, at once", async () => {
    expect(await refusal(() => prefetch([1], 0))).toBe(
      "CF_BAD_ARGUMENT expected an integer of at least 1, got 0 @ prefetch: depth",
    )
  })
})
