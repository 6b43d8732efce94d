// The reference page of an op, written from its record and description: what docs/ops.md is made of, and what the author of an
// op from outside gets for free.

import type { Description, Op } from "@counterflow/ops"

/** One op's section as Markdown lines. */
export function opSection(entry: Description): string[] {
  const { op, summary, formula, source, policy, tolerance } = entry
  const attrs = Object.entries(op.attrs).map(
    ([name, kind]) => `\`${name}\`: ${typeof kind === "string" ? kind : kind.join(" \\| ")}`,
  )
  const lines = [
    `- formula: ${code(formula)}`,
    `- source: ${source}`,
    ...(attrs.length === 0 ? [] : [`- attributes: ${attrs.join(", ")}`]),
    `- gradient: ${gradientOf(op)}`,
    ...(policy === undefined ? [] : [`- where the derivative does not exist: ${policy}`]),
    `- float32 tolerance: ${tolerance === 0 ? "exact" : tolerance}`,
  ]
  return [`## ${op.name}`, "", `${code(signature(op))}`, "", summary, "", ...lines, ""]
}

function code(text: string): string {
  return text.includes("`") ? `\`\` ${text} \`\`` : `\`${text}\``
}

function signature(op: Op): string {
  const inputs = Object.entries(op.inputs).map(([slot, kind]) => {
    const base = kind.replace(/\?$/, "")
    const note = base.startsWith("ind") ? " index" : base.startsWith("state") ? " state" : ""
    const isList = base === "tensors" || base === "indices" || base === "states"
    return `${isList ? "..." : ""}${slot}${kind.endsWith("?") ? "?" : ""}${note}`
  })
  return `${op.name}(${inputs.join(", ")}) → ${op.outputs.join(", ")}`
}

/** How an op answers for its gradient, in a few words. */
export function gradientOf(op: Op): string {
  if (typeof op.gradient === "function") return "own rule"
  const { answer, why } = op.gradient
  return answer === "byDecomposition" ? "by decomposition" : answer === "noGrad" ? `none: ${why}` : `not yet: ${why}`
}
