// The normal form of a symbolic dimension: a sum of terms, each an integer times a sorted multiset of atoms. An atom is
// a symbol (an integer >= 0), a floorDiv or a max of normal forms. There is no mod inside: mod(a, b) is
// a - b*floorDiv(a, b), so that both spellings are one Dim; the text alone shows it as mod again.

export type Dim = number | DimExpr

interface Range {
  readonly lo: number
  readonly hi: number
}

export type Atom = Range & { readonly key: string } & (
    | { readonly kind: "symbol" }
    | { readonly kind: "floorDiv" | "mod"; readonly a: Dim; readonly b: Dim }
    | { readonly kind: "max"; readonly args: readonly Dim[] }
  )

export interface Term {
  readonly coef: number
  readonly atoms: readonly Atom[]
}

/** Sorted by graded lexicographic order (so the constant is last), no two alike, no coefficient zero. */
export type Terms = readonly Term[]

/** Every normal form fits the parser's input limit: what can be built can be printed and read back. */
export const maxTextLength = 1000
const maxTerms = 500

/** An integer expression over symbols, never a plain constant; equal to another iff the keys are equal. Immutable. */
export class DimExpr {
  readonly terms: Terms
  /** Canonical text, e.g. `2*batch*n + floorDiv(h + 1, 2)`. */
  readonly key: string

  /** Use `symbol` and the arithmetic of this package; the terms must already be in normal form. */
  constructor(terms: Terms) {
    this.terms = terms
    this.key = formatTerms(withMods(terms))
    if (this.key.length > maxTextLength) throw new RangeError(`dimension expression is too large: ${excerpt(this.key)}`)
    Object.freeze(this)
  }

  toString(): string {
    return this.key
  }

  toJSON(): string {
    return this.key
  }
}

export function excerpt(text: string): string {
  return text.length > 60 ? `${text.slice(0, 60)}…` : text
}

export function formatDim(d: Dim): string {
  return typeof d === "number" ? String(d) : d.key
}

/** The number itself, as long as arithmetic on it is exact; minus zero becomes zero. */
export function exact(n: number): number {
  if (!Number.isSafeInteger(n)) throw new RangeError(`dimension arithmetic leaves the safe integers: got ${n}`)
  return n + 0
}

export function termsOf(d: Dim): Terms {
  if (typeof d !== "number") return d.terms
  return exact(d) === 0 ? [] : [{ coef: d, atoms: [] }]
}

export function dimOf(terms: Terms): Dim {
  const first = terms[0]
  if (!first) return 0
  return first.atoms.length === 0 ? first.coef : new DimExpr(terms)
}

export function atomDim(atom: Atom): DimExpr {
  return new DimExpr([{ coef: 1, atoms: [atom] }])
}

// A monomial order proper (degree first, then atom by atom): products and quotients of sorted terms stay sorted.
function compareMonomials(p: readonly Atom[], q: readonly Atom[]): number {
  if (p.length !== q.length) return q.length - p.length
  for (const [i, atom] of p.entries()) {
    const other = q[i]
    if (other && atom.key !== other.key) return atom.key < other.key ? -1 : 1
  }
  return 0
}

function collect(terms: Term[]): Terms {
  terms.sort((s, t) => compareMonomials(s.atoms, t.atoms))
  const out: Term[] = []
  for (const term of terms) {
    const last = out.at(-1)
    if (last && compareMonomials(last.atoms, term.atoms) === 0) {
      out.pop()
      const coef = exact(last.coef + term.coef)
      if (coef !== 0) out.push({ coef, atoms: last.atoms })
    } else out.push(term)
  }
  if (out.length > maxTerms) throw new RangeError(`dimension expression is too large: more than ${maxTerms} terms`)
  return out
}

export function addTerms(...sums: Terms[]): Terms {
  return collect(sums.flat())
}

export function multiplyTerms(p: Terms, q: Terms): Terms {
  const out: Term[] = []
  for (const s of p) for (const t of q) out.push({ coef: exact(s.coef * t.coef), atoms: multiset(s.atoms, t.atoms) })
  return collect(out)
}

export function negateTerms(terms: Terms): Terms {
  return terms.map(({ coef, atoms }) => ({ coef: -coef, atoms }))
}

function multiset(p: readonly Atom[], q: readonly Atom[]): readonly Atom[] {
  if (p.length === 0) return q
  if (q.length === 0) return p
  return [...p, ...q].sort((x, y) => (x.key < y.key ? -1 : x.key > y.key ? 1 : 0))
}

