// Arithmetic on dimensions. Two numbers give a number by plain arithmetic; anything else is brought to normal form.
// A division by a symbolic dimension takes that to be nonzero.

import type { Atom, Dim, Term, Terms } from "./dimexpr.ts"
import {
  addTerms,
  atomDim,
  dimOf,
  DimExpr,
  divideAtoms,
  exact,
  exactQuotient,
  excerpt,
  formatDim,
  multiplyTerms,
  negateTerms,
  rangeOf,
  termsOf,
  tightRangeOf,
} from "./dimexpr.ts"

/** A named integer >= 0, known only when a program runs. */
export function symbol(name: string): DimExpr {
  if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(name)) {
    throw new RangeError(
      `dimension symbol ${JSON.stringify(excerpt(name))} is not a name: letters, digits and _, no digit first`,
    )
  }
  if (name === "max" || name === "floorDiv" || name === "mod") {
    throw new RangeError(`dimension symbol "${name}" is the name of an operation`)
  }
  return atomDim({ kind: "symbol", key: name, lo: 0, hi: Infinity })
}

export function addDims(...terms: Dim[]): Dim {
  let sum = 0
  for (const d of terms) {
    if (typeof d !== "number") return dimOf(addTerms(...terms.map(termsOf)))
    sum = exact(sum + exact(d))
  }
  return sum
}

export function subDims(a: Dim, b: Dim): Dim {
  if (typeof a === "number" && typeof b === "number") return exact(exact(a) - exact(b))
  return dimOf(addTerms(termsOf(a), negateTerms(termsOf(b))))
}

export function mulDims(...factors: Dim[]): Dim {
  let product = 1
  for (const d of factors) {
    if (typeof d !== "number") return dimOf(factors.map(termsOf).reduce(multiplyTerms))
    product = exact(product * exact(d))
  }
  return product
}

/** a - b*floorDiv(a, b), on numbers: the remainder with the sign of b. */
export function modNumbers(a: number, b: number): number {
  if (b === 0) throw new RangeError(`dimension ${a} is divided by zero`)
  const rest = exact(a) % exact(b)
  return (rest !== 0 && rest < 0 !== b < 0 ? rest + b : rest) + 0
}

export function floorDivNumbers(a: number, b: number): number {
  if (b === 0) throw new RangeError(`dimension ${a} is divided by zero`)
  // Through the remainder: a / b may round up to an integer that the exact quotient stays below.
  const rest = exact(a) % exact(b)
  return (a - rest) / b - (rest !== 0 && rest < 0 !== b < 0 ? 1 : 0) + 0
}

/** a = b*floorDiv(a, b) + mod(a, b), with mod in [0, b) for b > 0 and in (b, 0] for b < 0. */
export function modDims(a: Dim, b: Dim): Dim {
  if (typeof a === "number" && typeof b === "number") return modNumbers(a, b)
  return subDims(a, mulDims(b, floorDivDims(a, b)))
}

/** The largest integer <= a/b. */
export function floorDivDims(a: Dim, b: Dim): Dim {
  if (typeof a === "number" && typeof b === "number") return floorDivNumbers(a, b)
  const p = termsOf(a)
  const d = termsOf(b)
  const lead = d[0]
  if (!lead) throw new RangeError(`dimension ${formatDim(a)} is divided by zero`)
  if (lead.coef < 0) return floorDivDims(dimOf(negateTerms(p)), dimOf(negateTerms(d)))
  const quotient = exactQuotient(p, d) ?? knownQuotient(p, d)
  if (quotient) return dimOf(quotient)
  return typeof b === "number" ? divideByNumber(p, b) : divideBySymbols(p, d)
}

// The quotient is a known number where 0 <= p < d, or where the two ranges leave it no choice.
function knownQuotient(p: Terms, d: Terms): Terms | undefined {
  if (tightRangeOf(p).lo >= 0 && tightRangeOf(addTerms(d, negateTerms(p))).lo > 0) return []
  const { lo, hi } = quotientRange(p, d)
  return lo === hi ? termsOf(lo) : undefined
}

function quotientRange(p: Terms, d: Terms): { lo: number; hi: number } {
  const above = tightRangeOf(p)
  const below = tightRangeOf(d)
  if (below.lo < 0) return { lo: -Infinity, hi: Infinity }
  const least = Math.max(below.lo, 1)
  return {
    lo: Math.floor(above.lo / (above.lo < 0 ? least : below.hi)),
    // A negative number over one without bound still rounds down to -1.
    hi: above.hi < 0 ? Math.min(-1, Math.floor(above.hi / below.hi)) : Math.floor(above.hi / least),
  }
}

function floorDivAtom(p: Terms, d: Terms): Dim {
  const [a, b] = [dimOf(p), dimOf(d)]
  const key = `floorDiv(${formatDim(a)}, ${formatDim(b)})`
  return atomDim({ kind: "floorDiv", key, a, b, ...quotientRange(p, d) })
}

