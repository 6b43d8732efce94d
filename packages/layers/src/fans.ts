// Initializers that keep the spread of a signal from layer to layer: their scale follows from how many inputs (fan in) and
// outputs (fan out) a weight of this shape connects.

import { bindDim, describeValue, fail, numel, type Program, type Shape } from "@counterflow/ir"
import type { StateType } from "@counterflow/ops"
import { type Initializer, Normal, seedOf, Uniform } from "./initializer.ts"

/** Of a matrix [in, out]; of filters [out, in, h, w] each counted with the area; of a vector its size for both. */
function fansOf(shape: Shape): { fanIn: number; fanOut: number } {
  const sizes = shape.map((dim) => bindDim(dim, new Map()))
  const [first = 1, second = first] = sizes
  if (sizes.length <= 2) return { fanIn: first, fanOut: second }
  const area = bindDim(numel(shape.slice(2)), new Map())
  return { fanIn: second * area, fanOut: first * area }
}

export interface XavierOptions {
  /** Uniform (the default) or normal. */
  uniform?: boolean
  fanIn?: number | null
  fanOut?: number | null
  seed?: number | null
}

/** Glorot and Bengio (2010): variance 2 / (fan in + fan out); uniform within ±√(6 / (fan in + fan out)). */
export class Xavier implements Initializer {
  readonly #options: Resolved<XavierOptions>

  constructor(options: XavierOptions = {}) {
    const { uniform = true, fanIn = null, fanOut = null, seed = null } = options
    checkFans("Xavier", { fanIn, fanOut })
    this.#options = { uniform, fanIn, fanOut, seed: seedOf("Xavier", seed) }
  }

  initialize(state: StateType, startup: Program): void {
    const { uniform, seed, fanIn, fanOut } = this.#options
    const fans = fansOf(state.shape)
    const variance = 2 / ((fanIn ?? fans.fanIn) + (fanOut ?? fans.fanOut))
    spread(uniform, variance, seed).initialize(state, startup)
  }

  toString(): string {
    return this.#options.uniform ? "xavierUniform" : "xavierNormal"
  }
}

export interface MsraOptions {
  /** Uniform (the default) or normal. */
  uniform?: boolean
  fanIn?: number | null
  seed?: number | null
}

/** He et al. (2015), for layers with relu: variance 2 / fan in; uniform within ±√(6 / fan in). */
export class MSRA implements Initializer {
  readonly #options: Resolved<MsraOptions>

  constructor(options: MsraOptions = {}) {
    const { uniform = true, fanIn = null, seed = null } = options
    checkFans("MSRA", { fanIn })
    this.#options = { uniform, fanIn, seed: seedOf("MSRA", seed) }
  }

  initialize(state: StateType, startup: Program): void {
    const { uniform, seed, fanIn } = this.#options
    spread(uniform, 2 / (fanIn ?? fansOf(state.shape).fanIn), seed).initialize(state, startup)
  }

  toString(): string {
    return this.#options.uniform ? "msraUniform" : "msraNormal"
  }
}

type Resolved<O> = { readonly [K in keyof Required<O>]: Exclude<O[K], undefined> }

function checkFans(op: string, fans: Readonly<Record<string, number | null>>): void {
  for (const [name, value] of Object.entries(fans)) {
    if (value === null || (typeof value === "number" && Number.isFinite(value) && value > 0)) continue
    fail("CF_BAD_ATTRIBUTE", `${name} must be a positive number, got ${describeValue(value)}`, { op })
  }
}

/** Mean 0 and this variance. Of a weight without elements any will do. */
function spread(uniform: boolean, variance: number, seed: number | null): Initializer {
  const finite = Number.isFinite(variance) ? variance : 0
  const bound = Math.sqrt(3 * finite)
  return uniform ? new Uniform(-bound, bound, seed) : new Normal(0, Math.sqrt(finite), seed)
}
