// How an op is defined: one record with its signature, shape rule, gradient rule and (for a composite) its meaning in other
// ops. Types of inputs, outputs and attributes follow from the signature, so rules and kernels are checked by the compiler.

import type {
  AttrKind,
  Attrs,
  Block,
  Carries,
  Dim,
  FactKind,
  DType,
  InferContext,
  InputKind,
  Operator,
  OpRecord,
  Scalar,
  Shape,
  TensorType,
  TypeBySlot,
  Variable,
} from "@counterflow/ir"
import { fail } from "@counterflow/ir"

export type InputSignature = Readonly<Record<string, InputKind>>
export type OutputSignature = readonly string[]
export type AttrSignature = Readonly<Record<string, AttrKind>>

type SlotValue<K extends InputKind, T> = K extends "tensors" | "indices" | "states"
  ? readonly T[]
  : K extends `${string}?`
    ? T | undefined
    : T

/** Inputs by slot: one value, one or undefined ("tensor?"), or a list ("tensors"). */
export type InputsOf<I extends InputSignature, T = Variable> = { readonly [S in keyof I]: SlotValue<I[S], T> }

type ListName<N> = N extends `...${infer L}` ? L : never
type SingleName<N> = N extends `...${string}` ? never : N & string

/** Outputs by slot: one value, or a list where the signature says "...ys". */
export type OutputsOf<O extends OutputSignature, T = Variable> = { readonly [N in SingleName<O[number]>]: T } & {
  readonly [N in ListName<O[number]>]: readonly T[]
}

interface AttrTypes {
  number: number
  "number?": number | null
  int: number
  "int?": number | null
  bool: boolean
  string: string
  "string?": string | null
  numbers: readonly number[]
  ints: readonly number[]
  "ints?": readonly number[] | null
  dim: Dim
  "dim?": Dim | null
  dims: Shape
  dtype: DType
}

export type AttrsOf<A extends AttrSignature> = {
  readonly [N in keyof A]: A[N] extends keyof AttrTypes
    ? AttrTypes[A[N]]
    : A[N] extends readonly (infer E)[]
      ? E
      : never
}

interface BoundAttrTypes {
  dim: number
  "dim?": number | null
  dims: readonly number[]
}

/** Attributes as a plan holds them, its symbols bound: every dimension is a number, Infinity where only a run can tell it. */
export type BoundAttrsOf<A extends AttrSignature> = {
  readonly [N in keyof A]: A[N] extends keyof BoundAttrTypes ? BoundAttrTypes[A[N]] : AttrsOf<A>[N]
}

/** Cotangents by output. The only output of an op always has one; of several, those that nothing used are null. */
export type CotangentsOf<O extends OutputSignature> = O extends readonly [infer Only]
  ? Only extends `...${infer L}`
    ? { readonly [N in L]: readonly (Variable | null)[] }
    : { readonly [N in Only & string]: Variable }
  : { readonly [N in SingleName<O[number]>]: Variable | null } & {
      readonly [N in ListName<O[number]>]: readonly (Variable | null)[]
    }

type DifferentiableSlot<I extends InputSignature> = {
  [S in keyof I]: I[S] extends `tensor${string}` ? S : never
}[keyof I]

/** A rule's answer: exactly the differentiable inputs; null says "identically zero" or "not asked for". */
export type GradientsOf<I extends InputSignature> = {
  readonly [S in DifferentiableSlot<I>]: I[S] extends "tensors" ? readonly (Variable | null)[] : Variable | null
}

export interface DifferentiateRequest {
  targets: readonly Variable[]
  /** One per target; null contributes nothing. */
  cotangents: readonly (Variable | null)[]
  wrt: readonly Variable[]
}

export interface PullBackRequest extends DifferentiateRequest {
  /** What stands in the current block for a variable of `block`: asked for each one that the gradients read. */
  read: (variable: Variable) => Variable
  /** Variables of `wrt` of whose gradients only the sum over all runs is wanted: see `RunProduct`. */
  summed: ReadonlySet<Variable>
}

