// kernels-wasm against kernels-cpu on random shapes and values. Integers, bools, movement, choices and draws must agree bit for
// bit, and so must single operations on floats, which IEEE 754 defines; sums and products of floats must come close.

import { type DType, isFloat } from "@counterflow/ir"
import * as ops from "@counterflow/ops"
import fc from "fast-check"
import { describe, test } from "vitest"
import {
  expectEquality,
  expectCloseness,
  all,
  dtypeOf,
  type Fed,
  floats,
  holds,
  numeric,
  shapeOf,
  tameValueOf,
  tensorOf,
  valueOf,
} from "./wasm-pair.ts"

const { add, cast, div, max, min, mul, sub } = ops

/** Two tensors of one dtype and shape. */
function pairOf(dtypes: readonly DType[]): fc.Arbitrary<{ x: Fed; y: Fed }> {
  return fc
    .record({ dtype: dtypeOf(dtypes), length: fc.integer({ min: 0, max: 40 }) })
    .chain(({ dtype, length }) => fc.record({ x: tensorOf(dtype, [length]), y: tensorOf(dtype, [length]) }))
}

describe("elementwise", () => {
  test("arithmetic of all numbers", () => {
    holds(
      [pairOf(numeric)],
      (fed) => expectEquality(fed, ({ x, y }) => [add(x, y), sub(x, y), mul(x, y), div(x, y), min(x, y), max(x, y)]),
      120,
    )
  })

  test("functions of one number", () => {
    const functions = [ops.neg, ops.abs, ops.sign, ops.square]
    holds([pairOf(numeric)], (fed) => expectEquality(fed, ({ x }) => functions.map((op) => op(x))))
    holds([pairOf(floats)], (fed) =>
      expectEquality(fed, ({ x }) => [ops.floor, ops.ceil, ops.round, ops.sqrt, ops.reciprocal].map((op) => op(x))),
    )
  })

  test("comparisons of everything", () => {
    const comparisons = [ops.less, ops.lessEqual, ops.greater, ops.greaterEqual, ops.equal, ops.notEqual]
    holds([pairOf(all)], (fed) => expectEquality(fed, ({ x, y }) => comparisons.map((op) => op(x, y))))
  })

  test("logic and choice", () => {
    holds([pairOf(["bool"]), pairOf(numeric)], (conditions, { x, y }) => {
      expectEquality(conditions, (c) => [ops.logicalAnd(c.x, c.y), ops.logicalOr(c.x, c.y), ops.logicalNot(c.x)])
      const condition = { ...conditions.x, data: x.data.map((_, i) => (i * 7) % 2), shape: x.shape }
      expectEquality({ condition, x, y }, (v) => [ops.where(v.condition, v.x, v.y), ops.where(v.condition, v.x, 1)])
    })
  })

  test("conversions between all dtypes, of values that do not fit as well", () => {
    const edges = [2 ** 31, 2 ** 31 - 0.5, -(2 ** 31) - 1, 2 ** 53, -(2 ** 53), 1e300, 255.9, 256, -0.9, 16777217, 0.1]
    holds([pairOf(all)], ({ x }) => expectEquality({ x }, (v) => all.map((dtype) => cast(v.x, { dtype }))))
    expectEquality({ x: { dtype: "float64", shape: [edges.length], data: edges } }, ({ x }) =>
      all.map((dtype) => cast(x, { dtype })),
    )
    const wide = [2 ** 31, -(2 ** 31) - 1, 2 ** 53 - 1, 1 - 2 ** 53, 256, -1, 2 ** 40]
    expectEquality({ x: { dtype: "int64", shape: [wide.length], data: wide } }, ({ x }) =>
      all.map((dtype) => cast(x, { dtype })),
    )
  })

  test("constants take the dtype of what they meet", () => {
    holds([pairOf(numeric)], ({ x }) =>
      expectEquality({ x }, (v) => [add(v.x, 3), sub(200, v.x), mul(v.x, 2), max(v.x, 100), ops.greater(v.x, 1)]),
    )
    holds([pairOf(floats)], ({ x }) => expectEquality({ x }, (v) => [mul(v.x, 0.1), sub(0.7, v.x), ops.relu(v.x)]))
  })
})

/** A tensor of any rank from `least` on. */
function anyTensor(dtypes: readonly DType[], least = 0, values = valueOf): fc.Arbitrary<Fed> {
  return fc.tuple(dtypeOf(dtypes), shapeOf(least)).chain(([dtype, shape]) => tensorOf(dtype, shape, values(dtype)))
}

