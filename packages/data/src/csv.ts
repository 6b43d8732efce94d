// Comma-separated values: RFC 4180 plus any one-character separator, LF or CR as line ends, and a leading byte-order
// mark. Strict: a stray quote or a ragged record is an error with its line and column, never a guess.
import { badArgument, badFile } from "./errors.ts"
import type { Tensor } from "./tensor.ts"

export interface CsvOptions {
  /** Whether the first record names the columns. Default true. */
  header?: boolean
  /** One character. Default ",". */
  separator?: string
}

export interface CsvTable {
  /** From the header record; null without one. */
  readonly names: readonly string[] | null
  readonly rows: readonly (readonly string[])[]
  /** The line, from 1, on which each row begins: quoted fields may span lines. */
  readonly lines: readonly number[]
}

/** Splits a text into records of as many fields each. Empty lines are skipped; spaces belong to their field. */
export function parseCsv(text: string, options: CsvOptions = {}): CsvTable {
  const { header = true, separator = "," } = options
  if (separator.length !== 1 || '"\r\n'.includes(separator)) {
    badArgument(
      `expected one character that is no quote and no line end, got ${JSON.stringify(separator)}`,
      "parseCsv: separator",
      'use ",", ";" or "\\t"',
    )
  }
  const { records, lines } = splitRecords(text, separator)
  const width = records[0]?.length ?? 0
  for (const [i, record] of records.entries()) {
    if (record.length !== width) {
      const where = `line ${lines[i]}, column ${Math.min(record.length, width) + 1}`
      badFile(`expected ${width} fields as in the first record, got ${record.length}`, where, "complete the record")
    }
  }
  if (!header) return { names: null, rows: records, lines }
  const names = records[0]
  if (names === undefined) badFile("no header record", "line 1", "pass header: false if there is none")
  for (const [i, name] of names.entries()) {
    if (names.indexOf(name) !== i) {
      badFile(
        `two columns are named "${name}"`,
        `line ${lines[0]}, column ${i + 1}`,
        "rename one, or pass header: false",
      )
    }
  }
  return { names, rows: records.slice(1), lines: lines.slice(1) }
}

function splitRecords(text: string, separator: string): { records: string[][]; lines: number[] } {
  const records: string[][] = []
  const lines: number[] = []
  let at = text.startsWith("\uFEFF") ? 1 : 0
  let line = 1
  const here = (fields: string[]) => `line ${line}, column ${fields.length + 1}`

  while (at < text.length) {
    const fields: string[] = []
    const firstLine = line
    const start = at
    for (;;) {
      if (text[at] === '"') fields.push(quoted(fields))
      else {
        const from = at
        while (at < text.length && text[at] !== separator && !isLineEnd(text[at])) {
          if (text[at] === '"')
            badFile("a quote inside an unquoted field", here(fields), 'quote the field, double the "')
          at++
        }
        fields.push(text.slice(from, at))
      }
      if (text[at] !== separator) break
      at++
    }
    const isEmptyLine = at === start
    if (text[at] === "\r" && text[at + 1] === "\n") at++
    at++
    line++
    if (isEmptyLine) continue
    records.push(fields)
    lines.push(firstLine)
  }
  return { records, lines }

  // "a ""b""" is a "b"; separators and line ends are text inside quotes.
  function quoted(fields: string[]): string {
    const opened = here(fields)
    let field = ""
    at++
    for (;;) {
      const end = text.indexOf('"', at)
      if (end === -1) badFile("a quoted field is never closed", opened, 'close it with "')
      const piece = text.slice(at, end)
      field += piece
      line += piece.match(/\r\n|\r|\n/g)?.length ?? 0
      at = end + 1
      if (text[at] !== '"') break
      field += '"'
      at++
    }
    if (at < text.length && text[at] !== separator && !isLineEnd(text[at])) {
      badFile("text follows a closing quote", here(fields), `end the field with ${JSON.stringify(separator)}`)
    }
    return field
  }
}

function isLineEnd(character: string | undefined): boolean {
  return character === "\n" || character === "\r"
}

export interface NumberOptions {
  /** Which columns, in which order: names, or numbers from 0. Default all. */
  columns?: readonly (string | number)[]
  /** Field texts that stand for a missing value and become NaN, such as ["", "NA"]. Default none. */
  missing?: readonly string[]
}

/** The table's columns as a matrix [rows, columns]; a field that is no decimal number is refused by line and column. */
export function tableNumbers(table: CsvTable, options: NumberOptions = {}): Tensor<"float64"> {
  const { names, rows, lines } = table
  const width = names?.length ?? rows[0]?.length ?? 0
  const missing = new Set(options.missing)
  const columns = options.columns?.map((column) => columnIndex(column, names, width)) ?? [...Array(width).keys()]
  const data = new Float64Array(rows.length * columns.length)
  let at = 0
  for (const [i, row] of rows.entries()) {
    for (const column of columns) {
      const field = row[column] ?? ""
      if (missing.has(field)) data[at++] = NaN
      else if (decimal.test(field)) data[at++] = Number(field)
      else {
        const name = names === null ? "" : ` (${names[column]})`
        const what = field.trim() === "" ? "an empty field" : `${JSON.stringify(field)} is not a number`
        badFile(what, `line ${lines[i]}, column ${column + 1}${name}`, "correct it, or list the text under `missing`")
      }
    }
  }
  return { data, shape: [rows.length, columns.length], dtype: "float64" }
}

// Number() alone would take "", "0x10" and "Infinity".
const decimal = /^\s*[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?\s*$/i

function columnIndex(column: string | number, names: readonly string[] | null, width: number): number {
  const index = typeof column === "number" ? column : (names?.indexOf(column) ?? -1)
  if (!Number.isInteger(index) || index < 0 || index >= width) {
    const known = names === null ? `0 to ${width - 1}` : names.join(", ")
    badArgument(`there is no column ${JSON.stringify(column)}`, "tableNumbers: columns", `use one of: ${known}`)
  }
  return index
}
