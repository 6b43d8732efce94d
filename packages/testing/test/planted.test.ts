// The checker is checked: rules that are wrong in the ways rules usually are must each be reported, for the input that is wrong
// and at the order where it shows.

import { parseProgram, Program, programGuard, type Variable } from "@counterflow/ir"
import {
  add,
  broadcastTo,
  composite,
  type Description,
  describe as describeOp,
  emit,
  type GradRule,
  matmul,
  mul,
  neg,
  reduceSum,
  resolve,
  scale,
  slice,
  extend,
  registry,
  square,
} from "@counterflow/ops"
import { gradCheck, opCases } from "@counterflow/testing"
import { describe, expect, test } from "vitest"

type Two = { readonly x: "tensor"; readonly y: "tensor" }
type One = { readonly x: "tensor" }
type Rule<I extends Two | One> = GradRule<I, readonly ["z"], Record<never, never>>

function product(name: string, grad: Rule<Two>) {
  return composite({
    name,
    inputs: { x: "tensor", y: "tensor" },
    outputs: ["z"],
    infer: ({ x }) => ({ z: x }),
    grad,
    decompose: ({ x, y }) => ({ z: mul(x, y) }),
  })
}

function matrixProduct(name: string, grad: Rule<Two>) {
  return composite({
    name,
    inputs: { x: "tensor", y: "tensor" },
    outputs: ["z"],
    infer: ({ x }) => ({ z: x }),
    grad,
    decompose: ({ x, y }) => ({ z: matmul(x, y) }),
  })
}

function squared(name: string, grad: Rule<One>) {
  return composite({
    name,
    inputs: { x: "tensor" },
    outputs: ["z"],
    infer: ({ x }) => ({ z: x }),
    grad,
    decompose: ({ x }) => ({ z: square(x) }),
  })
}

function withBias(name: string, grad: Rule<Two>) {
  return composite({
    name,
    inputs: { x: "tensor", y: "tensor" },
    outputs: ["z"],
    infer: ({ x }) => ({ z: x }),
    grad,
    decompose: ({ x, y }) => ({ z: add(x, y) }),
  })
}

/** The identity, and nothing flows back: what makes a rule right once and wrong twice. */
const frozenOp = composite({
  name: "planted.frozen",
  inputs: { x: "tensor" },
  outputs: ["z"],
  infer: ({ x }) => ({ z: x }),
  grad: () => ({ x: null }),
  decompose: ({ x }) => ({ z: scale(x, { scale: 1 }) }),
})

function frozen(x: Variable): Variable {
  return emit(frozenOp, { x }, {}, frozen).z
}

const square3 = { x: [3, 3], y: [3, 3] }
const doc = { summary: "Planted.", formula: "z", source: "planted" }

interface Planted {
  readonly what: string
  readonly description: Description
  /** Failing rows of the report, as "input order". */
  readonly reported: readonly string[]
}

const right: Description[] = [
  describeOp(
    product("right.product", ({ x, y }, _z, { z: dz }) => ({ x: mul(dz, y), y: mul(dz, x) })),
    { ...doc, samples: [{ in: square3 }] },
  ),
  describeOp(
    matrixProduct("right.matrixProduct", ({ x, y }, _z, { z: dz }) => ({
      x: matmul(dz, y, { transposeY: true }),
      y: matmul(x, dz, { transposeX: true }),
    })),
    { ...doc, samples: [{ in: square3 }] },
  ),
  describeOp(
    squared("right.squared", ({ x }, _z, { z: dz }) => ({ x: mul(dz, scale(x, { scale: 2 })) })),
    { ...doc, samples: [{ in: { x: [4] } }] },
  ),
  describeOp(
    withBias("right.withBias", (_in, _z, { z: dz }) => ({ x: dz, y: reduceSum(dz, { axis: 0, keepDim: true }) })),
    { ...doc, samples: [{ in: { x: [4, 3], y: [1, 3] } }] },
  ),
]

