// Kernels in small, against plain loops: products in three forms, the chain, the convolution, and gradients by differences.

import { Executor } from "counterflow"
import { describe, expect, test } from "vitest"
import { backends } from "../src/counterflow/peer.ts"
import * as kernels from "../src/counterflow/kernels.ts"
import { draw, elementsOf, type Source, type Values } from "../src/data.ts"
import { probe } from "../src/probe.ts"
import * as plain from "./reference.ts"

function sourceOf(arrays: Readonly<Record<string, Values>>): Source {
  return (name) => {
    const found = arrays[name]
    if (found === undefined) throw new Error(`there is no array ${name}`)
    return found
  }
}

function values(shape: readonly number[], stream: number): Values {
  return { data: draw({ kind: "uniform", low: -1, high: 1 }, elementsOf(shape), stream), shape }
}

function expectClose(check: number, expected: number, tolerance: number): void {
  expect(Math.abs(check / expected - 1)).toBeLessThan(tolerance)
}

describe.each(Object.entries(backends))("products on %s", (_name, backend) => {
  const executor = () => new Executor(backend())
  // Larger than what is taken of them: a product reads the first n² elements.
  const source = sourceOf({ a: values([40], 1), b: values([40], 2) })
  const n = 5
  const a = plain.matrixOf(source("a").data.slice(0, n * n), n)
  const b = plain.matrixOf(source("b").data.slice(0, n * n), n)
  const expected = {
    nn: plain.product(a, b),
    nt: plain.product(a, plain.transposed(b)),
    tn: plain.product(plain.transposed(a), b),
  }

  test.each(["nn", "nt", "tn"] as const)("%s", (form) => {
    const job = kernels.product(executor(), source, form, n)
    expectClose(job.check, probe(expected[form].flat()), 1e-6)
  })

  test("the forms differ in this check", () => {
    const checks = Object.values(expected).map((c) => probe(c.flat()).toFixed(4))
    expect(new Set(checks).size).toBe(3)
  })

  test("steps leave the result where it is", () => {
    const own = executor()
    const { step } = kernels.product(own, source, "nn", n)
    step()
    step()
    const data = Array.from(own.scope.get("product").data, Number)
    expectClose(probe(data), probe(expected.nn.flat()), 1e-6)
  })
})

const sigmoid = (x: number) => 1 / (1 + Math.exp(-x))
const chain = (a: number, b: number, c: number) => Math.tanh(a * b + c) * sigmoid(a) - Math.max(c, 0)

describe.each(Object.entries(backends))("the elementwise chain on %s", (_name, backend) => {
  const executor = () => new Executor(backend())
  const arrays = { a: values([30], 3), b: values([30], 4), c: values([30], 5) }
  const rows = Array.from(arrays.a.data, (a, i) => [a, arrays.b.data[i] ?? NaN, arrays.c.data[i] ?? NaN] as const)

  test("forward", () => {
    const job = kernels.chainForward(executor(), sourceOf(arrays))
    expectClose(job.check, probe(rows.map((row) => chain(...row))), 1e-6)
  })

  test("gradients", () => {
    const job = kernels.chainGradient(executor(), sourceOf(arrays))
    const h = 1e-6
    const difference = (input: number) =>
      rows.map((row) => {
        const at = (shift: number) => {
          const [a = NaN, b = NaN, c = NaN] = row.map((x, i) => (i === input ? x + shift : x))
          return chain(a, b, c)
        }
        return (at(h) - at(-h)) / (2 * h)
      })
    expectClose(job.check, probe(difference(0)) + probe(difference(1)) + probe(difference(2)), 1e-6)
  })
})

describe.each(Object.entries(backends))("the convolution on %s", (_name, backend) => {
  const executor = () => new Executor(backend())
  const arrays = { x: values([2, 2, 5, 4], 6), w: values([3, 2, 3, 3], 7), dy: values([2, 3, 5, 4], 8) }
  const filters = plain.imagesOf(arrays.w.data, arrays.w.shape)
  const forward = plain.convolution(plain.imagesOf(arrays.x.data, arrays.x.shape), filters, 1)

  test("forward", () => {
    const job = kernels.convolution(executor(), sourceOf(arrays))
    expect(forward.shape).toEqual([2, 3, 5, 4])
    expectClose(job.check, probe(forward.data), 1e-6)
  })

  test("gradients", () => {
    const job = kernels.convolutionGradients(executor(), sourceOf(arrays))
    // Linear in x and in w, so that a difference of any width is exact.
    const value = (x: ArrayLike<number>, w: ArrayLike<number>) => {
      const y = plain.convolution(plain.imagesOf(x, arrays.x.shape), plain.imagesOf(w, arrays.w.shape), 1)
      return Array.from(y.data).reduce((sum, each, i) => sum + each * (arrays.dy.data[i] ?? NaN), 0)
    }
    const one = (length: number, place: number) => Array.from({ length }, (_, i) => (i === place ? 1 : 0))
    const { x, w } = arrays
    const dx = Array.from(x.data, (_, i) => value(one(x.data.length, i), w.data))
    const dw = Array.from(w.data, (_, i) => value(x.data, one(w.data.length, i)))
    expectClose(job.check, probe(forward.data) + probe(dx) + probe(dw), 1e-6)
  })
})
