// Random draws. A draw is a pure function of its attributes and of the step state: no hidden generator, so a program draws
// the same numbers on every backend, can be replayed, and recomputes a draw instead of keeping it.
//
//   Philox4x32-10   key = seed (the program's where it is null)   counter = [stream, step, trip, block]
//
// `trip` tells the runs of the loops around a draw apart; outside of loops it is absent, and 0.

import {
  defaultMainProgram,
  type Dim,
  type DType,
  fail,
  isFloat,
  type Program,
  type Shape,
  site,
  type TensorType,
  type Variable,
} from "@counterflow/ir"
import { noGrad, primitive } from "./define.ts"
import { describe } from "./describe.ts"
import { emit } from "./emit.ts"

/** The one reserved name of a program: the state by which clones, texts and checkpoints find the step count again. */
const randomStepName = "random_step"

/** How many steps with a draw were committed: an int32 state of the program, made on first use and read by every draw. */
export function randomStep(program: Program): Variable {
  const block = program.globalBlock()
  const found = block.vars.get(randomStepName)
  if (found === undefined) {
    const init = {
      name: randomStepName,
      shape: [],
      dtype: "int32",
      persistable: true,
      stopGradient: true,
      initialValue: 0,
    } as const
    return block.createVar(init)
  }
  if (!found.persistable || found.dtype !== "int32" || found.shape.length > 0) {
    fail("CF_DUPLICATE_NAME", `"${randomStepName}" is the name of the state that counts random steps`, {
      notes: [`${found}   built at ${found.site}`],
      fix: "give that variable another name",
    })
  }
  return found
}

export interface DrawOptions {
  shape: Shape
  /** Key of this draw; without one (or null) it is the program's `randomSeed`. */
  seed?: number | null | undefined
  /** The program to draw in; the default main program unless said. */
  program?: Program | undefined
}

/** What a draw is keyed by, besides the step. */
export interface DrawKey {
  readonly seed: number | null
  readonly stream: number
}

/** The counters that a draw reads. */
export interface DrawCounters {
  readonly step: Variable
  readonly trip: Variable | undefined
}

/** All or nothing: emits a draw with the state it reads, a checked seed and a stream of the program that no other draw has. */
export function withDraw<T>(
  program: Program,
  seed: number | null | undefined,
  op: string,
  body: (counters: DrawCounters, key: DrawKey) => T,
): T {
  if (seed !== null && seed !== undefined && !Number.isSafeInteger(seed)) {
    fail("CF_BAD_ATTRIBUTE", `seed must be a safe integer, or null for the program's, got ${String(seed)}`, { op })
  }
  return program.transaction(() => {
    const counters = { step: randomStep(program), trip: program.trip?.() }
    return body(counters, { seed: seed ?? null, stream: program.takeStream() })
  })
}

function draw(
  options: DrawOptions,
  op: string,
  body: (counters: DrawCounters, attrs: DrawKey & { shape: Shape }) => Variable,
): Variable {
  const { shape, seed, program = defaultMainProgram() } = options
  const bad = shape.find((dim) => typeof dim === "number" && (!Number.isSafeInteger(dim) || dim < 0))
  if (bad !== undefined) fail("CF_BAD_ATTRIBUTE", `shape must hold sizes of at least 0, got ${String(bad)}`, { op })
  return withDraw(program, seed, op, (counters, key) => body(counters, { ...key, shape }))
}

function drawnType(shape: readonly Dim[], dtype: DType): TensorType {
  if (!isFloat(dtype)) {
    fail("CF_BAD_ATTRIBUTE", `dtype must be float32 or float64, got ${dtype}`, { fix: "draw integers with randint" })
  }
  return { shape, dtype }
}

function requireFinite(values: Readonly<Record<string, number>>): void {
  for (const [name, value] of Object.entries(values)) {
    if (!Number.isFinite(value)) fail("CF_BAD_ATTRIBUTE", `${name} must be a finite number, got ${String(value)}`)
  }
}

