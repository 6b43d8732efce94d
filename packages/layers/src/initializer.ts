// Initializers: they append to the startup program the operators that make a parameter's first value. Simple ones here,
// those that look at the shape in fans.ts.

import { describeValue, fail, formatShape, type Program } from "@counterflow/ir"
import {
  arrayValue,
  fillConstant,
  initializeState,
  normal,
  type StateType,
  truncatedNormal,
  uniform,
} from "@counterflow/ops"

export interface Initializer {
  /** Appends to `startup` what makes the first value of the state and commits it to the state of that name there. */
  initialize(state: StateType, startup: Program): void
  /** For people: what a printed parameter shows. */
  toString(): string
}

/** A number an initializer is given. */
export function finite(op: string, name: string, value: number): number {
  if (typeof value === "number" && Number.isFinite(value)) return value
  return fail("CF_BAD_ATTRIBUTE", `${name} must be a finite number, got ${describeValue(value)}`, { op })
}

/** As in Fluid, seed 0 is no seed: the draw is keyed by the program's `randomSeed` and a stream of its own. */
export function seedOf(op: string, seed: number | null | undefined): number | null {
  if (seed === undefined || seed === null || seed === 0) return null
  if (Number.isSafeInteger(seed)) return seed
  return fail("CF_BAD_ATTRIBUTE", `seed must be a safe integer, got ${describeValue(seed)}`, { op })
}

/** One value everywhere. */
export class Constant implements Initializer {
  readonly value: number

  constructor(value = 0) {
    this.value = finite("Constant", "value", value)
  }

  initialize(state: StateType, startup: Program): void {
    const { shape, dtype } = state
    initializeState(state, startup, () => fillConstant({ shape, dtype, value: this.value, program: startup }))
  }

  toString(): string {
    return `constant(${this.value})`
  }
}

/** Uniform in [low, high). */
export class Uniform implements Initializer {
  readonly low: number
  readonly high: number
  readonly seed: number | null

  constructor(low = -1, high = 1, seed: number | null = null) {
    this.low = finite("Uniform", "low", low)
    this.high = finite("Uniform", "high", high)
    this.seed = seedOf("Uniform", seed)
    if (low > high)
      fail("CF_BAD_ATTRIBUTE", `low must not be greater than high, got ${low} and ${high}`, { op: "Uniform" })
  }

  initialize(state: StateType, startup: Program): void {
    const { shape, dtype } = state
    const { low: min, high: max, seed } = this
    initializeState(state, startup, () => uniform({ shape, dtype, min, max, seed, program: startup }))
  }

  toString(): string {
    return `uniform(${this.low}, ${this.high})`
  }
}

/** Normal with a mean and a standard deviation. */
export class Normal implements Initializer {
  readonly mean: number
  readonly std: number
  readonly seed: number | null

  constructor(mean = 0, std = 1, seed: number | null = null) {
    this.mean = finite("Normal", "mean", mean)
    this.std = deviation("Normal", std)
    this.seed = seedOf("Normal", seed)
  }

  initialize(state: StateType, startup: Program): void {
    const { shape, dtype } = state
    const { mean, std, seed } = this
    initializeState(state, startup, () => normal({ shape, dtype, mean, std, seed, program: startup }))
  }

  toString(): string {
    return `normal(${this.mean}, ${this.std})`
  }
}

/** Normal, restricted to what lies within two standard deviations of the mean. */
export class TruncatedNormal implements Initializer {
  readonly mean: number
  readonly std: number
  readonly seed: number | null

  constructor(mean = 0, std = 1, seed: number | null = null) {
    this.mean = finite("TruncatedNormal", "mean", mean)
    this.std = deviation("TruncatedNormal", std)
    this.seed = seedOf("TruncatedNormal", seed)
  }

  initialize(state: StateType, startup: Program): void {
    const { shape, dtype } = state
    const { mean, std, seed } = this
    initializeState(state, startup, () => truncatedNormal({ shape, dtype, mean, std, seed, program: startup }))
  }

  toString(): string {
    return `truncatedNormal(${this.mean}, ${this.std})`
  }
}

function deviation(op: string, std: number): number {
  if (finite(op, "std", std) >= 0) return std
  return fail("CF_BAD_ATTRIBUTE", `std must not be negative, got ${std}`, { op })
}

/** Numbers in row-major order, or nested arrays of them. */
export type ArrayLikeValues = ArrayLike<number | bigint | boolean> | readonly ArrayLikeValues[]

/** Given values (Fluid's NumpyArrayInitializer): a flat array in row-major order, or arrays nested as the shape is. */
export class FromArray implements Initializer {
  readonly values: readonly number[]
  /** The shape of nested arrays; flat ones fit any shape of as many elements. */
  readonly #shape: readonly number[]

  constructor(values: ArrayLikeValues) {
    const flat: number[] = []
    this.#shape = gather(values, flat)
    this.values = Object.freeze(flat)
  }

  initialize(state: StateType, startup: Program): void {
    const { name, shape, dtype } = state
    if (this.#shape.length > 1 && formatShape(this.#shape) !== formatShape(shape)) {
      fail("CF_SHAPE_MISMATCH", `${name} has shape ${formatShape(shape)}, its values ${formatShape(this.#shape)}`, {
        op: "FromArray",
      })
    }
    initializeState(state, startup, () => arrayValue({ values: this.values, shape, dtype, program: startup }))
  }

  toString(): string {
    return "fromArray"
  }
}

/** Appends the numbers of (nested) values to `flat` and answers their shape. */
function gather(values: unknown, flat: number[]): number[] {
  if (typeof values !== "object" || values === null || !("length" in values)) {
    return fail("CF_BAD_ARGUMENT", `values must be an array of numbers, or nested ones, got ${describeValue(values)}`, {
      op: "FromArray",
    })
  }
  const list: readonly unknown[] = Array.from(values as ArrayLike<unknown>)
  const isNested = list.some((value) => typeof value === "object")
  let inner: number[] = []
  for (const [index, value] of list.entries()) {
    if (!isNested) {
      flat.push(numberOf(value))
      continue
    }
    const shape = gather(value, flat)
    if (index > 0 && formatShape(shape) !== formatShape(inner)) {
      fail("CF_SHAPE_MISMATCH", `rows have different shapes: ${formatShape(inner)} and ${formatShape(shape)}`, {
        op: "FromArray",
      })
    }
    inner = shape
  }
  return [list.length, ...inner]
}

function numberOf(value: unknown): number {
  if (typeof value === "number" || typeof value === "boolean") return Number(value)
  if (typeof value === "bigint" && Number.isSafeInteger(Number(value))) return Number(value)
  return fail("CF_BAD_ARGUMENT", `values must be numbers, got ${describeValue(value)}`, { op: "FromArray" })
}
