// Documentation and samples of an op. They sit beside the record, but bundlers drop them: only docs and tests read them.

import type { Attrs, Block, DType, Program } from "@counterflow/ir"
import type { InputSignature, InputsOf, Op } from "./define.ts"

/** Values an input is drawn from, kept away from kinks and poles. */
export interface Domain {
  readonly low: number
  readonly high: number
  /** Keep at least this far from each of these points. */
  readonly avoid?: readonly number[]
  readonly distance?: number
  /** All elements pairwise at least this far apart (for max, sort, argmax). */
  readonly separated?: number
}

export interface SampleInput {
  readonly shape: readonly number[]
  readonly dtype?: DType
  readonly domain?: Domain
  /** Exact values instead of random ones. */
  readonly values?: readonly number[]
}

type InputSample = readonly number[] | SampleInput

export interface Sample<I extends InputSignature = InputSignature> {
  /** Shape (float, values of about −2…2) or a fuller description, a list of them for a list input; absent optional inputs are left out. */
  readonly in: { readonly [S in keyof I]?: InputSample | readonly InputSample[] }
  readonly attrs?: Attrs
  /** The sub-blocks of an op that has some, built in the program of its inputs. */
  readonly blocks?: (inputs: InputsOf<I>, program: Program) => Readonly<Record<string, Block>>
  /** What this sample shows, when that is not obvious. */
  readonly note?: string
}

/** Inputs the shape rule must refuse, with the error's code. */
export interface ErrorSample<I extends InputSignature = InputSignature> extends Sample<I> {
  readonly code: string
  readonly text: RegExp
}

/** Largest difference to kernels-cpu in float64 that a float32 backend may show, relative to the largest value. */
export type Tolerance = number

export interface Description<O extends Op = Op> {
  readonly op: O
  /** One sentence. */
  readonly summary: string
  readonly formula: string
  /** Where formula and gradient come from. */
  readonly source: string
  readonly samples: readonly Sample[]
  readonly errorSamples: readonly ErrorSample[]
  /** Subgradient or other policy at points where the derivative does not exist. */
  readonly policy?: string | undefined
  readonly tolerance: Tolerance
}

export function describe<O extends Op>(
  op: O,
  doc: {
    summary: string
    formula: string
    source: string
    samples: readonly Sample<O["inputs"]>[]
    errorSamples?: readonly ErrorSample<O["inputs"]>[]
    policy?: string
    tolerance?: Tolerance
  },
): Description<O> {
  return { op, tolerance: 1e-5, errorSamples: [], ...doc } as Description<O>
}

export function isDescription(value: unknown): value is Description {
  return typeof value === "object" && value !== null && "op" in value && "samples" in value && "formula" in value
}