/** What a run gives to a variable. */
export interface RunGradient {
  /** Emitted, null if there is nothing. */
  readonly gradient: Variable | null
  /** More of it, not emitted, where only the sum over the runs is wanted: that is one product for all of them. */
  readonly products: readonly RunProduct[]
}

/** One run of a product whose sum over all runs the same op computes at once, on longer inputs. */
export interface RunProduct {
  readonly op: Operator
  /** By slot: a value of the block or of the current block, and the shape as which the product reads it. */
  readonly factors: Readonly<Record<string, { readonly value: Variable; readonly shape: Shape; readonly axis: number }>>
  /** Views on the product, one after the other, of which the last one is what is wanted. */
  readonly views: readonly Operator[]
}

export interface GradContext {
  /** The forward operator that is differentiated. */
  readonly op: Operator
  /**
   * Instead of an answer for the only input of a slot: how the gradient of this operator is added to that of all others that
   * read the input. For a gradient that is zero nearly everywhere, which is then never made. Answers null, for the rule to return.
   */
  readonly addTo: (slot: string, add: (sum: Variable) => Variable) => null
  /** Whether anybody wants the gradient of this input (of its `index`-th variable for a list). */
  readonly needs: (slot: string, index?: number) => boolean
  /**
   * For operators with sub-blocks: a new sub-block that computes `block` again and hands out the gradients of `wrt`, zeros where
   * the targets do not depend on them. It reads outer variables directly; the rule lists them as captures.
   */
  readonly differentiate: (block: Block, request: DifferentiateRequest) => Block
  /**
   * For loops, whose blocks run often: emits into the current block the gradients of `wrt` through one run of `block`, null where
   * the targets do not depend on one. Values of `block` are not computed again but asked for: see `read`.
   */
  readonly pullBack: (block: Block, request: PullBackRequest) => readonly RunGradient[]
}

export type GradRule<I extends InputSignature, O extends OutputSignature, A extends AttrSignature> = (
  inputs: InputsOf<I>,
  outputs: OutputsOf<O>,
  cotangents: CotangentsOf<O>,
  attrs: AttrsOf<A>,
  context: GradContext,
) => GradientsOf<I>

/** The honest answers beside a rule: see `noGrad`, `notYet` and `byDecomposition`. */
export interface NoRule {
  readonly answer: "noGrad" | "notYet" | "byDecomposition"
  readonly why: string
}

/** The op has no gradient, mathematically: "integer-valued". Nothing flows to its inputs. */
/* @__NO_SIDE_EFFECTS__ */
export function noGrad(why: string): NoRule {
  return { answer: "noGrad", why }
}

/** A gradient exists and is not written yet: asking for it fails with this reason. */
/* @__NO_SIDE_EFFECTS__ */
export function notYet(why: string): NoRule {
  return { answer: "notYet", why }
}

/** The engine differentiates the composite's expansion; common subexpressions merge it with the forward one. */
export const byDecomposition: NoRule = { answer: "byDecomposition", why: "differentiated through its decomposition" }

export type OpKind = "primitive" | "elementwise" | "composite"

type Shapes<T> = Readonly<Record<string, T | readonly T[] | undefined>>

