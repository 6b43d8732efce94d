// The derived suite is checked: descriptions, shape rules, kernels and records that are wrong must each be reported by the case
// that is there for it.

import { fail, isStatic } from "@counterflow/ir"
import { cpu } from "@counterflow/kernels-cpu"
import {
  cast,
  composite,
  type Description,
  describe as describeOp,
  elementwise,
  noGrad,
  type Op,
  primitive,
  reshapeTo,
  s,
  square,
} from "@counterflow/ops"
import { opCases, type OpCasesOptions } from "@counterflow/testing"
import { describe, expect, test } from "vitest"

const doc = { summary: "Planted.", formula: "z", source: "planted" }

async function failureOf(description: Description, name: string, options: OpCasesOptions = {}): Promise<string> {
  const suite = opCases([description], options)
  const found = suite.cases.find((each) => each.name === name)
  expect(suite.cases.map((each) => each.name)).toContain(name)
  const failure: unknown = await found?.run().then(
    () => null,
    (error: unknown) => error,
  )
  suite.close()
  return String(failure)
}

interface Call {
  readonly inputs: Readonly<Record<"x", { readonly data: Float32Array | Float64Array }>>
  readonly outputs: Readonly<Record<"z", { readonly data: Float32Array | Float64Array }>>
}

const copying = (name: string) =>
  primitive({
    name,
    inputs: { x: "tensor" },
    outputs: ["z"],
    infer: ({ x }) => ({ z: x }),
    grad: (_inputs, _outputs, { z: dz }) => ({ x: dz }),
    facts: { kind: "opaque" },
  })

describe("values", () => {
  test("a decomposition of another shape than the shape rule says", async () => {
    const op = composite({
      name: "planted.shape",
      inputs: { x: "tensor" },
      outputs: ["z"],
      infer: ({ x }) => ({ z: x }),
      grad: (_inputs, _outputs, { z: dz }) => ({ x: dz }),
      decompose: ({ x }) => ({ z: reshapeTo(x, [3, 2]) }),
    })
    expect(
      await failureOf(describeOp(op, { ...doc, samples: [{ in: { x: [2, 3] } }] }), "planted.shape: values"),
    ).toContain("planted.shape, sample 0: planted_shape_0.tmp_0 is float32[3, 2], inferred float32[2, 3]")
  })

  test("a decomposition of another dtype", async () => {
    const op = composite({
      name: "planted.dtype",
      inputs: { x: "tensor" },
      outputs: ["z"],
      infer: ({ x }) => ({ z: x }),
      grad: (_inputs, _outputs, { z: dz }) => ({ x: dz }),
      decompose: ({ x }) => ({ z: cast(x, { dtype: "float64" }) }),
    })
    expect(
      await failureOf(describeOp(op, { ...doc, samples: [{ in: { x: [2] } }] }), "planted.dtype: values"),
    ).toContain("planted_dtype_0.tmp_0 is float64[2], inferred float32[2]")
  })

  test("a kernel that leaves elements as memory had them", async () => {
    const lazy =
      ({ inputs: { x }, outputs: { z } }: Call) =>
      () => {
        for (let i = 0; i < x.data.length; i++) if ((x.data[i] ?? 0) > 0) z.data[i] = x.data[i] ?? 0
      }
    const description = describeOp(copying("planted.lazy"), { ...doc, samples: [{ in: { x: [20] } }] })
    const backend = cpu({ kernels: { "planted.lazy": lazy } })
    expect(await failureOf(description, "planted.lazy: values", { backend })).toMatch(
      /planted.lazy, sample 0, run again: element \d+ is/,
    )
  })

  test("a kernel that computes in too few digits", async () => {
    const rough =
      ({ inputs: { x }, outputs: { z } }: Call) =>
      () => {
        for (let i = 0; i < x.data.length; i++) {
          const value = x.data[i] ?? 0
          z.data[i] = z.data instanceof Float32Array ? Math.round(value * 1000) / 1000 : value
        }
      }
    const description = describeOp(copying("planted.rough"), { ...doc, samples: [{ in: { x: [20] } }] })
    const backend = cpu({ kernels: { "planted.rough": rough } })
    expect(await failureOf(description, "planted.rough: values", { backend })).toContain(
      "planted.rough, sample 0, against float64",
    )
  })

  test("a draw that does not depend on the step", async () => {
    const op = primitive({
      name: "planted.draw",
      inputs: { step: "state" },
      outputs: ["z"],
      infer: () => ({ z: { shape: [5], dtype: "float32" } }),
      grad: noGrad("it draws"),
      facts: { kind: "random" },
    })
    const fixed =
      ({ outputs: { z } }: Call) =>
      () =>
        z.data.set([1, 2, 3, 4, 5])
    const description = describeOp(op, {
      ...doc,
      samples: [{ in: { step: { shape: [], dtype: "int32", values: [1] } } }],
    })
    const backend = cpu({ kernels: { "planted.draw": fixed } })
    expect(await failureOf(description, "planted.draw: values", { backend })).toContain(
      "planted.draw, sample 0: two steps drew the same numbers",
    )
  })
})

