// Phase 3: sizes that stay open. How often a loop without a limit runs, only a run can tell; a stack of what its runs save is bound
// as the place where it begins, an int32 that is handed on and stacked like any other. Only operators with sub-blocks read those.

import {
  type Dim,
  DimExpr,
  fail,
  type LoweredBlock,
  type LoweredProgram,
  type LoweredVar,
  type Shape,
  symbolsOf,
} from "@counterflow/ir"
import type { BoundRow, BoundVar } from "./bound.ts"

/** Symbols whose sizes no feed will tell. */
export function openSymbols({ block }: LoweredProgram): Set<string> {
  const found = new Set<string>()
  const look = ({ ops }: LoweredBlock) => {
    for (const { facts, blocks } of ops) {
      if (facts.opens !== undefined) for (const name of symbolsOf(facts.opens)) found.add(name)
      for (const inner of Object.values(blocks)) look(inner)
    }
  }
  look(block)
  return found
}

export function isOpenSize(dim: unknown, open: ReadonlySet<string>): boolean {
  return dim instanceof DimExpr && open.has(dim.key)
}

export function hasOpenSize(shape: Shape, open: ReadonlySet<string>): boolean {
  return open.size > 0 && symbolsOf(shape).some((symbol) => open.has(symbol))
}

/** A variable of which a size is open: its first sizes are those of what is before that one. */
export function bindOpen(variable: LoweredVar, open: ReadonlySet<string>, sizeOf: (dim: Dim) => number): BoundVar {
  const { name, shape, dtype, kind } = variable
  const at = shape.findIndex((dim) => symbolsOf(dim).some((symbol) => open.has(symbol)))
  if (kind !== "value" || !isOpenSize(shape[at], open)) refuseOpen(String(shape[at]), name)
  const place = { ...variable, ...sized(shape.slice(0, at).map(sizeOf), "int32"), isPlace: true }
  if (at > 0) return place
  const inner = { ...variable, shape: shape.slice(1) }
  const row = hasOpenSize(inner.shape, open) ? bindOpen(inner, open, sizeOf) : sized(inner.shape.map(sizeOf), dtype)
  return { ...place, row: sized(row.shape, row.dtype) }
}

function sized(shape: readonly number[], dtype: BoundRow["dtype"]): BoundRow {
  return { shape, dtype, elements: shape.reduce((product, size) => product * size, 1) }
}

/** Something needs a size before the run. */
export function refuseOpen(dim: string, where: string): never {
  return fail("CF_SYMBOL_UNBOUND", `${dim} has no size before the run, needed for ${where}`, {
    notes: ["it says how often a loop runs"],
    fix: "give the loop maxTrips: whileLoop(cond, body, loopVars, { maxTrips: 100 })",
  })
}
