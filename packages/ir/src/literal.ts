// How names, numbers, attribute values and types are written in a program's text.

import { DimExpr, formatDim } from "./dims.ts"

const simpleName = /^[A-Za-z0-9_.@/$]+$/

/** A name as it is, or quoted where it holds other characters. */
export function nameText(name: string): string {
  return simpleName.test(name) ? name : JSON.stringify(name)
}

export function numberText(value: number): string {
  return Object.is(value, -0) ? "-0" : String(value)
}

/** Words that are values; a dim that is a symbol of such a name is written dim(true). */
export const valueWords: readonly string[] = ["true", "false", "null", "NaN", "Infinity"]

/** {transposeX: false, shape: [2*batch, 13], dtype: "float32"} */
export function valueText(value: unknown): string {
  if (typeof value === "number") return numberText(value)
  if (value instanceof DimExpr) {
    const text = formatDim(value)
    return valueWords.includes(text) ? `dim(${text})` : text
  }
  if (Array.isArray(value)) return `[${value.map(valueText).join(", ")}]`
  if (typeof value === "object" && value !== null) return entriesText(Object.entries(value))
  return typeof value === "string" ? JSON.stringify(value) : String(value)
}

export function entriesText(entries: readonly (readonly [string, unknown])[]): string {
  return `{${entries.map(([key, value]) => `${nameText(key)}: ${valueText(value)}`).join(", ")}}`
}

/** The slot of a sole output that is written without one: what most ops call theirs. */
export const soleSlot = "z"