describe("unknown sizes", () => {
  test("a gradient that works with known sizes only", async () => {
    const op = composite({
      name: "planted.static",
      inputs: { x: "tensor" },
      outputs: ["z"],
      infer: ({ x }) => ({ z: x }),
      grad: (_inputs, _outputs, { z: dz }) => ({
        x: isStatic(dz.shape) ? dz : fail("CF_SHAPE_MISMATCH", "sizes must be known"),
      }),
      decompose: ({ x }) => ({ z: reshapeTo(reshapeTo(x, [...x.shape, 1]), x.shape) }),
    })
    const description = describeOp(op, { ...doc, samples: [{ in: { x: [2, 3] } }] })
    expect(await failureOf(description, "planted.static: unknown sizes")).toContain("sizes must be known")
    expect(await failureOf(description, "planted.static: gradients")).toBe("null")
  })

  test("a shape rule that refuses them is counted by name", async () => {
    const op = composite({
      name: "planted.strict",
      inputs: { x: "tensor" },
      outputs: ["z"],
      infer: ({ x }) => ({ z: isStatic(x.shape) ? x : fail("CF_SHAPE_MISMATCH", "sizes must be known") }),
      grad: (_inputs, _outputs, { z: dz }) => ({ x: dz }),
      decompose: ({ x }) => ({ z: x }),
    })
    const suite = opCases([describeOp(op, { ...doc, samples: [{ in: { x: [2, 3] } }, { in: { x: [1] } }] })])
    await suite.cases.find(({ name }) => name.endsWith("unknown sizes"))?.run()
    expect(suite.summary()).toBe("1 ops on cpu: 1 sample of planted.strict that needs known sizes")
    suite.close()
  })
})

describe("files", () => {
  test("an attribute that no file can hold", async () => {
    const op = elementwise({
      name: "planted.attribute",
      inputs: { x: "tensor" },
      outputs: ["z"],
      attrs: { when: "number" },
      infer: ({ x }) => ({ z: x }),
      grad: (_inputs, _outputs, { z: dz }) => ({ x: dz }),
      scalar: ({ x }) => s.neg(x),
    })
    const description = describeOp(op, { ...doc, samples: [{ in: { x: [2] }, attrs: { when: new Date(0) } }] })
    expect(await failureOf(description, "planted.attribute: files")).toMatch(/CF_[A-Z_]+/)
    expect(await failureOf(description, "planted.attribute: values")).toContain("attribute when must be a number")
  })
})

describe("records", () => {
  const square2 = (name: string, more: Partial<Description> = {}): Description => {
    const op = composite({
      name,
      inputs: { x: "tensor" },
      outputs: ["z"],
      infer: ({ x }) => ({ z: x }),
      grad: noGrad("because this test says so"),
      decompose: ({ x }) => ({ z: square(x) }),
    })
    return { ...describeOp(op, { ...doc, samples: [{ in: { x: [2] } }] }), ...more }
  }

  const all = "every op is described"

  test("ops without description, sample, formula, source or sentence", async () => {
    const other = square2("planted.other")
    const registry = (description: Description): Record<string, Op> => ({ [description.op.name]: description.op })
    const one = square2("planted.one")
    expect(await failureOf(one, all, { registry: { ...registry(one), ...registry(other) } })).toContain(
      "ops without description: planted.other",
    )
    expect(await failureOf(one, all, { registry: { [one.op.name]: other.op } })).toContain(
      "another record under this name",
    )
    expect(await failureOf(square2("planted.two", { samples: [] }), all)).toContain(
      "planted.two: there must be at least one sample",
    )
    expect(await failureOf(square2("planted.three", { formula: " " }), all)).toContain(
      "formula and source must be given",
    )
    expect(await failureOf(square2("planted.four", { source: "" }), all)).toContain("formula and source must be given")
    expect(await failureOf(square2("planted.five", { summary: "squares" }), all)).toContain(
      'its summary must be a sentence, got "squares"',
    )
  })

  test("an error sample that is not refused, or for another reason", async () => {
    const accepted = { in: { x: [2] }, code: "CF_SHAPE_MISMATCH", text: /never/ }
    expect(
      await failureOf(square2("planted.lenient", { errorSamples: [accepted] }), "planted.lenient: errors"),
    ).toContain("error sample 0 must fail with CF_SHAPE_MISMATCH and /never/, got null")
    const missing = { in: {}, code: "CF_SHAPE_MISMATCH", text: /missing/ }
    expect(await failureOf(square2("planted.other2", { errorSamples: [missing] }), "planted.other2: errors")).toContain(
      "got CounterflowError: CF_BAD_SLOT",
    )
  })

  test("a gradient that is declared not to be there is refused with its reason", async () => {
    expect(await failureOf(square2("planted.none"), "planted.none: refused gradients")).toBe("null")
  })
})

test("samples that contradict themselves are reported, not guessed at", async () => {
  const op = copying("planted.copy")
  const description = describeOp(op, { ...doc, samples: [{ in: { x: { shape: [3], values: [1, 2] } } }] })
  expect(await failureOf(description, "planted.copy: values")).toContain("a sample gives 2 values for the shape [3]")
  const nowhere = describeOp(op, {
    ...doc,
    samples: [{ in: { x: { shape: [3], domain: { low: 0, high: 1, avoid: [0.5], distance: 2 } } } }],
  })
  expect(await failureOf(nowhere, "planted.copy: values")).toContain("no value between 0 and 1 lies 2 away from 0.5")
})
