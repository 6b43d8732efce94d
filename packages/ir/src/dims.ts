// Symbolic dimensions and shapes: what a shape rule may ask of sizes that are not known when a program is built.
// The arithmetic keeps every Dim in normal form (dimexpr.ts), so that equal dimensions have equal texts.

import type { Atom, Dim } from "./dimexpr.ts"
import { addTerms, DimExpr, exact, formatDim, negateTerms, termsOf, tightRangeOf } from "./dimexpr.ts"
import { addDims, floorDivDims, floorDivNumbers, gcd, maxDims, modDims, mulDims } from "./dimops.ts"

export type { Dim } from "./dimexpr.ts"
export { DimExpr, formatDim } from "./dimexpr.ts"
export { addDims, floorDivDims, maxDims, modDims, mulDims, subDims, symbol } from "./dimops.ts"
export { parseDim } from "./dimtext.ts"

export type Shape = readonly Dim[]

/** Whether the normal forms are equal; false may still mean "equal for every binding, but not seen to be". */
export function sameDim(a: Dim, b: Dim): boolean {
  if (typeof a === "number" || typeof b === "number") return a === b
  return a.key === b.key
}

/** "equal" and "different" hold for every binding of the symbols to integers >= 0; anything else is "unknown". */
export function compareDims(a: Dim, b: Dim): "equal" | "different" | "unknown" {
  if (sameDim(a, b)) return "equal"
  if (typeof a === "number" && typeof b === "number") return "different"
  const difference = addTerms(termsOf(a), negateTerms(termsOf(b)))
  // 2*n - 4*m + 1 is never zero: a common divisor of all other coefficients would have to divide the constant.
  const last = difference.at(-1)
  const constant = last?.atoms.length === 0 ? last.coef : 0
  const divisor = difference.filter(({ atoms }) => atoms.length > 0).reduce((g, { coef }) => gcd(g, coef), 0)
  if (divisor === 0 || constant % divisor !== 0) return "different"
  const { lo, hi } = tightRangeOf(difference)
  return lo > 0 || hi < 0 ? "different" : "unknown"
}

/** The names of all symbols in a dimension or shape, sorted, each once. */
export function symbolsOf(d: Dim | Shape): string[] {
  const names = new Set<string>()
  gatherSymbols(typeof d === "number" || d instanceof DimExpr ? [d] : d, names)
  return [...names].sort()
}

function gatherSymbols(dims: Shape, names: Set<string>): void {
  for (const d of dims) {
    if (typeof d === "number") continue
    for (const atom of d.terms.flatMap(({ atoms }) => atoms)) {
      if (atom.kind === "symbol") names.add(atom.key)
      else gatherSymbols(operandsOf(atom), names)
    }
  }
}

function operandsOf(atom: Exclude<Atom, { kind: "symbol" }>): Shape {
  return atom.kind === "max" ? atom.args : [atom.a, atom.b]
}

/** The value under the bindings. RangeError for a symbol without one, a division by zero, a value beyond 2^53 - 1. */
export function bindDim(d: Dim, bindings: ReadonlyMap<string, number>): number {
  if (typeof d === "number") return d
  let sum = 0
  for (const { coef, atoms } of d.terms) {
    let product = coef
    for (const atom of atoms) product = exact(product * bindAtom(atom, bindings))
    sum = exact(sum + product)
  }
  return sum
}

function bindAtom(atom: Atom, bindings: ReadonlyMap<string, number>): number {
  if (atom.kind === "symbol") {
    const value = bindings.get(atom.key)
    if (value === undefined) throw new RangeError(`dimension symbol "${atom.key}" is not bound`)
    return value
  }
  if (atom.kind === "max") return Math.max(...atom.args.map((x) => bindDim(x, bindings)))
  const b = bindDim(atom.b, bindings)
  if (b === 0) throw new RangeError(`dimension ${atom.key} divides by zero: ${formatDim(atom.b)} is 0`)
  const quotient = floorDivNumbers(bindDim(atom.a, bindings), b)
  return atom.kind === "floorDiv" ? quotient : bindDim(atom.a, bindings) - b * quotient
}

/** Puts dimensions in the place of symbols; those not named stay. What is put in must be >= 0, as symbols are. */
export function substituteDim(d: Dim, by: ReadonlyMap<string, Dim>): Dim {
  if (typeof d === "number") return d
  return addDims(...d.terms.map(({ coef, atoms }) => mulDims(coef, ...atoms.map((atom) => substituteAtom(atom, by)))))
}

function substituteAtom(atom: Atom, by: ReadonlyMap<string, Dim>): Dim {
  if (atom.kind === "symbol") return by.get(atom.key) ?? new DimExpr([{ coef: 1, atoms: [atom] }])
  if (atom.kind === "max") return maxDims(...atom.args.map((x) => substituteDim(x, by)))
  const [a, b] = [substituteDim(atom.a, by), substituteDim(atom.b, by)]
  return atom.kind === "floorDiv" ? floorDivDims(a, b) : modDims(a, b)
}

/** The number of elements; 1 for the shape of a scalar. */
export function numel(shape: Shape): Dim {
  return mulDims(...shape)
}

export function sameShape(a: Shape, b: Shape): boolean {
  return a.length === b.length && a.every((d, axis) => sameDim(d, b[axis] ?? NaN))
}

/** `[batch, 128]` */
export function formatShape(shape: Shape): string {
  return `[${shape.map(formatDim).join(", ")}]`
}

export function isStatic(shape: Shape): shape is readonly number[] {
  return shape.every((d) => typeof d === "number")
}
