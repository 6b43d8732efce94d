// How long an elementwise loop takes, roughly: enough to know into how many parts it is worth cutting. An estimate from the
// expression alone, so that the cut, and with it every bit of a result, is the same on every machine.

import type { Scalar } from "@counterflow/ir"

/** Nanoseconds per element, in vectors of four. */
const slow: Readonly<Partial<Record<Scalar["op"], number>>> = {
  exp: 0.9,
  log: 1.6,
  log1p: 2,
  tanh: 0.7,
  erf: 1.2,
  sin: 2,
  cos: 2,
  pow: 8,
  div: 0.15,
  sqrt: 0.2,
}
const plain = 0.03
/** For each tensor that is read or written. */
const traffic = 0.06

/** Nanoseconds per element of some expressions that read so many tensors. */
export function costOf(scalars: readonly Scalar[], inputs: number): number {
  let total = traffic * (inputs + scalars.length)
  const seen = new Set<Scalar>()
  const visit = (node: Scalar): void => {
    if (seen.has(node)) return
    seen.add(node)
    if (node.op === "input" || node.op === "const") return
    total += slow[node.op] ?? plain
    visit(node.x)
    if ("y" in node) visit(node.y)
    if (node.op === "select") visit(node.condition)
  }
  for (const scalar of scalars) visit(scalar)
  return total
}
