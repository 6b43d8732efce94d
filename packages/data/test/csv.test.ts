// The CSV parser: quotes, line ends, empty fields, the places it names, and a round trip of arbitrary tables.
import fc from "fast-check"
import { describe, expect, test } from "vitest"
import { type CsvOptions, parseCsv, tableNumbers } from "../src/index.ts"
import { refusal } from "./refusal.ts"

const rowsOf = (text: string, options: CsvOptions = { header: false }) => parseCsv(text, options).rows

describe("parseCsv", () => {
  test("takes a header apart from the rows", () => {
    expect(parseCsv("a,b\n1,2\n3,4\n")).toEqual({
      names: ["a", "b"],
      rows: [
        ["1", "2"],
        ["3", "4"],
      ],
      lines: [2, 3],
    })
  })

  test("LF, CRLF, CR, and no line end at the end", () => {
    const rows = [
      ["1", "2"],
      ["3", ""],
    ]
    for (const end of ["\n", "\r\n", "\r"]) {
      expect(rowsOf(`1,2${end}3,${end}`)).toEqual(rows)
      expect(rowsOf(`1,2${end}3,`)).toEqual(rows)
    }
  })

  test("quoted fields hold separators, quotes and line ends", () => {
    expect(rowsOf('"a,b","say ""hi""","1\r\n2",""\n')).toEqual([["a,b", 'say "hi"', "1\r\n2", ""]])
    expect(parseCsv('a\n"x\ny"\n\nz\n').lines).toEqual([2, 5])
  })

  test("empty fields, empty lines, spaces, a byte-order mark, other separators", () => {
    expect(rowsOf(",,\n")).toEqual([["", "", ""]])
    expect(rowsOf('\n1\n\n""\n')).toEqual([["1"], [""]])
    expect(rowsOf(" 1 , 2")).toEqual([[" 1 ", " 2"]])
    expect(parseCsv("\uFEFFa,b\n1,2").names).toEqual(["a", "b"])
    expect(rowsOf("1;2,5\t", { header: false, separator: ";" })).toEqual([["1", "2,5\t"]])
    expect(rowsOf("")).toEqual([])
  })

  test("any table written by the rules is read back", () => {
    const field = fc.string({
      unit: fc.constantFrom("a", ",", ";", '"', "\r", "\n", "\t", " ", "é", "\uFEFF"),
      maxLength: 6,
    })
    const table = fc
      .integer({ min: 1, max: 4 })
      .chain((width) => fc.array(fc.array(field, { minLength: width, maxLength: width }), { maxLength: 5 }))
    fc.assert(
      fc.property(
        table,
        fc.constantFrom(",", ";", "\t"),
        fc.constantFrom("\n", "\r\n", "\r"),
        (rows, separator, end) => {
          const text = rows
            .map((row) => row.map((value) => `"${value.replaceAll('"', '""')}"`).join(separator) + end)
            .join("")
          expect(rowsOf(text, { header: false, separator })).toEqual(rows)
        },
      ),
      { seed: 5, numRuns: 500 },
    )
  })

  test("names line and column of what is wrong", async () => {
    const of = (text: string, options?: CsvOptions) => refusal(() => parseCsv(text, options))
    expect(await of("a,b\n1,2\n3\n")).toBe(
      "CF_BAD_FILE expected 2 fields as in the first record, got 1 @ line 3, column 2",
    )
    expect(await of("a,b\n1,2,3\n")).toBe(
      "CF_BAD_FILE expected 2 fields as in the first record, got 3 @ line 2, column 3",
    )
    expect(await of('a,b\n1,"2\n3')).toBe("CF_BAD_FILE a quoted field is never closed @ line 2, column 2")
    expect(await of('a,b\n"1\n2"x,3')).toBe("CF_BAD_FILE text follows a closing quote @ line 3, column 1")
    expect(await of('a,b\n1,2"3"')).toBe("CF_BAD_FILE a quote inside an unquoted field @ line 2, column 2")
    expect(await of("a,b,a\n")).toBe('CF_BAD_FILE two columns are named "a" @ line 1, column 3')
    expect(await of("")).toBe("CF_BAD_FILE no header record @ line 1")
    expect(await of("a", { separator: "||" })).toMatch(/^CF_BAD_ARGUMENT expected one character/)
    expect(await of("a", { separator: '"' })).toMatch(/^CF_BAD_ARGUMENT expected one character/)
  })

  test("the whole message", () => {
    expect(() => parseCsv("a,b\n1\n")).toThrowErrorMatchingInlineSnapshot(`
      [DataError: CF_BAD_FILE  expected 2 fields as in the first record, got 1
          at line 2, column 2
        fix: complete the record]
    `)
  })
})

describe("tableNumbers", () => {
  const table = parseCsv("a,b,c\n1,-2.5e-3, .5 \n+4.,,NA\n")

  test("reads chosen columns in their order; listed texts are missing values", () => {
    expect(tableNumbers(table, { columns: ["a"] })).toEqual({
      data: Float64Array.of(1, 4),
      shape: [2, 1],
      dtype: "float64",
    })
    expect(tableNumbers(table, { columns: ["c", 1], missing: ["", "NA"] }).data).toEqual(
      Float64Array.of(0.5, -0.0025, NaN, NaN),
    )
    expect(tableNumbers(parseCsv("a,b\n")).shape).toEqual([0, 2])
  })

  test("refuses what is no decimal number, by line, column and name", async () => {
    const of = (field: string) => refusal(() => tableNumbers(parseCsv(`1,2\n3,${field}\n`, { header: false })))
    for (const field of ["0x10", "Infinity", "1e", "1 2", "1_0", "-", "."]) {
      expect(await of(field)).toBe(`CF_BAD_FILE "${field}" is not a number @ line 2, column 2`)
    }
    expect(await of(" ")).toBe("CF_BAD_FILE an empty field @ line 2, column 2")
    expect(await refusal(() => tableNumbers(table))).toBe("CF_BAD_FILE an empty field @ line 3, column 2 (b)")
    expect(await refusal(() => tableNumbers(table, { columns: ["d"] }))).toBe(
      'CF_BAD_ARGUMENT there is no column "d" @ tableNumbers: columns',
    )
    expect(await refusal(() => tableNumbers(table, { columns: [3] }))).toBe(
      "CF_BAD_ARGUMENT there is no column 3 @ tableNumbers: columns",
    )
  })
})
