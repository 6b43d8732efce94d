// From a sample of an op's description to a program of that one operator, with values for its inputs.

import {
  appendOperator,
  type Dim,
  type DType,
  type InputKind,
  isFloat,
  isList,
  type Operator,
  Program,
  symbol,
  unwrapInputs,
  type Variable,
} from "@counterflow/ir"
import type { Domain, InputSignature, InputsOf, Op, Sample, SampleInput } from "@counterflow/ops"
import type { Value } from "./point.ts"
import { Random } from "./random.ts"

export interface SampleProgram {
  readonly program: Program
  readonly op: Operator
  readonly feed: Readonly<Record<string, Value>>
  readonly states: ReadonlyMap<string, Value>
  /** Inputs that may have a gradient. */
  readonly differentiable: readonly Variable[]
  readonly outputs: readonly Variable[]
}

export interface SampleOptions {
  readonly seed?: number
  /** In front of the names of state: executors keep state by name. */
  readonly prefix?: string
  /** The leading axis of every fed input gets a symbol for its size. */
  readonly isSymbolic?: boolean
}

interface Input {
  readonly slot: string
  readonly kind: InputKind
  readonly variable: Variable
  readonly value: Value
}

/** A program with the sample's operator. Throws what the op throws, if the op refuses the sample. */
export function programOf(op: Op, sample: Sample, options: SampleOptions = {}): SampleProgram {
  const { seed = 1, prefix = "", isSymbolic = false } = options
  const program = new Program()
  const random = new Random(seed)
  const inputs = Object.entries(op.inputs).flatMap(([slot, kind]) => {
    const given: unknown = sample.in[slot]
    return wantedInputs(given, kind).map((wanted, index): Input => {
      const name = `${prefix}${isList(kind) ? `${slot}_${index}` : slot}`
      const value = valueOf(wanted, random)
      return { slot, kind, value, variable: declare(program, name, kind, value, isSymbolic) }
    })
  })
  const slots = Object.fromEntries(
    Object.keys(op.inputs).map((slot) => [
      slot,
      inputs.filter((input) => input.slot === slot).map(({ variable }) => variable),
    ]),
  )
  const blocks = sample.blocks?.(unwrapInputs(op, slots) as InputsOf<InputSignature>, program) ?? {}
  const attrs = sample.attrs ?? {}
  const made = appendOperator({ record: op, inputs: slots, attrs, blocks, above: programOf, program })
  const named = (list: readonly Input[]) => list.map(({ variable, value }) => [variable.name, value] as const)
  return {
    program,
    op: made,
    feed: Object.fromEntries(named(inputs.filter(({ variable }) => variable.isData))),
    states: new Map(named(inputs.filter(({ variable }) => variable.persistable))),
    differentiable: inputs.flatMap(({ kind, variable }) =>
      kind.startsWith("tensor") && isFloat(variable.dtype) ? [variable] : [],
    ),
    outputs: made.outputList(),
  }
}

function declare(
  program: Program,
  name: string,
  kind: InputKind,
  { shape, dtype }: Value,
  isSymbolic: boolean,
): Variable {
  const isState = kind.startsWith("state")
  const sizes: Dim[] = isSymbolic && !isState ? symbolic(shape) : [...shape]
  const role = isState ? { persistable: true } : { isData: true }
  return program.globalBlock().createVar({ name, shape: sizes, dtype, stopGradient: isState, ...role })
}

/** One symbol per size. Sizes 0 and 1 stay: ops treat them differently from sizes that are not known. */
function symbolic(shape: readonly number[]): Dim[] {
  return shape.map((size, axis) => (axis === 0 && size > 1 ? symbol(`n${size}`) : size))
}

/** What a sample says of a slot: a shape or more, a list of them for a list, nothing for an absent optional input. */
function wantedInputs(given: unknown, kind: InputKind): SampleInput[] {
  if (given === undefined) return []
  const list: readonly unknown[] = isList(kind) && Array.isArray(given) ? given : [given]
  return list.map((entry) => (Array.isArray(entry) ? { shape: entry as number[] } : (entry as SampleInput)))
}

const usual: Domain = { low: -2, high: 2 }

function valueOf({ shape, dtype = "float32", domain = usual, values }: SampleInput, random: Random): Value {
  const length = shape.reduce((product, size) => product * size, 1)
  const numbers = values ?? drawn(dtype, domain, length, random)
  if (numbers.length !== length)
    throw new Error(`a sample gives ${numbers.length} values for the shape [${shape.join(", ")}]`)
  // What is fed to the float32 program and to its float64 copy must be the same numbers.
  return { data: dtype === "float32" ? numbers.map(Math.fround) : numbers, shape, dtype }
}

function drawn(dtype: DType, domain: Domain, length: number, random: Random): readonly number[] {
  if (isFloat(dtype)) return random.within(domain, length)
  const low = Math.ceil(dtype === "uint8" || dtype === "bool" ? Math.max(domain.low, 0) : domain.low)
  const high = Math.floor(dtype === "bool" ? 1 : domain.high)
  const allowed = Array.from({ length: Math.max(high - low + 1, 0) }, (_, i) => low + i).filter(
    (value) => domain.avoid?.every((point) => Math.abs(value - point) >= (domain.distance ?? 0.5)) ?? true,
  )
  if (domain.separated !== undefined)
    return random
      .order(allowed.length)
      .slice(0, length)
      .map((place) => allowed[place] ?? low)
  return Array.from({ length }, () => allowed[random.integer(0, allowed.length - 1)] ?? low)
}