describe("movement", () => {
  test("transposes, reversals, slices", () => {
    holds([anyTensor(all, 1), fc.nat(), fc.nat(), fc.integer({ min: 1, max: 3 })], (x, turn, cut, stride) => {
      const rank = x.shape.length
      const perm = x.shape.map((_, axis) => (axis + turn) % rank)
      const axis = cut % rank
      expectEquality({ x }, (v) => [
        ops.transpose(v.x, { perm }),
        ops.reverse(v.x, { axis }),
        ops.stridedSlice(v.x, { axes: [axis], starts: [1], ends: [Infinity], strides: [stride] }),
        ops.stridedSlice(v.x, { axes: [axis], starts: [Infinity], ends: [-Infinity], strides: [-stride] }),
      ])
    })
  })

  test("pads, joins, copies, stretches", () => {
    holds([anyTensor(all, 1), fc.array(fc.nat(2), { minLength: 8, maxLength: 8 }), fc.nat()], (x, widths, at) => {
      const axis = at % x.shape.length
      expectEquality({ x }, (v) => [
        ops.pad(v.x, { paddings: widths.slice(0, 2 * x.shape.length), padValue: 1 }),
        ops.concat([v.x, ops.reverse(v.x, { axis }), v.x], { axis }),
        ops.stack([v.x, v.x], { axis }),
        ops.expand(v.x, { expandTimes: x.shape.map((_, i) => 1 + (widths[i] ?? 0)) }),
        ops.broadcastTo(ops.unsqueeze(v.x, { axes: [axis] }), {
          shape: [3, ...x.shape.slice(0, axis), 2, ...x.shape.slice(axis)],
        }),
      ])
    })
  })

  test("long rows, which are copied in one piece", () => {
    holds([dtypeOf(all), fc.integer({ min: 60, max: 200 })], (dtype, length) => {
      const data = Array.from({ length: 2 * length }, (_, i) => i % 2)
      expectEquality({ x: { dtype, shape: [2, length], data } }, ({ x }) => [
        ops.concat([x, x], { axis: 1 }),
        ops.pad(x, { paddings: [1, 0, 3, 0], padValue: 0 }),
        ops.transpose(x, { perm: [1, 0] }),
      ])
    })
  })
})

describe("folds", () => {
  const axesOf = (shape: readonly number[], mask: number) =>
    shape.flatMap((_, axis) => (((mask >> axis) & 1) === 1 ? [axis] : []))

  test("extremes over any axes, NaN among them", () => {
    holds(
      [anyTensor(numeric), fc.integer({ min: 1, max: 15 })],
      (x, mask) => {
        const axis = axesOf(x.shape, mask)
        if (axis.length === 0) return
        expectEquality({ x }, (v) => [ops.reduceMax(v.x, { axis }), ops.reduceMin(v.x, { axis })])
      },
      100,
    )
  })

  test("sums and products over any axes", () => {
    holds(
      [anyTensor(numeric, 0, tameValueOf), fc.integer({ min: 1, max: 15 })],
      (x, mask) => {
        const axis = axesOf(x.shape, mask)
        if (axis.length === 0 && x.shape.length > 0) return
        // Products of wide integers leave ±(2^53 − 1).
        const folds = x.dtype === "int64" ? [ops.reduceSum] : [ops.reduceSum, ops.reduceProd]
        expectCloseness({ x }, (v) => folds.map((fold) => fold(v.x, { axis })))
      },
      100,
    )
  })

  test("many results side by side, and long runs", () => {
    for (const [rows, columns] of [
      [3, 37],
      [37, 3],
      [8, 8],
      [1, 100],
      [100, 1],
    ] as const) {
      const data = Array.from({ length: rows * columns * 2 }, (_, i) => 1.5 + Math.sin(i))
      for (const dtype of floats) {
        expectCloseness({ x: { dtype, shape: [2, rows, columns], data } }, ({ x }) =>
          [[0], [1], [2], [0, 2], [1, 2], [0, 1, 2]].map((axis) => ops.reduceSum(x, { axis })),
        )
      }
    }
  })

  test("running sums, products of the others", () => {
    holds([anyTensor(numeric, 1, tameValueOf), fc.nat(), fc.boolean(), fc.boolean()], (x, at, exclusive, reverse) => {
      const axis = at % x.shape.length
      expectCloseness({ x }, (v) => {
        const sum = ops.cumsum(v.x, { axis, exclusive, reverse })
        return isFloat(x.dtype) ? [sum, ops.productOfOthers(v.x, { axis })] : [sum]
      })
    })
  })

  test("places of extremes, NaN among them", () => {
    const long = anyTensor(numeric, 1).filter(({ shape }) => !shape.includes(0))
    holds([long, fc.nat(), dtypeOf(["int32", "int64"] as const)], (x, at, dtype) => {
      const axis = at % x.shape.length
      expectEquality({ x }, (v) => [ops.argmax(v.x, { axis, dtype }), ops.argmin(v.x, { axis, dtype })])
    })
  })

  test("matrix products", () => {
    const sizes = fc.array(fc.integer({ min: 0, max: 9 }), { minLength: 3, maxLength: 3 })
    holds(
      [dtypeOf(numeric), sizes, fc.boolean(), fc.boolean(), fc.constantFrom(1, 2, -3)],
      (dtype, [m = 0, n = 0, k = 0], tx, ty, alpha) => {
        const numbers = (length: number, seed: number) =>
          Array.from({ length }, (_, i) =>
            isFloat(dtype) ? Math.sin(seed + i) : ((i * seed) % 11) + (dtype === "uint8" ? 0 : -5),
          )
        const [x, y] = [tx ? [2, k, m] : [2, m, k], ty ? [2, n, k] : [2, k, n]]
        const fed = {
          x: { dtype, shape: x, data: numbers(2 * m * k, 3) },
          y: { dtype, shape: y, data: numbers(2 * k * n, 7) },
        }
        expectCloseness(fed, (v) => [ops.matmul(v.x, v.y, { transposeX: tx, transposeY: ty, alpha })])
      },
    )
  })
})

