// Equal parts of a scalar expression become one part, so that each is computed once. A fused chain writes out a part anew
// wherever it was read.

import type { Scalar } from "@counterflow/ir"

/** The same expression, in which equal parts are the same object. */
export function shareParts(scalar: Scalar): Scalar {
  return shareAll([scalar])[0] ?? scalar
}

/** The same expressions, in which equal parts are the same object, of whichever expression they are. */
export function shareAll(scalars: readonly Scalar[]): Scalar[] {
  const known = new Map<Scalar, Scalar>()
  const numbers = new Map<Scalar, number>()
  const unique = new Map<string, Scalar>()
  const share = (node: Scalar): Scalar => {
    let shared = known.get(node)
    if (shared === undefined) known.set(node, (shared = unify(node)))
    return shared
  }
  const unify = (node: Scalar): Scalar => {
    const { rebuilt, label, parts } = rebuild(node, share)
    const key = [label, ...parts.map((part) => numbers.get(part))].join(" ")
    const equal = unique.get(key)
    if (equal !== undefined) return equal
    numbers.set(rebuilt, unique.size)
    unique.set(key, rebuilt)
    return rebuilt
  }
  return scalars.map(share)
}

interface Rebuilt {
  readonly rebuilt: Scalar
  /** What tells it from another with the same parts. */
  readonly label: string
  readonly parts: readonly Scalar[]
}

function rebuild(node: Scalar, share: (part: Scalar) => Scalar): Rebuilt {
  if (node.op === "input") return { rebuilt: node, label: `input ${node.slot}`, parts: [] }
  if (node.op === "const") {
    const text = Object.is(node.value, -0) ? "-0" : String(node.value)
    return { rebuilt: node, label: `const ${text}`, parts: [] }
  }
  const x = share(node.x)
  if (node.op === "select") {
    const [condition, y] = [share(node.condition), share(node.y)]
    return { rebuilt: { op: node.op, condition, x, y }, label: node.op, parts: [condition, x, y] }
  }
  if (node.op === "cast")
    return { rebuilt: { op: node.op, x, dtype: node.dtype }, label: `cast ${node.dtype}`, parts: [x] }
  if (!("y" in node)) return { rebuilt: { op: node.op, x }, label: node.op, parts: [x] }
  const y = share(node.y)
  return { rebuilt: { op: node.op, x, y }, label: node.op, parts: [x, y] }
}
