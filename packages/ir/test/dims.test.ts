// Dimensions by example: the texts of the normal form, what is refused, and in which words.
import { describe, expect, test } from "vitest"
import {
  addDims,
  bindDim,
  compareDims,
  type Dim,
  floorDivDims,
  formatDim,
  formatShape,
  isStatic,
  maxDims,
  modDims,
  mulDims,
  numel,
  parseDim,
  sameShape,
  subDims,
  substituteDim,
  symbol,
  symbolsOf,
} from "../src/dims.ts"

const [batch, h, n, w] = [symbol("batch"), symbol("h"), symbol("n"), symbol("w")]

describe("normal form", () => {
  const forms: [string, string][] = [
    ["n + 1 + batch*n*2 + 3 - 3*n", "2*batch*n - 2*n + 4"],
    ["(n + 1)*(n - 1)", "n*n - 1"],
    ["n - n + 7", "7"],
    ["-(n - 3)", "-n + 3"],
    ["floorDiv(4*n, 2)", "2*n"],
    ["floorDiv(4*n + 1, 2)", "2*n"],
    ["floorDiv(batch*n, n)", "batch"],
    ["floorDiv(6*batch*n + 3*n, 3*n)", "2*batch + 1"],
    ["floorDiv(3*batch*n, 2*batch)", "floorDiv(n, 2) + n"],
    ["floorDiv((h + 1)*(w + 2)*n, h + 1)", "n*w + 2*n"],
    ["floorDiv(n*n + 1, n)", "floorDiv(1, n) + n"],
    ["floorDiv(n, -2)", "floorDiv(n, 2) - n"],
    ["floorDiv(n, -3)", "-floorDiv(n + 2, 3)"],
    ["floorDiv(h - 1, 2) + 1", "floorDiv(h + 1, 2)"],
    ["-floorDiv(-n, 4)", "floorDiv(n + 3, 4)"],
    ["floorDiv(floorDiv(h + 1, 2) + 1, 2)", "floorDiv(h + 3, 4)"],
    ["floorDiv(6*n + 5, 4)", "floorDiv(n, 2) + n + 1"],
    ["mod(4*n, 2)", "0"],
    ["mod(4*n + 3, 2)", "1"],
    ["mod(n, 4)", "mod(n, 4)"],
    ["mod(n + 9, 4)", "mod(n + 1, 4)"],
    ["3*batch*mod(n, 4) + 1", "3*batch*mod(n, 4) + 1"],
    ["4*floorDiv(n, 4) + mod(n, 4)", "n"],
    ["n - 4*floorDiv(n, 4)", "mod(n, 4)"],
    ["mod(h, w + 1)", "mod(h, w + 1)"],
    ["mod(mod(n, 4), 4)", "mod(n, 4)"],
    ["floorDiv(mod(n, 4), 4)", "0"],
    ["floorDiv(n + 1, n + n + 1)", "floorDiv(n + 1, 2*n + 1)"],
    ["floorDiv(-1, n)", "-1"],
    ["n*floorDiv(5, n)", "floorDiv(5, n)*n"],
    ["-floorDiv(-2*batch - n, 4)", "floorDiv(2*batch + n + 3, 4)"],
    ["n + mod(n, 4)", "-4*floorDiv(n, 4) + 2*n"],
    ["floorDiv(2, n + 3)", "0"],
    ["floorDiv(n, n + 1)", "0"],
    ["floorDiv(n*h + n, h + 1)", "n"],
    ["mod(n, n + h + 1)", "n"],
    ["max(n, max(w, n), 0)", "max(n, w)"],
    ["max(n + 1, n, n - 5)", "n + 1"],
    ["max(n, 3, -2)", "max(n, 3)"],
    ["max(2*n + 1, 1)", "2*n + 1"],
    ["max(h - 3, 0)", "max(h - 3, 0)"],
  ]
  test.each(forms)("%s", (text, form) => {
    expect(formatDim(parseDim(text))).toBe(form)
  })

  test("a constant comes back as a number", () => {
    expect(subDims(addDims(n, 5), n)).toBe(5)
    expect(mulDims(n, 0)).toBe(0)
    expect(floorDivDims(mulDims(6, n), mulDims(2, n))).toBe(3)
    expect(modDims(addDims(mulDims(4, n), 3), 4)).toBe(3)
    expect(maxDims(2, 7, -1)).toBe(7)
    expect([addDims(), mulDims()]).toEqual([0, 1])
  })

  test("numbers divide towards minus infinity, without a minus zero", () => {
    expect([floorDivDims(-7, 2), floorDivDims(7, -2), floorDivDims(-7, -2), floorDivDims(0, -3)]).toEqual([
      -4, -4, 3, 0,
    ])
    expect([modDims(-7, 2), modDims(7, -2), modDims(-7, -2), modDims(-6, 3)]).toEqual([1, -1, -1, 0])
    expect(floorDivDims(Number.MAX_SAFE_INTEGER, 2)).toBe(2 ** 52 - 1)
  })

  test("an expression is immutable and reads as its text", () => {
    const d = addDims(mulDims(2, batch, n), 1)
    expect(String(d)).toBe("2*batch*n + 1")
    expect(JSON.stringify({ shape: [d, 3] })).toBe('{"shape":["2*batch*n + 1",3]}')
    expect(Object.isFrozen(d)).toBe(true)
  })

  test("what cannot be a dimension is refused by name", () => {
    expect(() => symbol("2n")).toThrow(
      new RangeError('dimension symbol "2n" is not a name: letters, digits and _, no digit first'),
    )
    expect(() => symbol("max")).toThrow(new RangeError('dimension symbol "max" is the name of an operation'))
    expect(() => floorDivDims(n, 0)).toThrow(new RangeError("dimension n is divided by zero"))
    expect(() => modDims(n, subDims(h, h))).toThrow(new RangeError("dimension n is divided by zero"))
    expect(() => floorDivDims(3, 0)).toThrow(new RangeError("dimension 3 is divided by zero"))
    expect(() => addDims(n, 0.5)).toThrow(new RangeError("dimension arithmetic leaves the safe integers: got 0.5"))
    expect(() => mulDims(2 ** 40, 2 ** 40)).toThrow(
      new RangeError("dimension arithmetic leaves the safe integers: got 1.2089258196146292e+24"),
    )
    expect(() => mulDims(mulDims(n, 2 ** 40), 2 ** 40)).toThrow(
      new RangeError("dimension arithmetic leaves the safe integers: got 1.2089258196146292e+24"),
    )
    expect(() => maxDims()).toThrow(new RangeError("the maximum of no dimensions is not defined"))
  })
})