/** The type of a normal draw. */
function normalType({
  shape,
  dtype,
  mean,
  std,
}: {
  shape: Shape
  dtype: DType
  mean: number
  std: number
}): TensorType {
  requireFinite({ mean, std })
  if (std < 0) fail("CF_BAD_ATTRIBUTE", `std must not be negative, got ${std}`)
  return drawnType(shape, dtype)
}

const noInputs = "a draw depends on no differentiable input"

/** Uniform in [min, max). */
export function uniform(options: DrawOptions & { min?: number; max?: number; dtype?: DType }): Variable {
  const { min = -1, max = 1, dtype = "float32" } = options
  return site(uniform, () =>
    draw(
      options,
      "uniform",
      (counters, attrs) => emit(uniformRandomOp, counters, { ...attrs, min, max, dtype }, uniform).z,
    ),
  )
}

export const uniformRandomOp = /*#__PURE__*/ primitive({
  name: "uniformRandom",
  inputs: { step: "state", trip: "index?" },
  outputs: ["z"],
  attrs: { shape: "dims", dtype: "dtype", min: "number", max: "number", seed: "int?", stream: "int" },
  infer: (_inputs, { shape, dtype, min, max }) => {
    requireFinite({ min, max })
    if (min > max) fail("CF_BAD_ATTRIBUTE", `min ${min} is greater than max ${max}`)
    return { z: drawnType(shape, dtype) }
  },
  grad: noGrad(noInputs),
  facts: { kind: "random" },
})

const step = { shape: [], dtype: "int32", values: [0] } as const
const trip = { shape: [], dtype: "int32", values: [3] } as const
const laterStep = { shape: [], dtype: "int32", values: [7] } as const

export const uniformRandomDoc = /*#__PURE__*/ describe(uniformRandomOp, {
  summary: "Uniform random numbers in [min, max).",
  formula: "z = min + u · (max − min),  u = bits · 2⁻²⁴ in float32, bits · 2⁻⁵³ in float64",
  source: "Salmon et al., Parallel random numbers: as easy as 1, 2, 3 (SC 2011); Fluid 1.8, uniform_random",
  samples: [
    { in: { step }, attrs: { shape: [2, 3], dtype: "float32", min: -1, max: 1, seed: 1, stream: 0 } },
    {
      in: { step: laterStep, trip },
      attrs: { shape: [5], dtype: "float64", min: 0, max: 10, seed: 2 ** 40 + 3, stream: 4 },
    },
    {
      in: { step },
      attrs: { shape: [], dtype: "float32", min: 2, max: 2, seed: -1, stream: 1 },
      note: "an empty interval",
    },
    { in: { step }, attrs: { shape: [0, 2], dtype: "float32", min: 0, max: 1, seed: null, stream: 2 } },
  ],
  errorSamples: [
    {
      in: { step },
      attrs: { shape: [2], dtype: "int32", min: 0, max: 9, seed: 1, stream: 0 },
      code: "CF_BAD_ATTRIBUTE",
      text: /dtype must be float32 or float64, got int32/,
    },
    {
      in: { step },
      attrs: { shape: [2], dtype: "float32", min: 2, max: 1, seed: 1, stream: 0 },
      code: "CF_BAD_ATTRIBUTE",
      text: /min 2 is greater than max 1/,
    },
    {
      in: { step },
      attrs: { shape: [2], dtype: "float32", min: 0, max: Infinity, seed: 1, stream: 0 },
      code: "CF_BAD_ATTRIBUTE",
      text: /max must be a finite number, got Infinity/,
    },
  ],
  tolerance: 0,
})

interface NormalOptions extends DrawOptions {
  mean?: number
  /** Standard deviation. */
  std?: number
  dtype?: DType
}

/** Normal with the given mean and standard deviation. */
export function normal(options: NormalOptions): Variable {
  const { mean = 0, std = 1, dtype = "float32" } = options
  return site(normal, () =>
    draw(
      options,
      "normal",
      (counters, attrs) => emit(gaussianRandomOp, counters, { ...attrs, mean, std, dtype }, normal).z,
    ),
  )
}

