// The kernels of random draws: what key and counter they take from attributes and state. How words become numbers, and their
// distributions, is tested with the fills themselves.

import { describe, expect, test } from "vitest"
import type { DType } from "@counterflow/ir"
import { gaussianRandomOp, type Op, randintOp, truncatedGaussianRandomOp, uniformRandomOp } from "@counterflow/ops"
import { fillNormal, fillRandint, fillTruncatedNormal, fillUniform } from "../src/numeric/draws.ts"
import type { Reals } from "../src/numeric/gemm.ts"
import { kernels } from "../src/kernels/index.ts"
import { allocate, call, tensor } from "./call.ts"

const at = (step: number) => ({ step: tensor([], [step], "int32") })

interface Drawn {
  op: Op
  dtype?: DType
  attrs: object
  seed?: number | null
  stream?: number
  step?: number
}

function draw({ op, dtype = "float32", attrs, seed = 5, stream = 0, step = 0 }: Drawn): number[] {
  const { z } = call(op, at(step), { shape: [3, 5], dtype, seed, stream, ...attrs })
  return [...(z?.data ?? [])]
}

const uniform = { op: uniformRandomOp, attrs: { min: -1, max: 1 } }

/** The key words and counter of `place`, as the fills take them. */
type Place = readonly [key0: number, key1: number, stream: number, step: number, trip: number]

describe("key and counter", () => {
  const place: Place = [3, 0x100, 9, 2, 0]
  const seed = 0x100 * 2 ** 32 + 3

  function filled(dtype: DType, fill: (out: Reals) => void): number[] {
    const out = allocate(dtype, 15)
    if (!(out instanceof Float32Array || out instanceof Float64Array)) throw new Error("floats are expected here")
    fill(out)
    return [...out]
  }

  test.each(["float32", "float64"] as const)("%s draws are the fills at seed, stream and step", (dtype) => {
    const where = { dtype, seed, stream: 9, step: 2 }
    expect(draw({ ...uniform, ...where })).toEqual(filled(dtype, (out) => fillUniform(out, -1, 1, ...place)))
    const distribution = { mean: 3, std: 0.5 }
    expect(draw({ op: gaussianRandomOp, attrs: distribution, ...where })).toEqual(
      filled(dtype, (out) => fillNormal(out, 3, 0.5, ...place)),
    )
    expect(draw({ op: truncatedGaussianRandomOp, attrs: distribution, ...where })).toEqual(
      filled(dtype, (out) => fillTruncatedNormal(out, 3, 0.5, ...place)),
    )
  })

  test("integers too, int64 in the layout of float64", () => {
    const where = { seed, stream: 9, step: 2, attrs: { low: -4, high: 1000 } }
    const narrow = new Int32Array(15)
    fillRandint(narrow, -4, 1000, ...place)
    expect(draw({ op: randintOp, dtype: "int32", ...where })).toEqual([...narrow])
    expect(draw({ op: randintOp, dtype: "int64", ...where })).toEqual(
      filled("float64", (out) => fillRandint(out, -4, 1000, ...place)),
    )
  })

  test("seed (both words, negative ones in two's complement), stream and step each change the draw", () => {
    const base = draw(uniform)
    const others = [{ seed: 6 }, { seed: 5 + 2 ** 32 }, { seed: -5 }, { stream: 1 }, { step: 1 }]
    for (const other of others) {
      const drawn = draw({ ...uniform, ...other })
      expect(drawn.filter((value, i) => value === base[i])).toEqual([])
    }
    const out = new Float32Array(15)
    fillUniform(out, -1, 1, 0xfffffffb, 0xffffffff, 0, 0, 0)
    expect(draw({ ...uniform, seed: -5 })).toEqual([...out])
  })
})

test("the step is read when the kernel runs, not when it is bound", () => {
  const { step } = at(0)
  const z = tensor([4], [0, 0, 0, 0], "float32")
  const attrs = { shape: [4], dtype: "float32", min: 0, max: 1, seed: 1, stream: 0 } as const
  const run = kernels.uniformRandom({
    inputs: { trip: undefined, step },
    outputs: { z },
    attrs,
    workspace: allocate("float32", 0),
    blocks: {},
  })
  run()
  const first = [...z.data]
  step.data[0] = 1
  run()
  expect([...z.data]).not.toEqual(first)
  step.data[0] = 0
  run()
  expect([...z.data]).toEqual(first)
})

test("a draw without a seed is refused when it is bound", () => {
  expect(() => draw({ ...uniform, seed: null })).toThrowErrorMatchingInlineSnapshot(
    `[CounterflowError: CF_INTERNAL  a draw without a seed reached a kernel: legalizing puts the program's in]`,
  )
})