// floorDiv(q·b + r, b) = q + floorDiv(r, b), with every coefficient of r in (-b/2, b/2] and its constant in [0, b): one
// form for all dividends that differ by a multiple of b. Three more steps then shrink floorDiv(r, b).
function divideByNumber(p: Terms, b: number): Dim {
  const quotient: Term[] = []
  const rest: Term[] = []
  for (const { coef, atoms } of p) {
    let left = modNumbers(coef, b)
    if (atoms.length > 0 && 2 * left > b) left -= b
    if (left !== coef) quotient.push({ coef: (coef - left) / b, atoms })
    if (left !== 0) rest.push({ coef: left, atoms })
  }
  const q = dimOf(quotient)
  const known = knownQuotient(rest, termsOf(b))
  if (known) return addDims(q, dimOf(known))

  // 1. floorDiv(g·r + c, g·b) = floorDiv(r + floorDiv(c, g), b)
  const free = rest.filter(({ atoms }) => atoms.length > 0)
  const g = free.reduce((divisor, { coef }) => gcd(divisor, coef), b)
  if (g > 1) {
    const shrunk = rest.map(({ coef, atoms }) => ({ coef: floorDivNumbers(coef, g), atoms }))
    return addDims(q, floorDivDims(dimOf(shrunk.filter(({ coef }) => coef !== 0)), b / g))
  }
  // 2. floorDiv(-r, b) = -floorDiv(r + b - 1, b). A coefficient b/2 is its own negative and decides nothing.
  const sign = free.find(({ coef }) => 2 * coef !== b)
  if (sign && sign.coef < 0) return subDims(q, floorDivDims(dimOf(addTerms(negateTerms(rest), termsOf(b - 1))), b))
  // 3. floorDiv(floorDiv(a, c) + r, b) = floorDiv(a + c·r, b·c), for c > 0: a stack of strided layers stays one quotient.
  const inner = rest.filter(isNested)
  const [term] = inner
  const atom = term?.atoms[0]
  if (inner.length === 1 && atom?.kind === "floorDiv" && typeof atom.b === "number" && atom.b * b <= 2 ** 31) {
    const others = dimOf(rest.filter((t) => t !== term))
    return addDims(q, floorDivDims(addDims(atom.a, mulDims(atom.b, others)), atom.b * b))
  }
  return addDims(q, floorDivAtom(rest, termsOf(b)))
}

function isNested({ coef, atoms }: Term): boolean {
  const [atom] = atoms
  return coef === 1 && atoms.length === 1 && atom?.kind === "floorDiv" && typeof atom.b === "number"
}

// By symbols: common factors cancel, and multiples of a divisor of one term come out. For a sum as the divisor there is
// only the exact quotient: a remainder of long division would be no simpler than the dividend.
function divideBySymbols(p: Terms, d: Terms): Dim {
  const factor = commonFactor([...p, ...d])
  if (factor.coef > 1 || factor.atoms.length > 0) {
    return floorDivDims(dimOf(exactQuotient(p, [factor]) ?? p), dimOf(exactQuotient(d, [factor]) ?? d))
  }
  const [divisor] = d
  if (d.length > 1 || !divisor) return floorDivAtom(p, d)
  const quotient: Term[] = []
  const rest: Term[] = []
  for (const term of p) {
    const atoms = divideAtoms(term.atoms, divisor.atoms)
    const left = atoms ? modNumbers(term.coef, divisor.coef) : term.coef
    if (atoms && left !== term.coef) quotient.push({ coef: (term.coef - left) / divisor.coef, atoms })
    if (left !== 0) rest.push({ coef: left, atoms: term.atoms })
  }
  if (quotient.length === 0) return floorDivAtom(p, d)
  return addDims(dimOf(quotient), floorDivDims(dimOf(rest), dimOf(d)))
}

function commonFactor(terms: Terms): Term {
  const coef = terms.reduce((divisor, t) => gcd(divisor, t.coef), 0)
  const atoms: Atom[] = []
  for (const atom of terms[0]?.atoms ?? []) {
    if (terms.every((t) => divideAtoms(t.atoms, [...atoms, atom]))) atoms.push(atom)
  }
  return { coef, atoms }
}

/** Greatest common divisor, >= 0. */
export function gcd(a: number, b: number): number {
  return b === 0 ? Math.abs(a) : gcd(b, a % b)
}

/** The largest of the arguments. One that another is never below is left out. */
export function maxDims(...xs: Dim[]): Dim {
  if (xs.length === 0) throw new RangeError("the maximum of no dimensions is not defined")
  if (xs.every((x) => typeof x === "number")) return xs.reduce((m, x) => Math.max(m, exact(x)), -Infinity)
  const candidates = new Map(xs.flatMap(maxOperands).map((x) => [formatDim(x), x]))
  // `rangeOf` is transitive here where the tighter range is not; otherwise max would depend on how it is nested.
  for (const [key, x] of candidates) {
    for (const [other, y] of candidates) {
      if (other !== key && rangeOf(addTerms(termsOf(x), negateTerms(termsOf(y)))).lo >= 0) candidates.delete(other)
    }
  }
  const args = [...candidates.values()].sort(compareOperands)
  const [only] = args
  if (args.length === 1 && only !== undefined) return only
  const ranges = args.map((x) => rangeOf(termsOf(x)))
  const lo = Math.max(...ranges.map((r) => r.lo))
  const hi = Math.max(...ranges.map((r) => r.hi))
  return atomDim({ kind: "max", key: `max(${args.map(formatDim).join(", ")})`, args, lo, hi })
}

function maxOperands(d: Dim): readonly Dim[] {
  if (typeof d === "number") return [d]
  const [term, ...others] = d.terms
  const atom = term?.atoms[0]
  return others.length === 0 && term?.coef === 1 && term.atoms.length === 1 && atom?.kind === "max" ? atom.args : [d]
}

// Expressions by text, then the constant: max(n, 1).
function compareOperands(x: Dim, y: Dim): number {
  if (!(x instanceof DimExpr)) return 1
  if (!(y instanceof DimExpr)) return -1
  return x.key < y.key ? -1 : 1
}