describe("comparison", () => {
  const cases: [string, string, string][] = [
    ["2*n", "n + n", "equal"],
    ["n + 1", "n", "different"],
    ["2*batch + 1", "0", "different"],
    ["batch", "0", "unknown"],
    ["2*n", "2*h + 1", "different"],
    ["mod(n, 4)", "4", "different"],
    ["mod(n, 4)", "3", "unknown"],
    ["batch*n", "-1", "different"],
    ["max(n, 3)", "2", "different"],
    ["floorDiv(n, 2)", "n", "unknown"],
    ["7", "7", "equal"],
    ["7", "8", "different"],
  ]
  test.each(cases)("%s and %s: %s", (a, b, answer) => {
    expect(compareDims(parseDim(a), parseDim(b))).toBe(answer)
    expect(compareDims(parseDim(b), parseDim(a))).toBe(answer)
  })
})

describe("symbols", () => {
  test("are found at every depth, sorted, once", () => {
    expect(symbolsOf(parseDim("floorDiv(w, max(h, 2*n)) + w"))).toEqual(["h", "n", "w"])
    expect(symbolsOf([n, 3, parseDim("batch + n")])).toEqual(["batch", "n"])
    expect(symbolsOf(4)).toEqual([])
  })

  test("without a value, or dividing by zero, are named", () => {
    expect(
      bindDim(
        parseDim("2*n + floorDiv(h, n)"),
        new Map([
          ["n", 3],
          ["h", 7],
        ]),
      ),
    ).toBe(8)
    expect(() => bindDim(addDims(n, h), new Map([["n", 1]]))).toThrow(
      new RangeError('dimension symbol "h" is not bound'),
    )
    expect(() =>
      bindDim(
        floorDivDims(h, n),
        new Map([
          ["n", 0],
          ["h", 7],
        ]),
      ),
    ).toThrow(new RangeError("dimension floorDiv(h, n) divides by zero: n is 0"))
    expect(() => bindDim(mulDims(n, n), new Map([["n", 2 ** 40]]))).toThrow(
      new RangeError("dimension arithmetic leaves the safe integers: got 1.2089258196146292e+24"),
    )
  })

  test("give way to dimensions", () => {
    expect(formatDim(substituteDim(parseDim("floorDiv(n, 2) + h"), new Map<string, Dim>([["n", mulDims(4, w)]])))).toBe(
      "h + 2*w",
    )
    expect(
      substituteDim(
        parseDim("max(n, h) + mod(n, h)"),
        new Map<string, Dim>([
          ["n", 5],
          ["h", 3],
        ]),
      ),
    ).toBe(7)
  })
})

