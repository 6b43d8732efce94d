// Bound programs as text, for people: one line per operator, expressions in the usual notation.

import { formatShape, type Scalar, type VarId } from "@counterflow/ir"
import { type BoundBlock, type BoundOp, type BoundProgram, type BoundVar, idsOf, scalarsOf } from "./bound.ts"

/**
 * A program with its symbols bound, as text: one line per operator, then what is committed and fetched.
 *
 * @example
 * ```ts
 * console.log(printBound(bound))
 * ```
 */
export function printBound({ vars, block, commits, fetches }: BoundProgram): string {
  const name = (id: VarId) => vars[id]?.name ?? `variable ${id}`
  return [
    ...printBlock(block, vars, ""),
    ...commits.map(({ state, value }) => `commit ${name(state)} ← ${name(value)}`),
    ...(fetches.length === 0 ? [] : [`fetch ${fetches.map(name).join(", ")}`]),
  ].join("\n")
}

function printBlock({ ops, params, results }: BoundBlock, vars: readonly BoundVar[], indent: string): string[] {
  const name = (id: VarId) => vars[id]?.name ?? `variable ${id}`
  const given = params.length === 0 ? [] : [`${indent}is given ${params.map(name).join(", ")}`]
  const made = ops.flatMap((op) => [
    `${indent}${printOp(op, vars)}`,
    ...Object.entries(op.blocks).flatMap(([title, inner]) => [
      `${indent}  ${title}:`,
      ...printBlock(inner, vars, `${indent}    `),
    ]),
  ])
  const lines = [...given, ...made]
  return results.length === 0 ? lines : [...lines, `${indent}hands out ${results.map(name).join(", ")}`]
}

function printOp(op: BoundOp, vars: readonly BoundVar[]): string {
  const { type, inputs, outputs, attrs, reads, views, prologue, epilogue } = op
  const name = (id: VarId) => vars[id]?.name ?? `variable ${id}`
  const made = idsOf(outputs).map((id) => `${name(id)} : ${vars[id]?.dtype}${formatShape(vars[id]?.shape ?? [])}`)
  const read = Object.entries(inputs).map(([slot, ids]) => {
    const steps = reads?.[slot] === undefined ? "" : ` by [${reads[slot].join(", ")}]`
    const list = op.listInputs.includes(slot) ? `[${ids.map(name).join(", ")}]` : ids.map(name).join(", ")
    return `${slot}: ${list}${steps}`
  })
  const seen = Object.entries(views ?? {}).map(
    ([slot, { shape, strides }]) => ` with ${slot} as ${formatShape(shape)} by [${strides.join(", ")}]`,
  )
  const given = Object.entries(attrs).map(([attr, value]) => `${attr}: ${printValue(value)}`)
  const expressions = isPlain(op) ? [] : Object.values(scalarsOf(op) ?? {})
  return [
    `${made.join(", ")} = ${type}(${read.join(", ")})`,
    op.segment === undefined ? "" : ` in segment ${op.segment}`,
    given.length === 0 ? "" : ` {${given.join(", ")}}`,
    ...seen,
    expressions.length === 0 ? "" : ` computes ${expressions.map(printScalar).join(", ")}`,
    prologue === undefined ? "" : ` of ${prologue.slot} = ${printScalar(prologue.scalar)}`,
    epilogue === undefined ? "" : ` then ${printScalar(epilogue)}`,
  ].join("")
}

/** Whether name and attributes say all: of an op as it was written, or one whose expression has no number in it. */
function isPlain({ type, attrs, facts }: BoundOp): boolean {
  const hasNumber = (node: Scalar): boolean =>
    node.op === "const" ||
    (node.op !== "input" &&
      (hasNumber(node.x) || ("y" in node && hasNumber(node.y)) || (node.op === "select" && hasNumber(node.condition))))
  if (!/^[\w.]+$/.test(type)) return false
  return facts.scalar === undefined || Object.keys(attrs).length > 0 || !hasNumber(facts.scalar)
}

function printValue(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(printValue).join(", ")}]`
  return typeof value === "string" ? JSON.stringify(value) : Object.is(value, -0) ? "-0" : String(value)
}

const infix: Readonly<Record<string, string>> = {
  add: "+",
  sub: "-",
  mul: "*",
  div: "/",
  and: "&",
  or: "|",
  less: "<",
  lessEqual: "<=",
  equal: "==",
  notEqual: "!=",
}

/** An expression as a person would write it; the slot "" is the element that the operator itself makes. */
export function printScalar(scalar: Scalar): string {
  const inner = (node: Scalar) => {
    const text = printScalar(node)
    return node.op in infix || node.op === "select" ? `(${text})` : text
  }
  if (scalar.op === "input") return scalar.slot === "" ? "it" : scalar.slot
  if (scalar.op === "const") return printValue(scalar.value)
  if (scalar.op === "cast") return `${scalar.dtype}(${printScalar(scalar.x)})`
  if (scalar.op === "select") return `${inner(scalar.condition)} ? ${inner(scalar.x)} : ${inner(scalar.y)}`
  if (!("y" in scalar)) return `${scalar.op}(${printScalar(scalar.x)})`
  const sign = infix[scalar.op]
  if (sign === undefined) return `${scalar.op}(${printScalar(scalar.x)}, ${printScalar(scalar.y)})`
  return `${inner(scalar.x)} ${sign} ${inner(scalar.y)}`
}
