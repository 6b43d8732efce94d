// Slices as users write them: every combination of bounds resolves to what Python's slices take, for known sizes and for symbolic
// ones that are bound later; and what is refused.

import fc from "fast-check"
import { describe, expect, test } from "vitest"
import {
  bindDim,
  type Dim,
  formatShape,
  isCounterflowError,
  Program,
  type Shape,
  symbol,
  type Variable,
} from "@counterflow/ir"
import { pad, reverse, slice, stridedSlice } from "@counterflow/ops"

function data(shape: Shape): Variable {
  return new Program().globalBlock().createVar({ name: "x", shape, dtype: "float32", isData: true })
}

/** The error's text without the places in this file, which are its caller's. */
function refusal(body: () => unknown): string {
  try {
    body()
  } catch (error) {
    if (isCounterflowError(error)) return error.message.replace(/\S*test\.ts:\d+:\d+/g, "(here)")
    throw error
  }
  throw new Error("nothing was refused")
}

/** The elements that Python's range(n)[start:end:stride] holds, by its reference's rules. */
function taken(n: number, start: number, end: number, stride: number): number[] {
  const [low, high] = stride > 0 ? [0, n] : [-1, n - 1]
  const clamp = (bound: number) => Math.min(Math.max(bound < 0 ? bound + n : bound, low), high)
  const places: number[] = []
  for (let i = clamp(start); stride > 0 ? i < clamp(end) : i > clamp(end); i += stride) places.push(i)
  return places
}

/** The elements that the emitted operator takes, with symbols bound. */
function emitted(z: Variable, bindings: ReadonlyMap<string, number>): number[] {
  const attrs = z.producer?.attrs as { starts: Shape; sizes?: Shape; ends?: Shape; strides?: number[] }
  const bind = (dim: Dim | undefined) => bindDim(dim ?? NaN, bindings)
  const start = bind(attrs.starts[0])
  const size = attrs.sizes === undefined ? bind(attrs.ends?.[0]) - start : bind(attrs.sizes[0])
  expect(bind(z.shape[0])).toBe(size)
  return Array.from({ length: size }, (_, i) => start + i * (attrs.strides?.[0] ?? 1))
}

const bound = fc.oneof(fc.integer({ min: -9, max: 9 }), fc.constantFrom(Infinity, -Infinity, 2 ** 31 - 1, -(2 ** 31)))
const spans = fc.record({
  n: fc.nat({ max: 7 }),
  start: bound,
  end: bound,
  stride: fc.constantFrom(1, 2, 3, -1, -2, -3),
})

describe("bounds as in Python", () => {
  test.each([
    ["known", (n: number): Dim => n],
    ["symbolic", (): Dim => symbol("n")],
    ["composed", (n: number): Dim => (n % 2 === 0 ? symbol("half") : symbol("n"))],
  ])("%s sizes", (_name, sizeOf) => {
    fc.assert(
      fc.property(spans, ({ n, start, end, stride }) => {
        const bindings = new Map([
          ["n", n],
          ["half", n],
        ])
        const x = data([sizeOf(n), 2])
        const z = stridedSlice(x, { axes: [0], starts: [start], ends: [end], strides: [stride] })
        expect(emitted(z, bindings)).toEqual(taken(n, start, end, stride))
        expect(emitted(slice(x, { axes: [0], starts: [start], ends: [end] }), bindings)).toEqual(
          taken(n, start, end, 1),
        )
      }),
      { seed: 61, numRuns: 500 },
    )
  })

  test("bounds may be symbolic themselves", () => {
    const [n, k] = [symbol("n"), symbol("k")]
    const bounds = fc.record({ n: fc.nat({ max: 6 }), k: fc.nat({ max: 8 }), stride: fc.constantFrom(1, 2, -1, -2) })
    fc.assert(
      fc.property(bounds, ({ n: size, k: at, stride }) => {
        const bindings = new Map([
          ["n", size],
          ["k", at],
        ])
        const from = stridedSlice(data([n]), {
          axes: [0],
          starts: [k],
          ends: [stride > 0 ? n : -Infinity],
          strides: [stride],
        })
        expect(emitted(from, bindings)).toEqual(taken(size, at, stride > 0 ? Infinity : -Infinity, stride))
        const upTo = stridedSlice(data([n]), {
          axes: [0],
          starts: [stride > 0 ? 0 : Infinity],
          ends: [k],
          strides: [stride],
        })
        expect(emitted(upTo, bindings)).toEqual(taken(size, stride > 0 ? 0 : Infinity, at, stride))
      }),
      { seed: 62, numRuns: 300 },
    )
  })
})