test("shapes", () => {
  expect(formatDim(numel([batch, 3, addDims(h, 1)]))).toBe("3*batch*h + 3*batch")
  expect(numel([])).toBe(1)
  expect(numel([2, 3])).toBe(6)
  expect(formatShape([batch, 128])).toBe("[batch, 128]")
  expect(formatShape([])).toBe("[]")
  expect(sameShape([batch, mulDims(2, n)], [batch, addDims(n, n)])).toBe(true)
  expect(sameShape([batch, 1], [batch, 1, 1])).toBe(false)
  expect(sameShape([batch, 1], [batch, n])).toBe(false)
  expect([isStatic([2, 3]), isStatic([batch, 3]), isStatic([])]).toEqual([true, false, true])
})

describe("text", () => {
  const malformed: [string, string][] = [
    ["", 'dimension "": expected an operand, got the end of the text at position 0'],
    ["n +", 'dimension "n +": expected an operand, got the end of the text at position 3'],
    ["n h", 'dimension "n h": expected an operator, got "h" at position 2'],
    ["n + $", 'dimension "n + $": unexpected character "$" at position 4'],
    ["n / 2", 'dimension "n / 2": unexpected character "/" at position 2'],
    ["(n + 1", 'dimension "(n + 1": expected ")", got the end of the text at position 6'],
    ["n)", 'dimension "n)": expected an operator, got ")" at position 1'],
    ["mod(n)", 'dimension "mod(n)": mod takes 2 arguments, got 1, at position 6'],
    ["max", 'dimension "max": expected "(", got the end of the text at position 3'],
    ["max()", 'dimension "max()": expected an operand, got ")" at position 4'],
    ["--n", 'dimension "--n": expected an operand, got "-" at position 1'],
    ["2n", 'dimension "2n": expected an operator, got "n" at position 1'],
    ["1.5", 'dimension "1.5": unexpected character "." at position 1'],
    ["9007199254740993", 'dimension "9007199254740993": integer 9007199254740993 is beyond 2^53 - 1 at position 0'],
    ["mod(n, 0)", 'dimension "mod(n, 0)": dimension n is divided by zero at position 9'],
  ]
  test.each(malformed)("%j is refused", (text, message) => {
    expect(() => parseDim(text)).toThrow(new SyntaxError(message))
  })

  test("is limited in length, depth and the size of what it means", () => {
    expect(() => parseDim("n".repeat(1001))).toThrow(
      new SyntaxError("dimension text has 1001 characters; at most 1000 are read"),
    )
    expect(() => parseDim("(".repeat(400) + "n" + ")".repeat(400))).toThrow(
      /more than 200 levels of nesting at position 201$/,
    )
    const binomials = Array.from({ length: 60 }, (_, i) => `(a${i} + b${i})`).join("*")
    expect(() => parseDim(binomials)).toThrow(/dimension expression is too large/)
    expect(() => symbol("n".repeat(1001))).toThrow(/dimension expression is too large/)
  })
})
