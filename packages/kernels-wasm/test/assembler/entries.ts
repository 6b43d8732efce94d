// Every entry of the opcode tables as one flat list, with the text name and a builder of the instruction.

import {
  atomicI32,
  atomicI64,
  atomicMemory,
  type Expr,
  f32,
  f32x4,
  f64,
  f64x2,
  i16x8,
  i32,
  i32x4,
  i64,
  i64x2,
  i8x16,
  ModuleBuilder,
  v128,
} from "../../src/assembler/index.ts"
import { atomicI32Table, atomicI64Table, atomicStores, waitTable } from "../../src/assembler/opcodes/atomic.ts"
import {
  f32Loads,
  f64Loads,
  i32Loads,
  i64Loads,
  laneStores,
  stores,
  v128LaneLoads,
  v128Loads,
} from "../../src/assembler/opcodes/memory.ts"
import { f32Table, f64Table, i32Table, i64Table } from "../../src/assembler/opcodes/scalar.ts"
import { type Entry, type Table, textName } from "../../src/assembler/opcodes/table.ts"
import {
  f32x4Table,
  f64x2Table,
  i16x8Table,
  i32x4Table,
  i64x2Table,
  i8x16Table,
  laneTables,
  relaxedTables,
  v128Table,
} from "../../src/assembler/opcodes/vector.ts"

type AnyInstruction = (...operands: never[]) => Expr

export interface NamedEntry {
  readonly name: string
  readonly entry: Entry
  /** The instruction over these operands, lane 1 and offset 16 where it takes them. */
  readonly build: (operands: readonly Expr[]) => Expr
}

/** The derived namespaces promise precise operands; this list is the one place that calls them all alike. */
function list(
  prefix: string,
  table: Table,
  namespace: Readonly<Record<string, AnyInstruction>>,
): readonly NamedEntry[] {
  return Object.entries(table).map(([key, entry]) => ({
    name: textName(prefix, key),
    entry,
    build: (operands) => {
      const instruction = namespace[key]
      if (instruction === undefined) throw new Error(`${prefix} has no ${key}`)
      const all = [...(entry.lanes > 0 ? [1] : []), ...operands, ...(entry.bytes > 0 ? [16] : [])]
      return instruction(...(all as never[]))
    },
  }))
}

export const scalarEntries = [
  ...list("i32", i32Table, i32),
  ...list("i64", i64Table, i64),
  ...list("f32", f32Table, f32),
  ...list("f64", f64Table, f64),
]

export const loadEntries = [
  ...list("i32", i32Loads, i32),
  ...list("i64", i64Loads, i64),
  ...list("f32", f32Loads, f32),
  ...list("f64", f64Loads, f64),
]

export const vectorEntries = [
  ...list("v128", v128Table, v128),
  ...list("v128", v128Loads, v128),
  ...list("v128", v128LaneLoads, v128),
  ...list("i8x16", i8x16Table, i8x16),
  ...list("i16x8", i16x8Table, i16x8),
  ...list("i32x4", i32x4Table, i32x4),
  ...list("i64x2", i64x2Table, i64x2),
  ...list("f32x4", f32x4Table, f32x4),
  ...list("f64x2", f64x2Table, f64x2),
  ...list("i8x16", laneTables.i8x16, i8x16),
  ...list("i16x8", laneTables.i16x8, i16x8),
  ...list("i32x4", laneTables.i32x4, i32x4),
  ...list("i64x2", laneTables.i64x2, i64x2),
  ...list("f32x4", laneTables.f32x4, f32x4),
  ...list("f64x2", laneTables.f64x2, f64x2),
]

export const relaxedEntries = [
  ...list("i8x16", relaxedTables.i8x16, i8x16),
  ...list("i16x8", relaxedTables.i16x8, i16x8),
  ...list("i32x4", relaxedTables.i32x4, i32x4),
  ...list("i64x2", relaxedTables.i64x2, i64x2),
  ...list("f32x4", relaxedTables.f32x4, f32x4),
  ...list("f64x2", relaxedTables.f64x2, f64x2),
]

export const atomicEntries = [
  ...list("i32.atomic", atomicI32Table, atomicI32),
  ...list("i64.atomic", atomicI64Table, atomicI64),
  ...list("memory.atomic", waitTable, atomicMemory),
]

export const storeEntries = { plain: stores, lane: laneStores, atomic: atomicStores }

/** One function `run` of the operands' types whose result is the instruction's. */
export function moduleOf({ entry, build }: NamedEntry, relaxed = false): ModuleBuilder {
  const module = new ModuleBuilder({ relaxed })
  const isShared = entry.opcode >> 12 === 0xfe
  module.importMemory("host", "memory", { minPages: 1, maxPages: 1, isShared })
  const run = module.function("run", entry.params, entry.results, (f, ...operands) => {
    f.return(build(operands))
  })
  module.export("run", run)
  return module
}