describe("places that are data", () => {
  test("gathered and added up", () => {
    const lookup = fc.record({
      dtype: dtypeOf(numeric),
      shape: fc.array(fc.integer({ min: 1, max: 5 }), { minLength: 2, maxLength: 4 }),
    })
    holds(
      [
        lookup.chain(({ dtype, shape }) => tensorOf(dtype, shape, tameValueOf(dtype))),
        fc.array(fc.nat(), { maxLength: 6 }),
        dtypeOf(["int32", "int64"] as const),
      ],
      (x, picks, indexType) => {
        const [first = 1, second = 1] = x.shape
        const rows = { dtype: indexType, shape: [picks.length], data: picks.map((pick) => pick % first) }
        const pairs = {
          dtype: indexType,
          shape: [picks.length, 2],
          data: picks.flatMap((pick) => [pick % first, (pick >> 3) % second]),
        }
        expectEquality({ x, rows, pairs }, (v) => [ops.gather(v.x, v.rows), ops.gatherNd(v.x, v.pairs)])
        expectCloseness({ x, rows, pairs }, (v) => {
          const pair = ops.gatherNd(v.x, v.pairs)
          const added = ops.scatterNdAdd(pair, v.pairs, { shape: x.shape })
          const along = ops.gather(v.x, ops.mul(v.rows, 0), { axis: 1 })
          return [added, along, ops.scatterAdd(along, ops.mul(v.rows, 0), { shape: x.shape, axis: 1 })]
        })
      },
    )
  })
})

describe("images", () => {
  const geometry = fc.record({
    size: fc.tuple(fc.integer({ min: 1, max: 7 }), fc.integer({ min: 1, max: 7 })),
    window: fc.tuple(fc.integer({ min: 1, max: 3 }), fc.integer({ min: 1, max: 3 })),
    stride: fc.tuple(fc.integer({ min: 1, max: 3 }), fc.integer({ min: 1, max: 3 })),
    before: fc.nat(1),
    after: fc.nat(2),
    dtype: dtypeOf(floats),
  })

  test("pooled, and the gradients of that", () => {
    holds(
      [geometry, fc.boolean(), fc.boolean(), fc.array(valueOf("float32"), { minLength: 60, maxLength: 60 })],
      (g, adaptive, exclusive, values) => {
        const [h, w] = g.size
        const [kh, kw] = g.window
        if (!adaptive && (kh > h + g.before + g.after || kw > w)) return
        const attrs = {
          poolSize: [kh, kw],
          poolStride: [...g.stride],
          poolPadding: [g.before, g.after, 0, 0],
          ceilMode: true,
          adaptive,
          exclusive,
        }
        const x = {
          dtype: g.dtype,
          shape: [2, 1, h, w],
          data: Array.from({ length: 2 * h * w }, (_, i) => values[i % 60] ?? 0),
        }
        expectEquality({ x }, (v) => {
          const { z, index } = ops.maxPool2d(v.x, attrs)
          return [z, index, ops.poolGather(v.x, index)]
        })
        const tame = { ...x, data: x.data.map((_, i) => Math.cos(i)) }
        expectCloseness({ x: tame }, (v) => {
          const { z, index } = ops.maxPool2d(v.x, attrs)
          const mean = ops.avgPool2d(v.x, attrs)
          const inputShape = v.x.shape
          return [
            mean,
            ops.poolScatter(z, index, { inputShape }),
            ops.avgPool2dInputGrad(mean, { ...attrs, inputShape }),
          ]
        })
      },
    )
  })

  test("convolved, and the gradients of that", () => {
    holds(
      [
        geometry,
        fc.integer({ min: 1, max: 2 }),
        fc.tuple(fc.integer({ min: 1, max: 2 }), fc.integer({ min: 1, max: 2 })),
      ],
      (g, groups, dilation) => {
        const [h, w] = g.size
        const [kh, kw] = g.window
        const span = (k: number, d: number) => (k - 1) * d + 1
        if (span(kh, dilation[0]) > h + g.before + g.after || span(kw, dilation[1]) > w) return
        const numbers = (length: number, seed: number) => Array.from({ length }, (_, i) => Math.sin(seed * i + 1))
        const fed = {
          x: { dtype: g.dtype, shape: [2, 2 * groups, h, w], data: numbers(4 * groups * h * w, 3) },
          w: { dtype: g.dtype, shape: [2 * groups, 2, kh, kw], data: numbers(4 * groups * kh * kw, 5) },
        }
        const options = { stride: g.stride, padding: [g.before, g.after, 0, 0] as const, dilation, groups }
        expectCloseness(fed, (v) => {
          const z = ops.conv2d(v.x, v.w, options)
          const [inputShape, filterShape] = [v.x.shape, v.w.shape]
          return [
            z,
            ops.conv2dInputGrad(z, v.w, { ...options, inputShape }),
            ops.conv2dFilterGrad(v.x, z, { ...options, filterShape }),
          ]
        })
      },
    )
  })
})

