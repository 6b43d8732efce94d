// Micro-batches of a batch that is a number. A number in an attribute may be the batch's size or another one that is equal: the
// shapes that meet decide. An operator is emitted as it is; where its shape rule refuses that, or answers what is no part of
// what it was, with one of those numbers divided; and then with inputs that were made for the whole batch made for a part.

import { type Attrs, type Dim, fail, isCounterflowError, type Operator, type Variable } from "@counterflow/ir"
import { type Batch, partAxis } from "./microbatch.ts"
import { again, type Rewriting } from "./again.ts"

/** An attribute, and where it is a list, the place in it. */
interface Place {
  readonly attr: string
  readonly index: number | null
}

type Inner = Map<Variable, Variable>

export class FixedBatch implements Batch {
  readonly #size: number
  readonly #count: number

  constructor(size: number, count: number) {
    this.#size = size
    this.#count = count
  }

  isWhole(dim: Dim): boolean {
    return dim === this.#size
  }

  cutAxis({ shape: [first] }: Variable): number {
    return first === this.#size ? 0 : -1
  }

  emit(op: Operator, inner: Inner, spec: Rewriting["spec"]): void {
    const hasParts = op.inputList().some((input) => this.#isPart(input, inner))
    if (hasParts && Object.keys(op.blocks).length > 0) {
      fail("CF_BAD_ARGUMENT", `a ${op.type} cannot be taken in micro-batches of a batch that is a number`, {
        op: "microBatches",
        notes: [`${op.type} built at ${op.site}`],
        fix: "build the program with the batch as a symbol: layers.data prepends it",
      })
    }
    const refused = this.#try(op, inner, spec)
    if (refused === null) return
    const whole = op.inputList().filter((input) => !this.#isPart(input, inner))
    if (!whole.some((input) => this.#makePart(input, inner, spec) && this.#try(op, inner, spec) === null)) throw refused
  }

  #isPart(variable: Variable, inner: Inner): boolean {
    const axis = partAxis(variable, inner.get(variable) ?? variable, this)
    return axis !== null && axis >= 0
  }

  /** Makes a part of what was made for the whole batch, such as a bias that is broadcast to it. */
  #makePart(variable: Variable, inner: Inner, spec: Rewriting["spec"]): boolean {
    const { producer } = variable
    if (producer === null || !inner.has(variable)) return false
    const before = inner.get(variable) ?? variable
    const isMade = (place: Place | null) =>
      this.#attempt(producer, inner, spec, place) === null && this.#isPart(variable, inner)
    if (this.#places(producer).some(isMade)) return true
    for (const input of producer.inputList()) if (this.#makePart(input, inner, spec) && isMade(null)) return true
    inner.set(variable, before)
    return false
  }

  /** Null, or the first refusal. */
  #try(op: Operator, inner: Inner, spec: Rewriting["spec"]): unknown {
    const refused = this.#attempt(op, inner, spec, null)
    if (refused === null || this.#places(op).some((place) => this.#attempt(op, inner, spec, place) === null))
      return null
    return refused
  }

  #attempt(op: Operator, inner: Inner, spec: Rewriting["spec"], place: Place | null): unknown {
    const { program } = op.block
    const before = op.outputList().map((output) => [output, inner.get(output)] as const)
    try {
      program.transaction(() => {
        again(op, inner, {
          attrs: (each) => (each === op ? this.#divided(op, place) : each.attrs),
          dim: (dim) => dim,
          spec,
        })
        const odd = op.outputList().find((output) => partAxis(output, inner.get(output) ?? output, this) === null)
        if (odd !== undefined)
          fail("CF_SHAPE_MISMATCH", `${odd} has no axis along which it is one of ${this.#count} parts`)
      })
      return null
    } catch (error) {
      if (!isCounterflowError(error)) throw error
      for (const [output, twin] of before) {
        if (twin === undefined) inner.delete(output)
        else inner.set(output, twin)
      }
      return error
    }
  }

  #divided({ attrs }: Operator, place: Place | null): Attrs {
    if (place === null) return attrs
    const part = this.#size / this.#count
    const { attr, index } = place
    const value = index === null ? part : (attrs[attr] as readonly Dim[]).with(index, part)
    return { ...attrs, [attr]: value }
  }

  /** Sizes among the attributes that may be the batch's. */
  #places({ record, attrs }: Operator): Place[] {
    return Object.entries(record.attrs).flatMap(([attr, kind]): Place[] => {
      const value = attrs[attr]
      if (kind === "dim" && value === this.#size) return [{ attr, index: null }]
      if (kind !== "dims" || !Array.isArray(value)) return []
      return (value as readonly Dim[]).flatMap((dim, index) => (dim === this.#size ? [{ attr, index }] : []))
    })
  }
}

/** The size that leads the shapes of all data; undefined where they differ. */
export function fixedSize(data: readonly Variable[]): number | undefined {
  const sizes = new Set(data.flatMap(({ shape: [first] }) => (typeof first === "number" ? [first] : [])))
  const [size, ...others] = sizes
  return others.length === 0 ? size : undefined
}
