// The typed namespaces (i32.add, f32x4.mul, v128.load, …), derived from the opcode tables: one function per entry whose
// operands and result are typed by it.

import { fail } from "@counterflow/ir"
import { i32Bytes, i64Bytes } from "./bytes.ts"
import {
  constant,
  type Expr,
  type Instruction,
  laneBytes,
  lift,
  liftAll,
  type Local,
  type Memarg,
  type Operand,
  type Operands,
  rawConstant,
  type ValueType,
} from "./expression.ts"
import { atomicI32Table, atomicI64Table, waitTable } from "./opcodes/atomic.ts"
import { f32Loads, f64Loads, i32Loads, i64Loads, v128LaneLoads, v128Loads } from "./opcodes/memory.ts"
import { f32Table, f64Table, i32Table, i64Table } from "./opcodes/scalar.ts"
import { type Entry, mapped, type Table, textName } from "./opcodes/table.ts"
import {
  f32x4Table,
  f64x2Table,
  i16x8Table,
  i32x4Table,
  i64x2Table,
  i8x16Table,
  laneTables,
  relaxedTables,
  shuffleEntry,
  v128Table,
} from "./opcodes/vector.ts"

type Plain<E> =
  E extends Entry<infer P, readonly [infer R extends ValueType]> ? (...operands: Operands<P>) => Expr<R> : never
/** The last two: a constant byte offset, and the alignment in bytes where it is not the natural one. */
type Access<E> =
  E extends Entry<infer P, readonly [infer R extends ValueType]>
    ? (...operands: [...Operands<P>, offset?: number, align?: number]) => Expr<R>
    : never
type Laned<E> =
  E extends Entry<infer P, readonly [infer R extends ValueType]>
    ? (lane: number, ...operands: Operands<P>) => Expr<R>
    : never

type Derived<T extends Table, Kind extends "plain" | "access" | "laned"> = {
  readonly [K in keyof T]: { plain: Plain<T[K]>; access: Access<T[K]>; laned: Laned<T[K]> }[Kind]
}

const noLanes: readonly number[] = []

/** A node of any entry; operands are checked against it. */
export function apply(
  entry: Entry,
  instruction: Instruction,
  operands: readonly Operand<ValueType>[],
  memarg?: Memarg,
  lanes = noLanes,
): Expr {
  for (const lane of lanes)
    if (!(lane >= 0 && lane < entry.lanes && Number.isInteger(lane))) refuseLane(entry, instruction, lane)
  const lifted = liftAll(entry.params, operands, instruction.name)
  return { type: entry.results[0] ?? "i32", code: { kind: "apply", instruction, operands: lifted, memarg, lanes } }
}

function refuseLane(entry: Entry, instruction: Instruction, lane: number): never {
  return fail("CF_INTERNAL", `assembler: ${instruction.name} has lanes 0 to ${entry.lanes - 1}, got ${lane}`)
}

export function instructionOf(entry: Entry, name: string): Instruction {
  return { name, opcode: entry.opcode, isRelaxed: entry.isRelaxed }
}

export function memargOf(entry: Entry, name: string, offset: number, align: number): Memarg {
  if (!Number.isInteger(offset) || offset < 0 || offset >= 2 ** 32) {
    fail("CF_INTERNAL", `assembler: ${name} takes a constant offset from 0 to 2^32 - 1, got ${offset}`)
  }
  if (align !== entry.bytes && (![1, 2, 4, 8, 16].includes(align) || align > entry.bytes)) {
    fail("CF_INTERNAL", `assembler: ${name} is aligned to a power of two up to ${entry.bytes}, got ${align}`)
  }
  return { offset, align }
}

function plain<T extends Table>(prefix: string, table: T): Derived<T, "plain"> {
  return mapped(table, (entry, key) => {
    const instruction = instructionOf(entry, textName(prefix, key))
    return (...operands: readonly Operand<ValueType>[]) => apply(entry, instruction, operands)
  }) as Derived<T, "plain">
}

function access<T extends Table>(prefix: string, table: T): Derived<T, "access"> {
  return mapped(table, (entry, key) => {
    const instruction = instructionOf(entry, textName(prefix, key))
    const count = entry.params.length
    const plainly = memargOf(entry, instruction.name, 0, entry.bytes)
    return (...given: readonly Operand<ValueType>[]) => {
      if (given.length === count) return apply(entry, instruction, given, plainly)
      const [offset = 0, align = entry.bytes] = given.slice(count)
      const memarg = memargOf(entry, instruction.name, Number(offset), Number(align))
      return apply(entry, instruction, given.slice(0, count), memarg)
    }
  }) as Derived<T, "access">
}

function laned<T extends Table>(prefix: string, table: T): Derived<T, "laned"> {
  return mapped(table, (entry, key) => {
    const instruction = instructionOf(entry, textName(prefix, key))
    return (lane: number, ...operands: readonly Operand<ValueType>[]) =>
      apply(entry, instruction, operands, undefined, [lane])
  }) as Derived<T, "laned">
}

type LaneType = Parameters<typeof laneBytes>[0]

/** A vector constant by lanes. Inside a loop keep it in a local: some engines build it anew at every use. */
const vectorConstant =
  (type: LaneType, count: number) =>
  (...lanes: readonly (number | bigint)[]): Expr<"v128"> => {
    if (lanes.length !== count)
      fail("CF_INTERNAL", `assembler: ${type}x${count} has ${count} lanes, got ${lanes.length}`)
    const bytes = lanes.map((lane) => laneBytes(type, lane))
    return rawConstant("v128", Uint8Array.from(bytes.flatMap((lane) => [...lane])))
  }

