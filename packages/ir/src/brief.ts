// The short text of a Program for tests and for checking derivatives by eye: "dw = matmul(x, dy) {transposeX: true}".
// No types and no bookkeeping; attributes that are false or null are left out.

import type { Block } from "./block.ts"
import { entriesText, nameText } from "./literal.ts"
import type { Operator, Role } from "./operator.ts"
import { roles as allRoles } from "./operator.ts"
import type { Program } from "./program.ts"
import { isList, outputSlots } from "./record.ts"
import type { Variable } from "./variable.ts"

export function briefText(program: Program, roles: readonly Role[] = allRoles): string {
  const lines: string[] = []
  briefBlock(program.globalBlock(), "", roles, lines)
  return lines.join("\n")
}

function briefBlock(block: Block, indent: string, roles: readonly Role[], lines: string[]): void {
  for (const op of block.ops) {
    if (!roles.includes(op.role)) continue
    lines.push(indent + briefOperator(op))
    for (const [name, inner] of Object.entries(op.blocks)) {
      lines.push(`${indent}  ${nameText(name)}`)
      if (inner.params.length > 0) lines.push(`${indent}    param ${namesText(inner.params)}`)
      briefBlock(inner, `${indent}    `, roles, lines)
    }
  }
  if (block.results.length > 0) lines.push(`${indent}return ${namesText(block.results)}`)
}

function briefOperator(op: Operator): string {
  const outputs = outputSlots(op.record).map(({ slot, isList: list }) => slotText(op.outputs[slot] ?? [], list))
  const attrs = Object.entries(op.attrs).filter(([, value]) => value !== false && value !== null)
  const writes = op.writes.map(({ state }) => nameText(state.name))
  return [
    `${outputs.length === 1 ? (outputs[0] ?? "") : `(${outputs.join(", ")})`} = ${nameText(op.type)}(${briefInputs(op)})`,
    ...(attrs.length > 0 ? [entriesText(attrs)] : []),
    ...(writes.length > 0 ? [`writes ${writes.join(", ")}`] : []),
  ].join(" ")
}

/** By position; behind an absent optional input by name. */
function briefInputs(op: Operator): string {
  let isComplete = true
  const inputs = Object.entries(op.record.inputs).flatMap(([slot, kind]) => {
    const variables = op.inputs[slot] ?? []
    if (variables.length === 0 && !isList(kind)) {
      isComplete = false
      return []
    }
    const text = slotText(variables, isList(kind))
    return [isComplete ? text : `${slot}: ${text}`]
  })
  return inputs.join(", ")
}

function slotText(variables: readonly Variable[], list: boolean): string {
  return list ? `[${namesText(variables)}]` : namesText(variables)
}

function namesText(variables: readonly Variable[]): string {
  return variables.map((variable) => nameText(variable.name)).join(", ")
}