describe("what a program makes itself", () => {
  test("constants, ranges, arrays, sizes", () => {
    for (const dtype of all) {
      expectEquality({ x: { dtype, shape: [2], data: [1, 0] } }, ({ x }, program) => [
        x,
        ops.fillConstant({ shape: [3, 5], value: 1, dtype, program }),
        ops.fillConstant({ shape: [2, 0], value: 1, dtype, program }),
        ops.arrayValue({ values: [1, 0, 1, 1, 0, 0], shape: [2, 3], dtype, program }),
        ops.eye({ numRows: 3, numColumns: 4, dtype, program }),
      ])
    }
    expectEquality({ x: { dtype: "int32", shape: [1], data: [1] } }, ({ x }, program) => [
      x,
      ops.range({ start: -3, end: 8, step: 2, dtype: "int32", program }),
      ops.range({ start: 2 ** 40, end: 2 ** 40 + 5, dtype: "int64", program }),
      ops.range({ start: 0, end: 1, step: 0.1, dtype: "float32", program }),
      ops.fillConstant({ shape: [], value: -(2 ** 53) + 1, dtype: "int64", program }),
      ops.fillConstant({ shape: [4], value: -0, dtype: "float32", program }),
      ops.fillConstant({ shape: [2], value: NaN, dtype: "float64", program }),
      ops.dimValue({ dim: 7, dtype: "int64", program }),
      ops.arrayValue({ values: [2 ** 53 - 1, -(2 ** 53) + 1], shape: [2], dtype: "int64", program }),
    ])
  })

  test("random numbers of every kind, length and key", () => {
    const key = fc.record({
      seed: fc.maxSafeInteger(),
      length: fc.integer({ min: 0, max: 50 }),
      dtype: dtypeOf(floats),
    })
    holds(
      [key, fc.double({ min: -1e6, max: 1e6, noNaN: true }), fc.double({ min: 0, max: 1e3, noNaN: true })],
      ({ seed, length, dtype }, at, spread) => {
        expectEquality({ x: { dtype: "int32", shape: [1], data: [1] } }, (_, program) => {
          const options = { shape: [length], seed, dtype, program }
          return [
            ops.uniform({ ...options, min: at, max: at + spread }),
            ops.normal({ ...options, mean: at, std: spread }),
            ops.truncatedNormal({ ...options, mean: at, std: spread }),
            ops.randint({ shape: [length], seed, low: -(2 ** 31), high: 2 ** 31, program }),
            ops.randint({
              shape: [length],
              seed,
              low: Math.trunc(at),
              high: Math.trunc(at) + 1000,
              dtype: "int64",
              program,
            }),
          ]
        })
      },
    )
    expectEquality({ x: { dtype: "int32", shape: [1], data: [1] } }, (_, program) => [
      ops.normal({ shape: [20_000], seed: 3, dtype: "float32", program }),
      ops.truncatedNormal({ shape: [20_001], seed: 4, dtype: "float64", program }),
    ])
  })
})
