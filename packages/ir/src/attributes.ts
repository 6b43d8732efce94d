// Attribute values: their JSON encoding, and the check against the kinds that a record declares. JSON has no NaN,
// infinities, negative zero or symbolic dims; those are objects with one reserved "$" key.

import { type Dim, DimExpr, formatDim, parseDim } from "./dims.ts"
import { isDType } from "./dtype.ts"
import { fail, nearest } from "./errors.ts"
import type { AttrKind, Attrs, OpRecord } from "./record.ts"

export type NumberJson = number | { $number: string }

export type AttrJson =
  | NumberJson
  | string
  | boolean
  | null
  | { $dim: string }
  | AttrJson[]
  | { [key: string]: AttrJson }

/** How deep an attribute's value may nest. */
const depthLimit = 32

/** Keys that would reach an object's prototype in careless code; no file may hold them. */
export const prototypeKeys: readonly string[] = ["__proto__", "constructor", "prototype"]

const specialNumbers = new Map([
  ["NaN", NaN],
  ["Infinity", Infinity],
  ["-Infinity", -Infinity],
  ["-0", -0],
])

export function encodeNumber(value: number): NumberJson {
  return Number.isFinite(value) && !Object.is(value, -0)
    ? value
    : { $number: Object.is(value, -0) ? "-0" : String(value) }
}

export function encodeAttr(value: unknown, path: string, depth = 0): AttrJson {
  if (depth > depthLimit) fail("CF_BAD_ATTRIBUTE", `${path} nests deeper than ${depthLimit}`)
  if (value === null || typeof value === "string" || typeof value === "boolean") return value
  if (typeof value === "number") return encodeNumber(value)
  if (value instanceof DimExpr) return { $dim: formatDim(value) }
  if (Array.isArray(value)) return value.map((item, index) => encodeAttr(item, `${path}[${index}]`, depth + 1))
  if (typeof value !== "object" || !isPlain(value)) {
    return fail("CF_BAD_ATTRIBUTE", `${path} must be plain data or a dim, got ${describeKind(value)}`)
  }
  const entries = Object.entries(value).map(([key, item]) => {
    if (key.startsWith("$") || prototypeKeys.includes(key))
      fail("CF_BAD_ATTRIBUTE", `${path} has the reserved key "${key}"`)
    return [key, encodeAttr(item, `${path}.${key}`, depth + 1)] as const
  })
  return Object.fromEntries(entries)
}

/** The value of checked JSON. */
export function decodeNumber(json: NumberJson): number {
  return typeof json === "number" ? json : (specialNumbers.get(json.$number) ?? NaN)
}

/** The value of checked JSON, frozen: attributes never change. */
export function decodeAttr(json: AttrJson): unknown {
  if (json === null || typeof json !== "object") return json
  if (Array.isArray(json)) return Object.freeze(json.map(decodeAttr))
  if (isNumberJson(json)) return decodeNumber(json)
  if (isDimJson(json)) return parseDim(json.$dim)
  return Object.freeze(Object.fromEntries(Object.entries(json).map(([key, item]) => [key, decodeAttr(item)])))
}

export function isNumberJson(json: object): json is { $number: string } {
  return (
    "$number" in json &&
    typeof json.$number === "string" &&
    Object.keys(json).length === 1 &&
    specialNumbers.has(json.$number)
  )
}

export function isDimJson(json: object): json is { $dim: string } {
  return "$dim" in json && typeof json.$dim === "string" && Object.keys(json).length === 1
}

function isPlain(value: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(value)
  return prototype === null || prototype === Object.prototype
}

function describeKind(value: unknown): string {
  if (typeof value === "object" && value !== null) return `a ${value.constructor?.name ?? "object"}`
  return value === undefined ? "undefined" : `a ${typeof value}`
}

/** Throws CF_BAD_ATTRIBUTE unless `attrs` are exactly the attributes that the record declares, each of its kind. */
export function checkAttrs(record: OpRecord, attrs: Attrs): void {
  const known = Object.keys(record.attrs)
  const about = { op: record.name, notes: [`the attributes are ${known.join(", ") || "none"}`] }
  for (const name of Object.keys(attrs)) {
    if (Object.hasOwn(record.attrs, name)) continue
    const near = nearest(name, known)
    fail("CF_BAD_ATTRIBUTE", `there is no attribute ${name}`, {
      ...about,
      fix: near === undefined ? `leave ${name} out` : `did you mean ${near}?`,
    })
  }
  for (const [name, kind] of Object.entries(record.attrs)) {
    if (!Object.hasOwn(attrs, name)) fail("CF_BAD_ATTRIBUTE", `attribute ${name} is missing`, about)
    const value = attrs[name]
    if (!isOfKind(value, kind)) {
      fail("CF_BAD_ATTRIBUTE", `attribute ${name} must be ${kindText(kind)}, got ${valueText(value)}`, {
        op: record.name,
      })
    }
  }
}

function isOfKind(value: unknown, kind: AttrKind): boolean {
  if (typeof kind !== "string") return typeof value === "string" && kind.includes(value)
  if (kind.endsWith("?") && value === null) return true
  switch (kind) {
    case "number":
    case "number?":
      return typeof value === "number"
    case "int":
    case "int?":
      return Number.isSafeInteger(value)
    case "bool":
      return typeof value === "boolean"
    case "string":
    case "string?":
      return typeof value === "string"
    case "numbers":
      return Array.isArray(value) && value.every((item) => typeof item === "number")
    case "ints":
    case "ints?":
      return Array.isArray(value) && value.every((item) => Number.isSafeInteger(item))
    case "dim":
    case "dim?":
      return isDim(value)
    case "dims":
      return Array.isArray(value) && value.every(isDim)
    case "dtype":
      return isDType(value)
  }
}

function isDim(value: unknown): value is Dim {
  return Number.isSafeInteger(value) || value instanceof DimExpr
}

const kindTexts: Readonly<Record<Exclude<AttrKind, readonly string[]>, string>> = {
  number: "a number",
  "number?": "a number or null",
  int: "an integer",
  "int?": "an integer or null",
  bool: "true or false",
  string: "a string",
  "string?": "a string or null",
  numbers: "an array of numbers",
  ints: "an array of integers",
  "ints?": "an array of integers or null",
  dim: "a dim",
  "dim?": "a dim or null",
  dims: "an array of dims",
  dtype: "a dtype",
}

function kindText(kind: AttrKind): string {
  return typeof kind === "string" ? kindTexts[kind] : `one of ${kind.map((choice) => `"${choice}"`).join(", ")}`
}

function valueText(value: unknown): string {
  if (value instanceof DimExpr) return formatDim(value)
  if (Array.isArray(value)) return `[${value.map(valueText).join(", ")}]`
  if (typeof value === "object" && value !== null) return describeKind(value)
  return typeof value === "string" ? `"${value}"` : String(value)
}
