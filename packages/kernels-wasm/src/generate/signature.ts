// What a generator is: given one operator of a plan, it says which kernels run and where their tensors lie. Typed from the
// op's signature, so that a table with a missing or wrong entry does not compile.

import type { BoundRow, Strides } from "@counterflow/compiler"
import type { DType, Scalar } from "@counterflow/ir"
import type {
  AnyRegistry,
  AttrSignature,
  BoundAttrsOf,
  InputSignature,
  InputsOf,
  Op,
  OutputSignature,
  OutputsOf,
} from "@counterflow/ops"
import type { Flow } from "./flow/flow.ts"
import type { Kernel } from "./kernel.ts"

/** Where bytes lie: behind the start of the arena, which may move, or at an address that never changes. */
export interface Place {
  readonly base: "arena" | "fixed"
  readonly offset: number
}

export function behind({ base, offset }: Place, bytes: number): Place {
  return { base, offset: offset + bytes }
}

/** A number as an argument of a kernel, beside addresses. */
export function argument(value: number): Place {
  return { base: "fixed", offset: value }
}

export interface TensorShape {
  readonly shape: readonly number[]
  readonly elements: number
  readonly dtype: DType
  /** Steps in elements along the axes, of an operand that is read where it lies though it lies otherwise; none: rows first. */
  readonly strides?: Strides | undefined
}

export interface PlacedTensor extends TensorShape {
  readonly place: Place
  /** Of a stack that lies on the tape, which is then what is said at its place: one of its rows. */
  readonly row?: BoundRow | undefined
}

/** Takes the kernels of one operator, in order. */
export interface Emit {
  /** Whether relaxed vector instructions may be used; the same for all kernels of a module. */
  readonly relaxed: boolean
  /** The kernel with this spec, on tensors at these places. */
  run<P extends string, S>(kernel: Kernel<P, S>, at: Readonly<Record<P, Place>>, spec: S): void
  /** These bytes, written at a place. */
  write(bytes: Uint8Array, at: Place): void
  /**
   * Parts of one operator that may run at the same time, each taking its own kernels: none reads what another writes, and scratch
   * is not shared. How an operator is cut follows from shapes alone, never from the number of threads, so every bit of the
   * result does, too.
   */
  parallel(parts: readonly (() => void)[]): void
}

/** Whether two tensors lie on the same bytes: then one is there when the other is. */
export function isSamePlace({ place: a }: PlacedTensor, { place: b }: PlacedTensor): boolean {
  return a.base === b.base && a.offset === b.offset
}

/** An expression that every element of the only output goes through before it is stored. */
export interface FusedEpilogue {
  /** The slot "" is the element that the operator itself makes. */
  readonly scalar: Scalar
  /** The other slots: tensors, and their steps in elements along the axes of the output (none: as the output lies). */
  readonly inputs: Readonly<Record<string, { readonly tensor: PlacedTensor; readonly strides?: Strides | undefined }>>
}

/** What an input is that does not lie in memory: that input has a shape, and no place that may be read. */
export interface FusedPrologue {
  readonly scalar: Scalar
  /** Tensors, and their steps in elements along the axes of the input (none: as the input would lie). */
  readonly inputs: Readonly<Record<string, { readonly tensor: PlacedTensor; readonly strides?: Strides | undefined }>>
}

export interface CallOf<I extends InputSignature, O extends OutputSignature, A extends AttrSignature> {
  readonly inputs: InputsOf<I, PlacedTensor>
  readonly outputs: OutputsOf<O, PlacedTensor>
  readonly attrs: BoundAttrsOf<A>
  /** Only for operators that the backend says it absorbs what follows into. */
  readonly epilogue?: FusedEpilogue
  /** Only for operators of which the backend says that it computes their input. */
  readonly prologue?: FusedPrologue
  /** As many bytes as the generator asked for. */
  readonly workspace: Place
  /** Of an operator with sub-blocks. */
  readonly flow?: Flow | undefined
}

export interface ShapesOf<I extends InputSignature, O extends OutputSignature, A extends AttrSignature> {
  readonly inputs: InputsOf<I, TensorShape>
  readonly outputs: OutputsOf<O, TensorShape>
  readonly attrs: BoundAttrsOf<A>
}

/** A generator of which more is to be known than what it emits. */
export interface FullGenerator<Call, Shapes> {
  /** Bytes of scratch; none. */
  readonly workspace?: (shapes: Shapes) => number
  /** Whether it applies an epilogue; it does not. */
  readonly absorbs?: (shapes: Shapes) => boolean
  /** Whether it computes its only input as it reads it; it does not. */
  readonly computes?: (shapes: Shapes) => boolean
  /** Whether it reads operands by such steps as these shapes have; it does not. */
  readonly readsStrides?: (shapes: Shapes) => boolean
  readonly emit: (call: Call, emit: Emit) => void
}

export type Generator<Call, Shapes> = ((call: Call, emit: Emit) => void) | FullGenerator<Call, Shapes>

export type GeneratorOf<R> =
  R extends Op<string, infer I, infer O, infer A, infer _K> ? Generator<CallOf<I, O, A>, ShapesOf<I, O, A>> : never

type PrimitiveName<R extends AnyRegistry> = {
  [K in keyof R]: R[K] extends { readonly kind: "primitive" } ? K : never
}[keyof R]

/** A generator for every primitive that has no scalar expression. A missing one does not compile. */
export type GeneratorTable<R extends AnyRegistry> = { readonly [K in PrimitiveName<R>]: GeneratorOf<R[K]> }

type CompositeName<R extends AnyRegistry> = {
  [K in keyof R]: R[K] extends { readonly kind: "composite" } ? K : never
}[keyof R]

/** Generators of composites that the backend keeps whole. */
export type KeptGenerators<R extends AnyRegistry> = { readonly [K in CompositeName<R>]?: GeneratorOf<R[K]> }

/** Part of a table: what one file holds. */
export type Generators<R extends AnyRegistry> = Partial<GeneratorTable<R>>

/** Part of both tables. */
export type Family<R extends AnyRegistry> = Generators<R> & KeptGenerators<R>

type Slots<T> = Readonly<Record<string, T | readonly T[] | undefined>>

/** A call as the plan makes it, its signature forgotten. */
export interface AnyCall extends AnyShapes {
  readonly inputs: Slots<PlacedTensor>
  readonly outputs: Slots<PlacedTensor>
  readonly epilogue?: FusedEpilogue
  readonly prologue?: FusedPrologue
  readonly workspace: Place
  readonly flow?: Flow | undefined
}

export interface AnyShapes {
  readonly inputs: Slots<TensorShape>
  readonly outputs: Slots<TensorShape>
  readonly attrs: Readonly<Record<string, unknown>>
}

export type AnyGenerator = Generator<AnyCall, AnyShapes>
