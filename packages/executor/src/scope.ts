// The scope: state by name, at permanent addresses. Reading gives a copy, writing copies in after checks.

import { allocate, describeValue, type DType, fail, formatShape, isFloat, nearest, type Shape } from "@counterflow/ir"
import type { Memory, StateRegion } from "./backend.ts"
import { copyIn, copyOut } from "./convert.ts"
import { readFeed, type TensorFeed, type FeedValue } from "./feed.ts"
import { Tensor } from "./tensor.ts"

interface Entry {
  readonly shape: readonly number[]
  readonly dtype: DType
  readonly region: StateRegion
  /** Whether it has a value yet. */
  isSet: boolean
}

export interface StateType {
  readonly name: string
  readonly shape: readonly number[]
  readonly dtype: DType
  readonly initialValue?: number | undefined
}

/**
 * The state of an Executor, by name: parameters, moments, running statistics, counters. Values are copied in and out.
 *
 * @example
 * ```ts
 * exe.scope.set("fc_0.b_0", [0.5])
 * console.log(exe.scope.get("fc_0.b_0").item(), exe.scope.names())
 * ```
 */
export class Scope {
  readonly #entries: Map<string, Entry> = new Map()
  readonly #memory: Memory

  constructor(memory: Memory) {
    this.#memory = memory
  }

  /** A copy of a state variable's value. CF_UNKNOWN_NAME, with the nearest name, if there is none. */
  get(name: string): Tensor {
    const { shape, dtype, region } = this.#known(name)
    const data = allocate(
      dtype,
      shape.reduce((product, size) => product * size, 1),
    )
    copyOut(data, region.view(), dtype, name)
    return new Tensor(data, shape, dtype)
  }

  /** Whether a state variable of this name has a value. */
  has(name: string): boolean {
    return this.#entries.get(name)?.isSet ?? false
  }

  /**
   * Gives a state variable a value. A known one keeps its shape and dtype; a new one needs both (dtype float32 unless said).
   * Throws CF_STATE_MISMATCH for another shape, and what feeds throw for values that do not fit the dtype.
   */
  set(name: string, value: FeedValue): void {
    const known = this.#entries.get(name)
    const given = isTensorFeed(value) ? value : null
    const shape: Shape | undefined = known?.shape ?? given?.shape
    if (shape === undefined) {
      fail("CF_BAD_ARGUMENT", `"${name}" is new, so its shape must be given`, {
        op: "scope.set",
        fix: `set("${name}", { data, shape, dtype })`,
      })
    }
    const dtype = known?.dtype ?? given?.dtype ?? "float32"
    const read = readFeed({ name, shape, dtype }, value)
    const length = shape.reduce((product: number, size) => product * Number(size), 1)
    const sameShape = read.shape === null || formatShape(read.shape) === formatShape(shape)
    if (read.values.length !== length || !sameShape) {
      const got = read.shape === null ? `${read.values.length} elements` : formatShape(read.shape)
      fail("CF_STATE_MISMATCH", `"${name}" is ${dtype}${formatShape(shape)}, got ${got}`, { op: "scope.set" })
    }
    const entry = this.#entry({ name, shape: shape.map(Number), dtype })
    copyIn(entry.region.view(), read.values)
    entry.isSet = true
  }

  /** Every state variable that has a value, by name, as copies. */
  *entries(): Generator<[string, Tensor]> {
    for (const [name, { isSet }] of this.#entries) if (isSet) yield [name, this.get(name)]
  }

  /** The names of all that has a value, in order of first use. */
  names(): string[] {
    return [...this.#entries].flatMap(([name, { isSet }]) => (isSet ? [name] : []))
  }

  /** @internal where a plan's state lives; made on first use, filled if it has an initial value */
  region(type: StateType): StateRegion {
    return this.#entry(type).region
  }

  /** @internal whether state of this name has a place, with a value or without */
  holds(name: string): boolean {
    return this.#entries.has(name)
  }

  /** @internal refuses state that exists with another type, before anything is allocated */
  check({ name, shape, dtype }: StateType): void {
    const entry = this.#entries.get(name)
    if (entry === undefined) return
    if (entry.dtype !== dtype || formatShape(entry.shape) !== formatShape(shape)) {
      const held = `${entry.dtype}${formatShape(entry.shape)}`
      fail(
        "CF_STATE_MISMATCH",
        `the program has ${name} as ${dtype}${formatShape(shape)}, the scope holds it as ${held}`,
        {
          fix: "programs that share an executor share state by name: rename one, or use another executor",
        },
      )
    }
  }

  /** @internal after a commit */
  markSet(name: string): void {
    const entry = this.#entries.get(name)
    if (entry !== undefined) entry.isSet = true
  }

  #entry(type: StateType): Entry {
    this.check(type)
    const known = this.#entries.get(type.name)
    if (known !== undefined) return known
    const { shape, dtype, initialValue } = type
    const region = this.#memory.allocateState(
      dtype,
      shape.reduce((product, size) => product * size, 1),
    )
    const entry = { shape: [...shape], dtype, region, isSet: initialValue !== undefined }
    if (initialValue !== undefined) {
      const value = isFloat(dtype) ? initialValue : Math.trunc(initialValue)
      const view = region.view()
      if (view instanceof BigInt64Array) view.fill(BigInt(value))
      else view.fill(value)
    }
    this.#entries.set(type.name, entry)
    return entry
  }

  #known(name: string): Entry {
    const entry = this.#entries.get(name)
    if (entry?.isSet === true) return entry
    const suggestion = nearest(name, this.names())
    return fail("CF_UNKNOWN_NAME", `the scope holds no "${name}"`, {
      op: "scope.get",
      fix:
        suggestion === undefined
          ? "run the startup program first; scope.names() lists what is there"
          : `did you mean "${suggestion}"?`,
    })
  }
}

function isTensorFeed(value: unknown): value is TensorFeed {
  if (value === null || value === undefined)
    return fail("CF_BAD_ARGUMENT", `a value is needed, got ${describeValue(value)}`, { op: "scope.set" })
  return typeof value === "object" && "data" in value && "shape" in value
}
