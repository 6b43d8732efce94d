// What follows a convolution, applied by the kernels that make its result: every way of computing it, every layout of operands.

import type { Scalar } from "@counterflow/ir"
import { describe, expect, test } from "vitest"
import {
  type Convolution,
  convolutionOf,
  convolve,
  numbers,
  type Operand,
  operandsOf,
  shapesOf,
  sizeOf,
} from "./operator.ts"

const own: Scalar = { op: "input", slot: "" }
const bias: Scalar = { op: "input", slot: "bias" }
const residual: Scalar = { op: "input", slot: "residual" }
const mask: Scalar = { op: "input", slot: "mask" }
const zero: Scalar = { op: "const", value: 0 }

interface Case {
  readonly scalar: Scalar
  readonly operands: (shape: readonly number[]) => Readonly<Record<string, Operand>>
  readonly expected: (z: number, read: (slot: string) => number) => number
}

const everywhere = (shape: readonly number[]) => ({ residual: { data: numbers(sizeOf(shape), 9) } })
const perChannel = (shape: readonly number[]) => {
  const [, channels = 0] = shape
  return { bias: { data: numbers(channels, 8), strides: [0, 1, 0, 0] } }
}

const cases: Record<string, Case> = {
  "a bias and a rectifier": {
    scalar: { op: "max", x: { op: "add", x: own, y: bias }, y: zero },
    operands: perChannel,
    expected: (z, read) => Math.max(Math.fround(z + read("bias")), 0),
  },
  "a residual": {
    scalar: { op: "add", x: own, y: residual },
    operands: everywhere,
    expected: (z, read) => Math.fround(z + read("residual")),
  },
  "a bias and a residual": {
    scalar: { op: "add", x: { op: "add", x: own, y: bias }, y: residual },
    operands: (shape) => ({ ...perChannel(shape), ...everywhere(shape) }),
    expected: (z, read) => Math.fround(Math.fround(z + read("bias")) + read("residual")),
  },
  "one number for each image, one for all": {
    scalar: { op: "mul", x: { op: "mul", x: own, y: bias }, y: residual },
    operands: ([images = 0]) => ({
      bias: { data: numbers(images, 8), strides: [1, 0, 0, 0] },
      residual: { data: numbers(1, 9), strides: [0, 0, 0, 0] },
    }),
    expected: (z, read) => Math.fround(Math.fround(z * read("bias")) * read("residual")),
  },
  "a mask": {
    scalar: { op: "select", condition: mask, x: own, y: zero },
    operands: (shape) => ({ mask: { data: Uint8Array.from(numbers(sizeOf(shape), 7), (x) => (x > 0 ? 1 : 0)) } }),
    expected: (z, read) => (read("mask") === 1 ? z : 0),
  },
  "an operand whose planes lie turned": {
    scalar: { op: "sub", x: own, y: residual },
    operands: (shape) => {
      const [, channels = 0, rows = 0, columns = 0] = shape
      const plane = rows * columns
      return { residual: { data: numbers(sizeOf(shape), 9), strides: [channels * plane, plane, 1, rows] } }
    },
    expected: (z, read) => Math.fround(z - read("residual")),
  },
}

const same = [1, 1, 1, 1] as const
const ways: Record<string, Partial<Convolution>> = {
  columns: { padding: same },
  "columns of groups": { padding: same, groups: 2, images: 3 },
  "columns in bands": { images: 2, channels: 40, image: [37, 50], taps: [2, 3] },
  planes: { taps: [1, 1], channels: 5 },
  "joined images": { images: 47, image: [3, 4], padding: same, groups: 2 },
  "a single place": { images: 3, image: [3, 3] },
  "tiles of even planes": { channels: 16, filters: 16, padding: same, image: [6, 8] },
  "tiles of odd planes, in groups": { channels: 16, filters: 16, padding: same, image: [7, 9], groups: 2 },
  depthwise: { groups: 5, channels: 1, filters: 1, padding: same, image: [9, 23] },
  "joined tiles": { images: 19, channels: 48, filters: 40, padding: same, image: [7, 7] },
  "rows of tiles": { images: 1, channels: 20, filters: 16, padding: same, image: [37, 41] },
  "rows of a single image": {
    images: 1,
    channels: 8,
    filters: 16,
    taps: [5, 5],
    image: [44, 52],
    padding: [2, 2, 2, 2],
  },
  "parts of tiles": { images: 9, channels: 16, filters: 16, padding: same, image: [18, 21] },
  "parts of columns": { images: 11, channels: 16, filters: 16, taps: [2, 2], image: [24, 24] },
}

for (const [way, given] of Object.entries(ways)) {
  describe(`${way}`, () => {
    const conv = convolutionOf(given)
    const data = operandsOf(conv)
    const { z: shape } = shapesOf(conv)
    for (const [name, { scalar, operands: make, expected }] of Object.entries(cases)) {
      test(`${name}`, () => {
        const operands = make(shape)
        const before = convolve(conv, "z", data).result
        const { result } = convolve(conv, "z", data, { epilogue: { scalar, operands } })
        // Few results of a product may be summed in another order once they are finished in registers.
        const wanted = before.map((value, i) => expected(value, (slot) => elementAt(operands[slot], shape, i)))
        const wrong = result.findIndex((value, i) => !(Math.abs(value - (wanted[i] ?? NaN)) <= 1e-5))
        expect({ wrong, got: result[wrong] }).toEqual({ wrong: -1, got: undefined })
      })
    }
  })
}

function elementAt(operand: Operand | undefined, shape: readonly number[], at: number): number {
  if (operand === undefined) return NaN
  const { data, strides } = operand
  if (strides === undefined) return data[at] ?? NaN
  let place = 0
  let rest = at
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    const size = shape[axis] ?? 1
    place += (rest % size) * (strides[axis] ?? 0)
    rest = Math.floor(rest / size)
  }
  return data[place] ?? NaN
}