export const gaussianRandomOp = /*#__PURE__*/ primitive({
  name: "gaussianRandom",
  inputs: { step: "state", trip: "index?" },
  outputs: ["z"],
  attrs: { shape: "dims", dtype: "dtype", mean: "number", std: "number", seed: "int?", stream: "int" },
  infer: (_inputs, attrs) => ({ z: normalType(attrs) }),
  grad: noGrad(noInputs),
  facts: { kind: "random" },
})

export const gaussianRandomDoc = /*#__PURE__*/ describe(gaussianRandomOp, {
  summary: "Normally distributed random numbers.",
  formula: "z = mean + std · Φ⁻¹(u),  u in (0, 1)",
  source: "Wichura, Algorithm AS 241 (1988); Fluid 1.8, gaussian_random",
  samples: [
    { in: { step }, attrs: { shape: [3, 2], dtype: "float32", mean: 0, std: 1, seed: 1, stream: 0 } },
    { in: { step: laterStep, trip }, attrs: { shape: [5], dtype: "float64", mean: -2, std: 0.5, seed: 2, stream: 3 } },
    {
      in: { step },
      attrs: { shape: [1, 1], dtype: "float32", mean: 3, std: 0, seed: null, stream: 1 },
      note: "no deviation",
    },
  ],
  errorSamples: [
    {
      in: { step },
      attrs: { shape: [2], dtype: "bool", mean: 0, std: 1, seed: 1, stream: 0 },
      code: "CF_BAD_ATTRIBUTE",
      text: /dtype must be float32 or float64, got bool/,
    },
    {
      in: { step },
      attrs: { shape: [2], dtype: "float32", mean: 0, std: -1, seed: 1, stream: 0 },
      code: "CF_BAD_ATTRIBUTE",
      text: /std must not be negative, got -1/,
    },
  ],
  tolerance: 0,
})

/** Normal, restricted to what lies within two standard deviations of the mean. */
export function truncatedNormal(options: NormalOptions): Variable {
  const { mean = 0, std = 1, dtype = "float32" } = options
  return site(truncatedNormal, () =>
    draw(
      options,
      "truncatedNormal",
      (counters, attrs) => emit(truncatedGaussianRandomOp, counters, { ...attrs, mean, std, dtype }, truncatedNormal).z,
    ),
  )
}

export const truncatedGaussianRandomOp = /*#__PURE__*/ primitive({
  name: "truncatedGaussianRandom",
  inputs: { step: "state", trip: "index?" },
  outputs: ["z"],
  attrs: { shape: "dims", dtype: "dtype", mean: "number", std: "number", seed: "int?", stream: "int" },
  infer: (_inputs, attrs) => ({ z: normalType(attrs) }),
  grad: noGrad(noInputs),
  facts: { kind: "random" },
})

export const truncatedGaussianRandomDoc = /*#__PURE__*/ describe(truncatedGaussianRandomOp, {
  summary: "Normally distributed random numbers within two standard deviations of the mean.",
  formula: "z = mean + std · Φ⁻¹(Φ(−2) + u · (Φ(2) − Φ(−2))),  u in (0, 1)",
  source: "inverse of the distribution function; Fluid 1.8, truncated_gaussian_random",
  samples: [
    { in: { step }, attrs: { shape: [2, 3], dtype: "float32", mean: 0, std: 1, seed: 1, stream: 0 } },
    { in: { step: laterStep, trip }, attrs: { shape: [7], dtype: "float64", mean: 10, std: 3, seed: 2, stream: 3 } },
    { in: { step }, attrs: { shape: [0], dtype: "float32", mean: 0, std: 1, seed: null, stream: 1 } },
  ],
  errorSamples: [
    {
      in: { step },
      attrs: { shape: [2], dtype: "float32", mean: NaN, std: 1, seed: 1, stream: 0 },
      code: "CF_BAD_ATTRIBUTE",
      text: /mean must be a finite number, got NaN/,
    },
  ],
  tolerance: 0,
})