const wrong: Planted[] = [
  {
    what: "sign flipped",
    description: describeOp(
      product("planted.sign", ({ x, y }, _z, { z: dz }) => ({ x: neg(mul(dz, y)), y: mul(dz, x) })),
      {
        ...doc,
        samples: [{ in: square3 }],
      },
    ),
    reported: ["x 1"],
  },
  {
    what: "transpose dropped",
    description: describeOp(
      matrixProduct("planted.transpose", ({ x, y }, _z, { z: dz }) => ({
        x: matmul(dz, y),
        y: matmul(x, dz, { transposeX: true }),
      })),
      { ...doc, samples: [{ in: square3 }] },
    ),
    reported: ["x 1"],
  },
  {
    what: "factor 2 forgotten",
    description: describeOp(
      squared("planted.factor", ({ x }, _z, { z: dz }) => ({ x: mul(dz, x) })),
      { ...doc, samples: [{ in: { x: [4] } }] },
    ),
    reported: ["x 1"],
  },
  {
    what: "gradient to the wrong input",
    description: describeOp(
      product("planted.swapped", ({ x, y }, _z, { z: dz }) => ({ x: mul(dz, x), y: mul(dz, y) })),
      {
        ...doc,
        samples: [{ in: square3 }],
      },
    ),
    reported: ["x 1", "y 1"],
  },
  {
    what: "sum over the broadcast axis missing",
    description: describeOp(
      withBias("planted.broadcast", (_in, _z, { z: dz }) => ({
        x: dz,
        y: slice(dz, { axes: [0], starts: [0], ends: [1] }),
      })),
      { ...doc, samples: [{ in: { x: [4, 3], y: [1, 3] } }] },
    ),
    reported: ["y 1"],
  },
  {
    what: "gradient of one input forgotten",
    description: describeOp(
      product("planted.forgotten", ({ y }, _z, { z: dz }) => ({ x: mul(dz, y), y: null })),
      {
        ...doc,
        samples: [{ in: square3 }],
      },
    ),
    reported: ["y 1"],
  },
  {
    what: "right for constant cotangents only",
    description: describeOp(
      squared("planted.constant", ({ x }, _z, { z: dz }) => ({
        x: mul(scale(broadcastTo(reduceSum(dz, { axis: 0, keepDim: true }), { shape: x.shape }), { scale: 2 / 4 }), x),
      })),
      { ...doc, samples: [{ in: { x: [4] } }] },
    ),
    reported: ["x 1"],
  },
  {
    what: "wrong at order 2 only",
    description: describeOp(
      squared("planted.second", ({ x }, _z, { z: dz }) => ({ x: mul(dz, scale(frozen(x), { scale: 2 })) })),
      {
        ...doc,
        samples: [{ in: { x: [4] } }],
      },
    ),
    reported: ["x 2"],
  },
]

function programOf({ op, samples }: Description) {
  const main = new Program()
  return programGuard(main, () => {
    const shapes = Object.entries(samples[0]?.in ?? {}) as [string, readonly number[]][]
    const inputs = Object.fromEntries(
      shapes.map(([name, shape]) => [
        name,
        main.globalBlock().createVar({ name, shape, dtype: "float32", isData: true }),
      ]),
    )
    const { z } = emit(op, inputs, {}, programOf) as { z: Variable }
    const feed = Object.fromEntries(
      shapes.map(([name, shape], at) => {
        const length = shape.reduce((product, size) => product * size, 1)
        return [name, Array.from({ length }, (_, i) => Math.sin(1 + 2 * i + 5 * at))]
      }),
    )
    return { main, z, feed, wrt: shapes.map(([name]) => name) }
  })
}

async function failures(description: Description): Promise<string[]> {
  const { main, z, feed, wrt } = programOf(description)
  const report = await gradCheck(main, { targets: [z], wrt, feed, order: 2 })
  expect(report.toString()).toContain(report.ok ? ": ok" : "FAILED")
  return report.checks.filter(({ ok }) => !ok).map(({ input, order }) => `${input} ${order}`)
}

describe("right rules pass", () => {
  test.each(right.map((each) => [each.op.name, each] as const))("%s", async (_name, description) => {
    expect(await failures(description)).toEqual([])
  })
})

describe("wrong rules are reported", () => {
  test.each(wrong.map((each) => [each.what, each] as const))("%s", async (_what, { description, reported }) => {
    expect(await failures(description)).toEqual([...reported])
  })

  test.each(wrong.map((each) => [each.what, each] as const))(
    "%s, by the derived suite",
    async (_what, { description }) => {
      const suite = opCases([description])
      const found = suite.cases.find(({ name }) => name === `${description.op.name}: gradients`)
      await expect(found?.run()).rejects.toThrow(/gradient check \(seed 1\): FAILED/)
      suite.close()
    },
  )

  test("order 1 does not see what is wrong at order 2", async () => {
    const second = wrong.find(({ what }) => what === "wrong at order 2 only")
    const { main, z, feed, wrt } = programOf(second?.description ?? right[0]!)
    expect((await gradCheck(main, { targets: [z], wrt, feed, order: 1 })).ok).toBe(true)
    expect((await gradCheck(main, { targets: [z], wrt, feed, order: 2 })).ok).toBe(false)
  })

  test("in a program that was read from a file, with the registry that has the op", async () => {
    const { description } = wrong[0]!
    const { main, z, feed, wrt } = programOf(description)
    const read = parseProgram(main.toString())
    const outside = extend(registry, { planted: description.op })
    const report = await gradCheck(read, { targets: [z.name], wrt, feed, registry: outside })
    expect(report.ok).toBe(false)
    expect((await gradCheck(resolve(read, outside), { targets: [z.name], wrt, feed })).toString()).toBe(
      report.toString(),
    )
  })

  test("a gradient of the wrong shape never gets that far", async () => {
    const rule = withBias("planted.shape", (_in, _z, { z: dz }) => ({ x: dz, y: dz }))
    const description = describeOp(rule, { ...doc, samples: [{ in: { x: [4, 3], y: [1, 3] } }] })
    const { main, z, feed, wrt } = programOf(description)
    await expect(gradCheck(main, { targets: [z], wrt, feed })).rejects.toThrow(
      /CF_BAD_RULE {2}planted.shape: the gradient rule of planted.shape answers float64\[4, 3\] for y, which is float64\[1, 3\]/,
    )
  })
})