export interface OpFactsRule {
  readonly kind: FactKind
  /** Floating point operations of one execution; one per output element unless said. */
  readonly flops?: ((inputs: Shapes<TensorType>, outputs: Shapes<TensorType>, attrs: Attrs) => Dim) | undefined
  /** The input whose elements, in the same order, the only output has: no copy is needed. */
  readonly aliases?: string | undefined
  /** The input that the only output repeats, broadcast to its shape. */
  readonly stretches?: string | undefined
  /** Of an op that reorders axes: axis i of the only output is axis permutes[i] of the only input. */
  readonly permutes?: ((attrs: Attrs) => readonly number[]) | undefined
  /**
   * Of an op that adds up products along an axis of each input, by slot (negative from the end): with inputs joined along these
   * the only output is the sum of the outputs.
   */
  readonly addsAlong?: ((attrs: Attrs) => Readonly<Record<string, number>>) | undefined
  /** The value of every element of the only output. */
  readonly constant?: ((attrs: Attrs) => Dim) | undefined
  /** How often its sub-blocks run, if that is known: once unless said. */
  readonly repeats?: ((attrs: Attrs) => Dim) | undefined
  /** Whether nobody knows how often its sub-blocks run at most. */
  readonly mayBeEndless?: ((attrs: Attrs) => boolean) | undefined
  /**
   * Of a loop: the variables of this input slot are carried. The k-th of them, and then what this block hands out as its k-th
   * result, is parameter k + 1 of all blocks, and in the end the k-th output of this slot. What else the block hands out is used
   * before its carries are handed on.
   */
  readonly carries?: Carries | undefined
  /** The input on whose bytes the only output may lie if nothing reads it later: a kernel leaves there what it does not write. */
  readonly overwrites?: string | undefined
  /** Whether a kernel may refuse its inputs' values (an index out of range). */
  readonly canFail?: boolean | undefined
}

type ErasedRule = (
  inputs: Readonly<Record<string, unknown>>,
  outputs: Readonly<Record<string, unknown>>,
  cotangents: Readonly<Record<string, unknown>>,
  attrs: Attrs,
  context: GradContext,
) => Readonly<Record<string, Variable | null | readonly (Variable | null)[]>>

type ErasedDecomposition = (
  inputs: Readonly<Record<string, unknown>>,
  attrs: Attrs,
  context: DecomposeContext,
) => Readonly<Record<string, Variable | readonly Variable[]>>

export interface DecomposeContext {
  readonly op: Operator
}

/** A defined op. The type parameters keep its signature; the functions are as engines call them, without it. */
export interface Op<
  N extends string = string,
  I extends InputSignature = InputSignature,
  O extends OutputSignature = OutputSignature,
  A extends AttrSignature = AttrSignature,
  K extends OpKind = OpKind,
> extends OpRecord {
  readonly name: N
  readonly version: number
  readonly writes: Readonly<Record<string, string>>
  readonly kind: K
  readonly inputs: I
  readonly outputs: O
  readonly attrs: A
  readonly gradient: ErasedRule | NoRule
  readonly decomposition: ErasedDecomposition | null
  readonly scalar: ((inputs: Readonly<Record<string, Scalar>>, attrs: Attrs) => Scalar) | null
  readonly facts: OpFactsRule
  /** The sum of what it has stacked, where no other op can read that. */
  readonly addStacks: ((stacks: readonly Variable[]) => Variable) | null
}

interface Definition<N extends string, I extends InputSignature, O extends OutputSignature, A extends AttrSignature> {
  name: N
  version?: number
  inputs: I
  outputs: O
  attrs?: A
  /** Input slot of a state → output slot of its new value. */
  writes?: { readonly [S in keyof I]?: SingleName<O[number]> }
  /** An output list that hands out the last results of a block: what gradients want to be kept of it. */
  saves?: {
    readonly slot: ListName<O[number]>
    readonly block: string
    readonly before?: readonly ListName<O[number]>[]
    readonly opens?: keyof A & string
  }
  /** An output list whose entries are, place by place, the results of that block which ran. */
  yields?: ListName<O[number]>
  /** The input list of what its blocks read from outside. */
  captures?: keyof I & string
  infer: (inputs: InputsOf<I, TensorType>, attrs: AttrsOf<A>, context: InferContext) => OutputsOf<O, TensorType>
  grad: GradRule<I, O, A> | NoRule
  /** The sum of stacks as long as nobody knows before a run, in order: partial gradients of one may meet. */
  addStacks?: (stacks: readonly Variable[]) => Variable
}