describe("symbolic shapes", () => {
  const batch = symbol("batch")
  const along = (start: Dim, end: Dim) =>
    formatShape(slice(data([batch, 3]), { axes: [0], starts: [start], ends: [end] }).shape)

  test("the full range keeps the size", () => {
    expect(along(0, Infinity)).toBe("[batch, 3]")
    expect(along(0, 2 ** 31 - 1)).toBe("[batch, 3]")
    expect(along(0, batch)).toBe("[batch, 3]")
    expect(formatShape(reverse(data([batch, 3]), { axis: 0 }).shape)).toBe("[batch, 3]")
  })

  test("all but the first and all but the last have one shape", () => {
    expect(along(1, Infinity)).toBe("[max(batch, 1) - 1, 3]")
    expect(along(0, -1)).toBe("[max(batch, 1) - 1, 3]")
  })

  test("the last one, and the first five at most", () => {
    expect(along(-1, Infinity)).toBe("[batch - max(batch, 1) + 1, 3]")
    expect(along(0, 5)).toBe("[batch - max(batch, 5) + 5, 3]")
  })

  test("axes that are not named stay, in any order of the others", () => {
    const z = slice(data([batch, 4, 5, 6]), { axes: [3, -3], starts: [1, 2], ends: [3, 4] })
    expect(formatShape(z.shape)).toBe("[batch, 2, 5, 2]")
    expect(z.producer?.attrs).toEqual({ axes: [1, 3], starts: [2, 1], ends: [4, 3] })
  })

  test("padding adds up", () => {
    expect(formatShape(pad(data([batch, 3]), { paddings: [1, batch, 0, 2] }).shape)).toBe("[2*batch + 1, 5]")
  })
})

test("refusals", () => {
  const x = () => data([4, 3])
  const texts = [
    () => slice(x(), { axes: [0], starts: [1, 2], ends: [3] }),
    () => slice(x(), { axes: [2], starts: [0], ends: [1] }),
    () => slice(x(), { axes: [0, -2], starts: [0, 1], ends: [1, 2] }),
    () => slice(x(), { axes: [1], starts: [0.5], ends: [1] }),
    () => slice(data([]), { axes: [0], starts: [0], ends: [1] }),
    () => stridedSlice(x(), { axes: [0], starts: [0], ends: [1], strides: [0] }),
    () => pad(x(), { paddings: [0, -1, 0, 0] }),
    () => pad(x(), { paddings: [1, 1] }),
  ].map(refusal)
  expect(texts.join("\n\n")).toMatchInlineSnapshot(`
    "CF_BAD_ATTRIBUTE  slice: each of the 1 axes needs a start, an end and a stride, got 2, 1 and 1
      called at (here)

    CF_BAD_ATTRIBUTE  slice: axis 2 is outside a tensor of rank 2
      called at (here)
      fix: use an axis from -2 to 1

    CF_BAD_ATTRIBUTE  slice: axes [0, -2] name an axis twice
      called at (here)

    CF_BAD_ATTRIBUTE  slice: the start along axis 1 must be an integer, got 0.5
      called at (here)

    CF_BAD_ATTRIBUTE  slice: a tensor of rank 0 has no axis to be sliced along
      called at (here)

    CF_BAD_ATTRIBUTE  stridedSlice: the stride along axis 0 must be an integer other than 0, got 0
      called at (here)

    CF_BAD_ATTRIBUTE  pad: paddings must hold counts of at least 0, got -1
      called at (here)

    CF_BAD_ATTRIBUTE  pad: paddings has 2 entries, [4, 3] needs 2 for each axis
        x = x   float32[4, 3]   built at (here)
      this pad was built at (here)"
  `)
})
