// From a sample of an op's description to one of its own kind: other sizes, other flags, the same rules for what its inputs
// may hold. Whether the op takes it, its shape rule says.

import { type AttrKind, type DType, type InputKind, isFloat, isList } from "@counterflow/ir"
import type { Description, Domain, Op, Sample, SampleInput } from "@counterflow/ops"
import type { Random } from "./random.ts"

/** What one input of an operator must be. */
export interface Wanted {
  readonly slot: string
  readonly kind: InputKind
  readonly dtype: DType
  readonly shape: readonly number[]
  readonly domain: Domain
  /** If given, no other values are allowed: places and labels, whose range the shapes of other inputs set. */
  readonly among: readonly number[] | null
  /** The operator would write a parameter that is put here: what is not told to be state must not be any. */
  readonly isWritten: boolean
}

export interface Application {
  readonly op: Op
  readonly attrs: Readonly<Record<string, unknown>>
  readonly inputs: readonly Wanted[]
}

const usual: Domain = { low: -2, high: 2 }

/** The sample as it stands. */
export function applicationOf({ op }: Description, sample: Sample): Application {
  const inputs = Object.entries(op.inputs).flatMap(([slot, kind]) => {
    const given: unknown = sample.in[slot]
    if (given === undefined) return []
    const list: readonly unknown[] = isList(kind) && Array.isArray(given) ? given : [given]
    return list.map((entry): Wanted => {
      const read: SampleInput = Array.isArray(entry) ? { shape: entry as number[] } : (entry as SampleInput)
      const { shape, dtype = "float32", domain = usual, values } = read
      const among = values !== undefined && !isFloat(dtype) && dtype !== "bool" ? values : null
      return { slot, kind, dtype, shape, domain, among, isWritten: Object.hasOwn(op.writes, slot) }
    })
  })
  return { op, attrs: sample.attrs ?? {}, inputs }
}

/** Sizes of axes, by the size that the sample has there. */
export type Sizes = ReadonlyMap<number, number>

/** With other sizes, everywhere where the sample has these. */
export function resized({ op, attrs, inputs }: Application, sizes: Sizes): Application {
  const other = (size: number) => sizes.get(size) ?? size
  const changed = Object.entries(attrs).map(([name, value]) => {
    const kind = op.attrs[name]
    if (kind === "dim" && typeof value === "number") return [name, other(value)]
    return [name, kind === "dims" && Array.isArray(value) ? value.map(other) : value]
  })
  return {
    op,
    attrs: Object.fromEntries(changed) as Application["attrs"],
    inputs: inputs.map((input) => ({ ...input, shape: input.shape.map(other) })),
  }
}

/** With this shape for all inputs, which have one shape in the sample; null where they have several, or attributes name sizes. */
export function reshapedTo(application: Application, shape: readonly number[]): Application | null {
  const { op, inputs } = application
  const [first] = inputs
  const isOneShape = first !== undefined && inputs.every((input) => input.shape.join() === first.shape.join())
  if (!isOneShape || op.facts.kind !== "elementwise") return null
  return { ...application, inputs: inputs.map((input) => ({ ...input, shape })) }
}

/** Whether places are among the inputs: then axes may grow, not shrink. */
export function holdsPlaces({ inputs }: Application): boolean {
  return inputs.some(({ among }) => among !== null)
}

const usualSizes = [1, 2, 2, 3, 3, 4, 5, 6, 7, 8, 9, 13, 16, 17, 31, 33]
/** Kernels take other ways where there is more to do. */
const largeSizes = [1, 2, 3, 4, 5, 7, 8, 12, 16, 16, 24, 28, 32, 33, 48, 64, 65, 100]

/** New sizes for some of those of an application. */
export function drawSizes(application: Application, random: Random, isLarge: boolean): Sizes {
  const own = new Set(application.inputs.flatMap(({ shape }) => shape))
  const sizes = new Map<number, number>()
  for (const size of own) {
    // A size of 1 in a sample mostly stands for something, as an axis that was reduced.
    if (random.next() < (size <= 1 ? 0.15 : 0.75)) {
      sizes.set(size, drawSize(size, isLarge ? largeSizes : usualSizes, holdsPlaces(application), random))
    }
  }
  return sizes
}

function drawSize(size: number, pool: readonly number[], mayOnlyGrow: boolean, random: Random): number {
  const drawn = random.next() < 0.04 ? 0 : (pool[random.integer(0, pool.length - 1)] ?? 1)
  return mayOnlyGrow ? Math.max(drawn, size) : drawn
}

/** With some flags flipped and some choices made anew. */
export function varied(application: Application, random: Random): Application {
  const attrs = Object.entries(application.attrs).map(([name, value]) => {
    return [name, random.next() < 0.25 ? otherValue(application.op.attrs[name], value, random) : value]
  })
  return { ...application, attrs: Object.fromEntries(attrs) as Application["attrs"] }
}

function otherValue(kind: AttrKind | undefined, value: unknown, random: Random): unknown {
  if (kind === "bool") return value !== true
  if (Array.isArray(kind)) return (kind as readonly string[])[random.integer(0, kind.length - 1)]
  return value
}

/** Whether values are what an input may hold. */
export function fits(values: readonly number[], { dtype, domain, among }: Wanted): boolean {
  const { low, high, avoid = [], distance = 0.05, separated } = domain
  if (among !== null) return values.every((value) => among.includes(value))
  if (dtype === "bool") return true
  const gap = isFloat(dtype) ? distance : 0.5
  const isInside = values.every(
    (value) => value >= low && value <= high && avoid.every((point) => Math.abs(value - point) >= gap),
  )
  if (!isInside || separated === undefined) return isInside
  const sorted = values.toSorted((a, b) => a - b)
  return sorted.every((value, i) => i === 0 || value - (sorted[i - 1] ?? 0) >= separated * 0.5)
}

/** Values for an input that nothing existing fits. */
export function drawValues(wanted: Wanted, random: Random): number[] {
  const { dtype, shape, domain, among } = wanted
  const length = shape.reduce((product, size) => product * size, 1)
  if (among !== null) return Array.from({ length }, () => among[random.integer(0, among.length - 1)] ?? 0)
  if (isFloat(dtype)) {
    const drawn = random.within(domain, length)
    return dtype === "float32" ? drawn.map(Math.fround) : drawn
  }
  const low = dtype === "uint8" || dtype === "bool" ? Math.max(Math.ceil(domain.low), 0) : Math.ceil(domain.low)
  const high = dtype === "bool" ? 1 : Math.floor(domain.high)
  const allowed = Array.from({ length: Math.max(high - low + 1, 1) }, (_, i) => low + i)
  const kept = allowed.filter((value) => fits([value], wanted))
  return Array.from({ length }, () => kept[random.integer(0, kept.length - 1)] ?? low)
}
