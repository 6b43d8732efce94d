// Texts of a picture: names and attributes as short single lines, made safe for XML. Other syntaxes' escapes are
// their writers' own affair.

import { type Attrs, DimExpr, formatDim, type OpRecord, type Operator, sameShape, type Variable } from "@counterflow/ir"

/** Characters that a picture cannot show, or that would reorder what stands around them, made visible. */
export function visible(text: string): string {
  return text
    .replace(/\p{Cc}/gu, (control) => (control < " " ? String.fromCharCode(0x2400 + control.charCodeAt(0)) : "\ufffd"))
    .replace(/[\p{Bidi_Control}\p{Cs}\ufffe\uffff]/gu, "\ufffd")
}

/** Text as the content of an element, or of an attribute in either kind of quotes. */
export function escapeXml(text: string): string {
  const entities: Record<string, string> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;" }
  return text.replace(/[&<>"']/g, (character) => entities[character] ?? character)
}

/** The text itself, or its beginning and end: names in one program differ mostly there. */
export function shortened(text: string, length = 44): string {
  const characters = Array.from(text)
  if (characters.length <= length) return text
  const end = Math.floor((length - 1) / 2)
  return `${characters.slice(0, length - 1 - end).join("")}…${characters.slice(-end).join("")}`
}

const lineLength = 36
const attributeLines = 3

/** "transposeX: true, alpha: 0.5", in a few lines: without what is false, absent, or told by the output's type. */
export function attributesText(op: Operator): string[] {
  const [output] = op.outputList()
  const entries = Object.entries(op.attrs).filter(
    ([name, value]) => value !== false && value !== null && !isTold(op.record, name, value, output),
  )
  const lines: string[] = []
  for (const [name, value] of entries) {
    const text = shortened(`${name}: ${valueText(value)}`, lineLength)
    const last = lines.at(-1)
    if (last === undefined || last.length + text.length > lineLength) lines.push(text)
    else lines[lines.length - 1] = `${last}, ${text}`
  }
  return lines.length > attributeLines ? [...lines.slice(0, attributeLines - 1), "…"] : lines
}

function isTold(record: OpRecord, name: string, value: unknown, output: Variable | undefined): boolean {
  const kind = record.attrs[name]
  if (output === undefined) return false
  if (kind === "dtype") return value === output.dtype
  return kind === "dims" && isDims(value) && sameShape(value, output.shape)
}

function isDims(value: unknown): value is readonly (number | DimExpr)[] {
  return Array.isArray(value) && value.every((dim) => typeof dim === "number" || dim instanceof DimExpr)
}

const itemsShown = 6

function valueText(value: unknown): string {
  if (value instanceof DimExpr) return formatDim(value)
  if (Array.isArray(value)) {
    const items = value.slice(0, itemsShown).map(valueText)
    return `[${[...items, ...(value.length > itemsShown ? ["…"] : [])].join(", ")}]`
  }
  if (typeof value === "object" && value !== null) return "{…}"
  return typeof value === "number" ? numberText(value) : String(value)
}

/** Up to six digits: a picture is no place for the rest of 0.1 + 0.2. */
export function numberText(value: number): string {
  return Number.isInteger(value) ? String(value) : String(Number(value.toPrecision(6)))
}

/** What an operator without inputs makes: its only number or size, else its name. */
export function constantText(op: Operator): string {
  const told = numericAttributes(op.record, op.attrs)
  const [only] = told
  return only === undefined || told.length > 1 ? op.type : valueText(only)
}

function numericAttributes(record: OpRecord, attrs: Attrs): unknown[] {
  return Object.entries(record.attrs).flatMap(([name, kind]) =>
    kind === "number" || kind === "int" || kind === "dim" ? [attrs[name]] : [],
  )
}

/** "1 operator", "3 operators" */
export function counted(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? "" : "s"}`
}