/** The atoms of `p` without those of `q`, or undefined where `q` does not divide `p`. */
export function divideAtoms(p: readonly Atom[], q: readonly Atom[]): readonly Atom[] | undefined {
  const rest = [...p]
  for (const atom of q) {
    const at = rest.findIndex(({ key }) => key === atom.key)
    if (at < 0) return undefined
    rest.splice(at, 1)
  }
  return rest
}

/** q with p = q·d, by long division on leading terms; undefined where there is none, or it is out of proportion. */
export function exactQuotient(p: Terms, d: Terms): Terms | undefined {
  const lead = d[0]
  if (!lead) return undefined
  const quotient: Term[] = []
  let rest = p
  while (rest[0]) {
    const atoms = divideAtoms(rest[0].atoms, lead.atoms)
    const coef = rest[0].coef / lead.coef
    if (!atoms || !Number.isInteger(coef) || quotient.length + rest.length + d.length > maxTerms) return undefined
    // Half the safe range each, so that the subtraction below is exact.
    if ([...rest, ...d.map((t) => ({ coef: coef * t.coef }))].some((t) => Math.abs(t.coef) > 2 ** 52)) return undefined
    quotient.push({ coef, atoms })
    rest = addTerms(rest, multiplyTerms(d, [{ coef: -coef, atoms }]))
  }
  return quotient
}

// 0·∞ is 0 here: an end of a range is a bound that is never reached.
function times(a: number, b: number): number {
  return a === 0 || b === 0 ? 0 : a * b
}

/** Bounds of a sum, term by term. Superadditive in its argument, so that "p - q >= 0 by range" is transitive. */
export function rangeOf(terms: Terms): Range {
  let [lo, hi] = [0, 0]
  for (const { coef, atoms } of terms) {
    let range: Range = { lo: coef, hi: coef }
    for (const atom of atoms) {
      const ends = [range.lo, range.hi].flatMap((end) => [times(end, atom.lo), times(end, atom.hi)])
      range = { lo: Math.min(...ends), hi: Math.max(...ends) }
    }
    lo += range.lo
    hi += range.hi
  }
  return { lo, hi }
}

/** Bounds of a sum that also know a - b*floorDiv(a, b) to be a mod: tighter than `rangeOf`, but not transitive. */
export function tightRangeOf(terms: Terms): Range {
  const plain = rangeOf(terms)
  const view = withMods(terms)
  if (view === terms) return plain
  const modular = rangeOf(view)
  return { lo: Math.max(plain.lo, modular.lo), hi: Math.min(plain.hi, modular.hi) }
}

// The same sum with k*(a - b*floorDiv(a, b)) written k*mod(a, b) wherever the terms of k*a are there in full (but for
// the constant). A function of the normal form alone, hence as canonical as that is.
function withMods(terms: Terms): Terms {
  let view = terms
  for (const atom of new Map(terms.flatMap(({ atoms }) => atoms.map((x) => [x.key, x]))).values()) {
    if (atom.kind !== "floorDiv") continue
    const share: Term[] = []
    for (const { coef, atoms } of terms) {
      const rest = divideAtoms(atoms, [atom])
      if (rest) share.push({ coef: -coef, atoms: rest })
    }
    const a = termsOf(atom.a)
    const k = exactQuotient(share, termsOf(atom.b))
    if (!k || k.length * a.length > terms.length + 1) continue
    const whole = multiplyTerms(k, a)
    const isConstant = whole[0]?.atoms.length === 0
    if (!whole.every((t) => (t.atoms.length === 0 && !isConstant) || view.some((v) => isSameTerm(v, t)))) continue
    const added = multiplyTerms(k, [{ coef: 1, atoms: [modAtom(atom.a, atom.b)] }])
    view = addTerms(view, multiplyTerms(share, [{ coef: 1, atoms: [atom] }]), negateTerms(whole), added)
  }
  return view
}

function isSameTerm(s: Term, t: Term): boolean {
  return s.coef === t.coef && compareMonomials(s.atoms, t.atoms) === 0
}

function modAtom(a: Dim, b: Dim): Atom {
  const divisor = rangeOf(termsOf(b))
  const range = divisor.lo >= 0 ? { lo: 0, hi: divisor.hi - 1 } : { lo: -Infinity, hi: Infinity }
  return { kind: "mod", key: `mod(${formatDim(a)}, ${formatDim(b)})`, a, b, ...range }
}

function formatTerms(terms: Terms): string {
  let text = ""
  for (const { coef, atoms } of terms) {
    const size = Math.abs(coef)
    const factors = atoms.map(({ key }) => key)
    if (size !== 1 || atoms.length === 0) factors.unshift(String(size))
    if (text) text += coef < 0 ? " - " : " + "
    else if (coef < 0) text += "-"
    text += factors.join("*")
  }
  return text
}