/** Integers in [low, high), every one as likely as the others. */
export function randint(options: DrawOptions & { low: number; high: number; dtype?: DType }): Variable {
  const { low, high, dtype = "int32" } = options
  return site(randint, () =>
    draw(options, "randint", (counters, attrs) => emit(randintOp, counters, { ...attrs, low, high, dtype }, randint).z),
  )
}

export const randintOp = /*#__PURE__*/ primitive({
  name: "randint",
  inputs: { step: "state", trip: "index?" },
  outputs: ["z"],
  attrs: { shape: "dims", dtype: "dtype", low: "int", high: "int", seed: "int?", stream: "int" },
  infer: (_inputs, { shape, dtype, low, high }) => {
    if (dtype !== "int32" && dtype !== "int64") fail("CF_BAD_ATTRIBUTE", `dtype must be int32 or int64, got ${dtype}`)
    requireRange(low, high, dtype)
    return { z: { shape, dtype } }
  },
  grad: noGrad(noInputs),
  facts: { kind: "random" },
})

function requireRange(low: number, high: number, dtype: "int32" | "int64"): void {
  const [least, most] = dtype === "int32" ? [-(2 ** 31), 2 ** 31] : [Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER]
  if (!Number.isSafeInteger(low) || !Number.isSafeInteger(high) || low < least || high > most) {
    fail("CF_BAD_ATTRIBUTE", `low and high must be integers within ${dtype}, got ${low} and ${high}`)
  }
  if (low >= high)
    fail("CF_BAD_ATTRIBUTE", `low must be less than high, got ${low} and ${high}`, {
      fix: "high itself is never drawn",
    })
  if (high - low > 2 ** 32) {
    fail("CF_BAD_ATTRIBUTE", `low ${low} and high ${high} are further apart than 2^32, the bits of a draw`)
  }
}

export const randintDoc = /*#__PURE__*/ describe(randintOp, {
  summary: "Random integers in [low, high).",
  formula: "z = low + ⌊word · (high − low) / 2³²⌋",
  source:
    "Lemire, Fast random integer generation in an interval (2019), without the rejection step; Fluid 1.8, randint",
  samples: [
    { in: { step }, attrs: { shape: [2, 3], dtype: "int32", low: 0, high: 10, seed: 1, stream: 0 } },
    {
      in: { step: laterStep, trip },
      attrs: { shape: [5], dtype: "int64", low: -3, high: 2 ** 32 - 3, seed: 2, stream: 3 },
    },
    { in: { step }, attrs: { shape: [], dtype: "int32", low: 4, high: 5, seed: null, stream: 1 } },
    { in: { step }, attrs: { shape: [0, 1], dtype: "int32", low: 0, high: 2, seed: 1, stream: 2 } },
  ],
  errorSamples: [
    {
      in: { step },
      attrs: { shape: [2], dtype: "float32", low: 0, high: 9, seed: 1, stream: 0 },
      code: "CF_BAD_ATTRIBUTE",
      text: /dtype must be int32 or int64, got float32/,
    },
    {
      in: { step },
      attrs: { shape: [2], dtype: "int32", low: 3, high: 3, seed: 1, stream: 0 },
      code: "CF_BAD_ATTRIBUTE",
      text: /low must be less than high/,
    },
    {
      in: { step },
      attrs: { shape: [2], dtype: "int32", low: 0, high: 2 ** 31 + 1, seed: 1, stream: 0 },
      code: "CF_BAD_ATTRIBUTE",
      text: /must be integers within int32/,
    },
    {
      in: { step },
      attrs: { shape: [2], dtype: "int64", low: 0, high: 2 ** 33, seed: 1, stream: 0 },
      code: "CF_BAD_ATTRIBUTE",
      text: /further apart than 2\^32/,
    },
  ],
  tolerance: 0,
})