const laneLoads = mapped(v128LaneLoads, (entry, key) => {
  const instruction = instructionOf(entry, textName("v128", key))
  return (
    lane: number,
    address: Operand<"i32">,
    vector: Expr<"v128">,
    offset = 0,
    align = entry.bytes,
  ): Expr<"v128"> => {
    const memarg = memargOf(entry, instruction.name, offset, align)
    return vectorOf(apply(entry, instruction, [address, vector], memarg, [lane]))
  }
})

function vectorOf({ code }: Expr): Expr<"v128"> {
  return { type: "v128", code }
}

export const i32 = {
  ...plain("i32", i32Table),
  ...access("i32", i32Loads),
  const: (value: number): Expr<"i32"> => constant("i32", value),
}

export const i64 = {
  ...plain("i64", i64Table),
  ...access("i64", i64Loads),
  const: (value: bigint | number): Expr<"i64"> => constant("i64", value),
}

export const f32 = {
  ...plain("f32", f32Table),
  ...access("f32", f32Loads),
  const: (value: number): Expr<"f32"> => constant("f32", value),
  /** The float of these 32 bits, any NaN included. */
  bits: (value: number): Expr<"f32"> => rawConstant("f32", i32Bytes(value)),
}

export const f64 = {
  ...plain("f64", f64Table),
  ...access("f64", f64Loads),
  const: (value: number): Expr<"f64"> => constant("f64", value),
  /** The float of these 64 bits, any NaN included. */
  bits: (value: bigint): Expr<"f64"> => rawConstant("f64", i64Bytes(value)),
}

export const v128 = {
  ...plain("v128", v128Table),
  ...access("v128", v128Loads),
  ...laneLoads,
  const: (bytes: Uint8Array): Expr<"v128"> => rawConstant("v128", bytes),
}

const shuffleInstruction = instructionOf(shuffleEntry, "i8x16.shuffle")

export const i8x16 = {
  ...plain("i8x16", i8x16Table),
  ...plain("i8x16", relaxedTables.i8x16),
  ...laned("i8x16", laneTables.i8x16),
  const: vectorConstant("i8", 16),
  /** Byte i of the result is byte lanes[i] of the 32 bytes of x followed by y. */
  shuffle: (lanes: readonly number[], x: Expr<"v128">, y: Expr<"v128">): Expr<"v128"> => {
    if (lanes.length !== 16) fail("CF_INTERNAL", `assembler: a shuffle takes 16 lanes, got ${lanes.length}`)
    return vectorOf(apply(shuffleEntry, shuffleInstruction, [x, y], undefined, lanes))
  },
}

export const i16x8 = {
  ...plain("i16x8", i16x8Table),
  ...plain("i16x8", relaxedTables.i16x8),
  ...laned("i16x8", laneTables.i16x8),
  const: vectorConstant("i16", 8),
}

export const i32x4 = {
  ...plain("i32x4", i32x4Table),
  ...plain("i32x4", relaxedTables.i32x4),
  ...laned("i32x4", laneTables.i32x4),
  const: vectorConstant("i32", 4),
}

export const i64x2 = {
  ...plain("i64x2", i64x2Table),
  ...plain("i64x2", relaxedTables.i64x2),
  ...laned("i64x2", laneTables.i64x2),
  const: vectorConstant("i64", 2),
}

export const f32x4 = {
  ...plain("f32x4", f32x4Table),
  ...plain("f32x4", relaxedTables.f32x4),
  ...laned("f32x4", laneTables.f32x4),
  const: vectorConstant("f32", 4),
}

export const f64x2 = {
  ...plain("f64x2", f64x2Table),
  ...plain("f64x2", relaxedTables.f64x2),
  ...laned("f64x2", laneTables.f64x2),
  const: vectorConstant("f64", 2),
}

export const atomicI32 = access("i32.atomic", atomicI32Table)
export const atomicI64 = access("i64.atomic", atomicI64Table)
export const atomicMemory = access("memory.atomic", waitTable)

const selectInstruction: Instruction = { name: "select", opcode: 0x1b, isRelaxed: false }
const sizeInstruction: Instruction = { name: "memory.size", opcode: 0x3f, isRelaxed: false }
const growInstruction: Instruction = { name: "memory.grow", opcode: 0x40, isRelaxed: false }

/** Both values are computed, in this order, then the condition. */
export function select<T extends ValueType>(condition: Operand<"i32">, ifTrue: Expr<T>, ifFalse: Expr<T>): Expr<T> {
  const operands = [ifTrue, lift<ValueType>(ifTrue.type, ifFalse), lift("i32", condition)]
  return {
    type: ifTrue.type,
    code: { kind: "apply", instruction: selectInstruction, operands, memarg: undefined, lanes: noLanes },
  }
}

/** Stores the value in the local and leaves it. */
export function tee<T extends ValueType>(local: Local<T>, value: Expr<T>): Expr<T> {
  return { type: local.type, code: { kind: "tee", local, value: lift<ValueType>(local.type, value) } }
}

/** Pages of 64 KiB. */
export function memorySize(): Expr<"i32"> {
  return {
    type: "i32",
    code: { kind: "apply", instruction: sizeInstruction, operands: [], memarg: undefined, lanes: [0] },
  }
}

/** Grows memory by pages of 64 KiB: how many there were before, or −1 if it is not to be had. */
export function growMemory(pages: Expr<"i32">): Expr<"i32"> {
  return {
    type: "i32",
    code: { kind: "apply", instruction: growInstruction, operands: [pages], memarg: undefined, lanes: [0] },
  }
}