/** An op that every complete backend has a kernel for. */
/* @__NO_SIDE_EFFECTS__ */
export function primitive<
  const N extends string,
  const I extends InputSignature,
  const O extends OutputSignature,
  const A extends AttrSignature = Record<never, never>,
>(def: Definition<N, I, O, A> & { facts: OpFactsRule }): Op<N, I, O, A, "primitive"> {
  return finish(def, "primitive", def.facts, null, null)
}

/** A primitive whose value at a point is a scalar expression of its inputs there: every backend reads that, no kernel needed. */
/* @__NO_SIDE_EFFECTS__ */
export function elementwise<
  const N extends string,
  const I extends InputSignature,
  const O extends readonly [string],
  const A extends AttrSignature = Record<never, never>,
>(
  def: Definition<N, I, O, A> & { scalar: (inputs: InputsOf<I, Scalar>, attrs: AttrsOf<A>) => Scalar },
): Op<N, I, O, A, "elementwise"> {
  return finish(def, "elementwise", { kind: "elementwise" }, null, def.scalar)
}

/** An op whose meaning is other ops; a backend may keep it whole if it has a gradient rule of its own. */
/* @__NO_SIDE_EFFECTS__ */
export function composite<
  const N extends string,
  const I extends InputSignature,
  const O extends OutputSignature,
  const A extends AttrSignature = Record<never, never>,
>(
  def: Definition<N, I, O, A> & {
    decompose: (inputs: InputsOf<I>, attrs: AttrsOf<A>, context: DecomposeContext) => OutputsOf<O>
    facts?: OpFactsRule
  },
): Op<N, I, O, A, "composite"> {
  return finish(def, "composite", def.facts ?? { kind: "opaque" }, def.decompose, null)
}

function finish<
  const N extends string,
  const I extends InputSignature,
  const O extends OutputSignature,
  const A extends AttrSignature,
  K extends OpKind,
>(
  def: Definition<N, I, O, A>,
  kind: K,
  facts: OpFactsRule,
  decompose: ((inputs: InputsOf<I>, attrs: AttrsOf<A>, context: DecomposeContext) => OutputsOf<O>) | null,
  scalar: ((inputs: InputsOf<I, Scalar>, attrs: AttrsOf<A>) => Scalar) | null,
): Op<N, I, O, A, K> {
  if (!/^[a-zA-Z][A-Za-z0-9]*(\.[a-zA-Z][A-Za-z0-9]*)*$/.test(def.name)) {
    fail("CF_BAD_ARGUMENT", `an op's name must be lower camel case, or vendor.name, got "${def.name}"`)
  }
  return {
    name: def.name,
    version: def.version ?? 1,
    kind,
    inputs: def.inputs,
    outputs: def.outputs,
    attrs: def.attrs ?? ({} as A),
    writes: { ...def.writes } as Record<string, string>,
    saves: def.saves,
    yields: def.yields,
    captures: def.captures,
    // The casts below are the price of typed rules: engines hold ops of all signatures in one list and call them with what
    // the same signature, read at run time, says is there.
    inferTypes: def.infer as unknown as (inputs: object, attrs: object, context: InferContext) => TypeBySlot,
    gradient: def.grad as unknown as ErasedRule | NoRule,
    decomposition: decompose as unknown as ErasedDecomposition | null,
    scalar: scalar as unknown as Op["scalar"],
    facts,
    addStacks: def.addStacks ?? null,
  }
}

/** Whether a record of the IR is an op with gradient and meaning (a record read from a file without registry is not). */
export function isOp(record: OpRecord): record is Op {
  return "gradient" in record && "kind" in record
}

export function ruleOf(op: Op): ErasedRule | null {
  return typeof op.gradient === "function" ? op.gradient : null
}

export type { ErasedRule }
