// What a reduction folds: the elements of a tensor, or of an expression that is computed as it is read. Four at a time where
// everything lies side by side along the innermost axis, or else one by one.

import { type DType, fail, type Scalar } from "@counterflow/ir"
import type { Expr, FunctionBuilder, Local } from "../../assembler/index.ts"
import type { Lanes } from "../../math/simd/lanes.ts"
import { convert } from "../expression/conversion.ts"
import { bytesOf, elementOf, type Work } from "../expression/element.ts"
import type { KernelContext } from "../kernel.ts"
import { evaluate } from "../expression/scalar.ts"
import { laneEvaluator, laneTypes, type LaneTypes } from "../expression/vector-scalar.ts"
import { loadVector, splatVector } from "../expression/vector.ts"

/** Input i lies at `x{i}`. Steps in bytes. */
export interface FoldInput {
  readonly slot: string
  readonly dtype: DType
  /** Along the axes that are kept, but for the innermost one if that is kept. */
  readonly outer: readonly number[]
  /** Along the axes that are folded. */
  readonly inner: readonly number[]
  /** Along the innermost axis of all. */
  readonly step: number
}

export interface FoldSource {
  /** Each element, of the inputs there; just one input if it is no expression. */
  readonly scalar: Scalar
  readonly dtype: DType
  readonly inputs: readonly FoldInput[]
}

/** The types of the parts of a source that can be read in vectors of float32. */
export function vectorTypes({ scalar, dtype, inputs }: FoldSource): LaneTypes | undefined {
  const fits = inputs.every(({ step, ...input }) => step === 0 || step === bytesOf(input.dtype))
  if (dtype !== "float32" || !fits) return undefined
  return laneTypes(scalar, Object.fromEntries(inputs.map((input) => [input.slot, input.dtype])), dtype, true)
}

/** A place in the index space: one pointer for each input. */
export type Pointers = readonly Local<"i32">[]

export function copied(f: FunctionBuilder, pointers: Pointers): Local<"i32">[] {
  return pointers.map((pointer) => f.let(pointer))
}

/** Elements along the innermost axis from some place on. What is one element all along is loaded here, once. */
export class Row {
  readonly pointers: Pointers
  readonly #lanes: Lanes
  readonly #source: FoldSource
  readonly #types: LaneTypes
  readonly #kept: ReadonlyMap<string, Local<"v128">>

  constructor(lanes: Lanes, source: FoldSource, types: LaneTypes, pointers: Pointers) {
    this.pointers = pointers
    this.#lanes = lanes
    this.#source = source
    this.#types = types
    this.#kept = new Map(
      source.inputs.flatMap(({ slot, dtype, step }, i) => {
        const pointer = pointers[i]
        if (step !== 0 || pointer === undefined) return []
        return [[slot, lanes.f.let(splatVector(lanes.f, dtype, pointer))] as const]
      }),
    )
  }

  /** Where the elements lie as they are. */
  get plain(): Local<"i32"> | undefined {
    const { scalar, inputs } = this.#source
    return scalar.op === "input" && inputs[0]?.step !== 0 ? this.pointers[0] : undefined
  }

  /** Up to four elements, from this one on. */
  vector(from: number, count: number): Local<"v128"> {
    const { inputs, scalar } = this.#source
    const evaluate = laneEvaluator(this.#lanes, this.#types, (slot) => {
      const kept = this.#kept.get(slot)
      if (kept !== undefined) return kept
      const at = inputs.findIndex((input) => input.slot === slot)
      const [input, pointer] = [inputs[at], this.pointers[at]]
      if (input === undefined || pointer === undefined) return fail("CF_INTERNAL", `a reduction has no input "${slot}"`)
      return loadVector(this.#lanes.f, input.dtype, pointer, count, from)
    })
    return evaluate(scalar)
  }

  /** What moves all pointers along, for a loop. */
  advance(elements: number): (readonly [Local<"i32">, number])[] {
    return this.#source.inputs.flatMap(({ step }, i) => {
      const pointer = this.pointers[i]
      return step === 0 || pointer === undefined ? [] : [[pointer, step * elements] as const]
    })
  }
}

/** One element, in the type that elements of the source are computed in, rounded as if it had been stored. */
export function elementAt(
  context: KernelContext,
  { scalar, dtype, inputs }: FoldSource,
  pointers: Pointers,
  from: number,
): Expr<Work> {
  const values = inputs.flatMap(({ slot, step, ...input }, i) => {
    const pointer = pointers[i]
    if (pointer === undefined) return []
    return [[slot, { dtype: input.dtype, load: () => elementOf(input.dtype).load(pointer, step * from) }] as const]
  })
  const [only] = values
  if (scalar.op === "input" && only !== undefined) return only[1].load()
  const value = context.f.let(evaluate(context, scalar, Object.fromEntries(values), dtype))
  return convert(value, dtype)
}
