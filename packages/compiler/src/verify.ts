// What holds of every bound program, before and after each pass: tests check it there. Reads what stands in the program only, so
// it does not share a mistake with a pass.

import { DimExpr, type DType, fail, formatShape, type Scalar, type VarId } from "@counterflow/ir"
import { scalarDType } from "./4-evaluate.ts"
import {
  type BoundBlock,
  type BoundOp,
  type BoundProgram,
  type BoundVar,
  idsOf,
  scalarsOf,
  type Strides,
} from "./bound.ts"

/** Throws CF_INTERNAL if the program breaks an invariant. */
export function verifyBound(program: BoundProgram): void {
  const { vars, block, fetches, commits } = program
  for (const variable of vars) verifyVar(variable)
  const given = vars.flatMap(({ kind }, id) => (kind === "value" ? [] : [id]))
  const assigned = new Set<VarId>()
  const visible = verifyBlock(program, block, new Set(given), assigned)
  for (const id of fetches) if (!visible.has(id)) refuse(`the fetch ${nameOf(vars, id)} has no value`)
  const states = new Set<VarId>()
  for (const { state, value } of commits) {
    if (vars[state]?.kind !== "state") refuse(`a commit to ${nameOf(vars, state)}, which is no state`)
    if (states.has(state)) refuse(`two commits to ${nameOf(vars, state)}`)
    states.add(state)
    if (!visible.has(value) || vars[value]?.kind !== "value") {
      refuse(
        `the commit to ${nameOf(vars, state)} takes ${nameOf(vars, value)}, which no operator of the block computes`,
      )
    }
    if (!isAlike(vars[state], vars[value])) refuse(`the commit to ${nameOf(vars, state)} takes a value of another type`)
  }
}

function verifyVar({ name, shape, elements }: BoundVar): void {
  if (!shape.every((size) => Number.isSafeInteger(size) && size >= 0)) refuse(`${name} has a shape of no sizes`)
  if (elements !== shape.reduce((product, size) => product * size, 1)) refuse(`${name} miscounts its elements`)
}

/** Checks a block and answers what its end can see. */
function verifyBlock(
  program: BoundProgram,
  { ops, params, results }: BoundBlock,
  outer: ReadonlySet<VarId>,
  assigned: Set<VarId>,
): Set<VarId> {
  const { vars } = program
  const visible = new Set(outer)
  for (const id of params) {
    if (vars[id]?.kind !== "value") refuse(`a block has ${nameOf(vars, id)} for a parameter, which is no value`)
    if (assigned.has(id)) refuse(`two blocks have ${nameOf(vars, id)} for a parameter, or an operator assigns it`)
    assigned.add(id)
    visible.add(id)
  }
  let segment = 0
  for (const op of ops) {
    // A recomputation that moved in front of what comes before it would need its memory beside that.
    if ((op.segment ?? segment) < segment) refuseOp(op, `of segment ${op.segment} runs behind segment ${segment}`)
    segment = op.segment ?? segment
    for (const [slot, ids] of Object.entries(op.inputs)) {
      if (ids.length > 1 && !op.listInputs.includes(slot)) refuseOp(op, `has several inputs ${slot}`)
      for (const id of ids) if (!visible.has(id)) refuseOp(op, `reads ${nameOf(vars, id)} before it has a value`)
    }
    for (const inner of Object.values(op.blocks)) verifyBlock(program, inner, visible, assigned)
    for (const id of idsOf(op.outputs)) {
      if (vars[id]?.kind !== "value") refuseOp(op, `assigns ${nameOf(vars, id)}, which is no value`)
      if (assigned.has(id)) refuseOp(op, `assigns ${nameOf(vars, id)} a second time`)
      assigned.add(id)
      visible.add(id)
    }
    verifyOp(op, vars)
  }
  for (const id of results) if (!visible.has(id)) refuse(`a block hands out ${nameOf(vars, id)}, which has no value`)
  return visible
}

function verifyOp(op: BoundOp, vars: readonly BoundVar[]): void {
  const { aliases, stretches, permutes, constant, flops } = op.facts
  for (const [name, value] of Object.entries(op.attrs))
    if (isOpen(value)) refuseOp(op, `has the open attribute ${name}`)
  if (!Number.isFinite(flops) || flops < 0) refuseOp(op, `has ${flops} FLOPs`)
  const output = vars[idsOf(op.outputs)[0] ?? -1]
  const source = (slot: string) =>
    vars[op.inputs[slot]?.[0] ?? -1] ?? refuseOp(op, `has facts about its input ${slot}, which is not there`)
  verifyViews(op, vars)
  if (output === undefined) return
  if (constant !== undefined && typeof constant !== "number") refuseOp(op, "is a constant without a number")
  verifyExpressions(op, vars, output)
  if (aliases !== undefined) {
    const { dtype, elements } = source(aliases)
    if (dtype !== output.dtype || elements !== output.elements)
      refuseOp(op, `aliases ${aliases}, which is of another size`)
  }
  if (stretches !== undefined) {
    const { dtype, shape } = source(stretches)
    const missing = output.shape.length - shape.length
    const fits = missing >= 0 && shape.every((size, axis) => size === 1 || size === output.shape[axis + missing])
    if (dtype !== output.dtype || !fits) refuseOp(op, `stretches ${formatShape(shape)} to ${formatShape(output.shape)}`)
  }
  if (permutes !== undefined) {
    const { shape } = source(Object.keys(op.inputs)[0] ?? "")
    const fits = permutes.length === shape.length && shape.every((_, axis) => permutes.includes(axis))
    if (!fits || !permutes.every((axis, i) => shape[axis] === output.shape[i])) {
      refuseOp(op, `permutes ${formatShape(shape)} to ${formatShape(output.shape)} by [${permutes.join(", ")}]`)
    }
  }
}

/** What an operator sees lies within what is there. */
function verifyViews({ views = {}, ...op }: BoundOp, vars: readonly BoundVar[]): void {
  for (const [slot, { shape, strides }] of Object.entries(views)) {
    const [id, ...more] = op.inputs[slot] ?? op.outputs[slot] ?? []
    const variable = vars[id ?? -1]
    if (variable === undefined || more.length > 0) return refuseOp(op, `sees ${slot}, which is no tensor of its own`)
    const elements = shape.reduce((product, size) => product * size, 1)
    verifyStrides(op, slot, strides, variable, { ...variable, shape, elements })
  }
}

function verifyExpressions(op: BoundOp, vars: readonly BoundVar[], output: BoundVar): void {
  const { epilogue, prologue } = op
  for (const [slot, scalar] of Object.entries(scalarsOf(op) ?? {})) {
    const made = vars[op.outputs[slot]?.[0] ?? -1] ?? refuseOp(op, `computes ${slot}, which is no output`)
    // Without strides, a loop goes over elements whatever the axes.
    const isAlike =
      op.reads === undefined ? made.elements === output.elements : made.shape.join() === output.shape.join()
    if (!isAlike) refuseOp(op, "makes values of different shapes in one loop")
    verifyScalar(op, scalar, vars, made)
  }
  if (epilogue !== undefined) verifyScalar(op, epilogue, vars, output)
  if (prologue === undefined) return
  if (prologue.slot in op.inputs) refuseOp(op, `computes its input ${prologue.slot}, which is there`)
  verifyScalar(op, prologue.scalar, vars, vars[prologue.value] ?? refuseOp(op, "computes an input without a type"))
}

/** Every slot of an expression must be there, readable at each point of the output, and the expression of its dtype. */
function verifyScalar(op: BoundOp, scalar: Scalar, vars: readonly BoundVar[], output: BoundVar): void {
  const typeOf = (slot: string): DType | undefined => {
    if (slot === "") return output.dtype
    const ids = op.inputs[slot] ?? []
    const variable = vars[ids[0] ?? -1]
    if (variable === undefined || ids.length > 1) return refuseOp(op, `computes with "${slot}", which is no input`)
    const strides = op.reads?.[slot]
    if (strides !== undefined) verifyStrides(op, slot, strides, variable, output)
    else if (variable.elements !== output.elements) {
      refuseOp(
        op,
        `reads ${variable.name} ${formatShape(variable.shape)} at each point of ${formatShape(output.shape)}`,
      )
    }
    return variable.dtype
  }
  const visit = (node: Scalar): void => {
    if (node.op === "input") typeOf(node.slot)
    else if (node.op !== "const") {
      visit(node.x)
      if ("y" in node) visit(node.y)
      if (node.op === "select") visit(node.condition)
    }
  }
  visit(scalar)
  const dtype = scalarDType(scalar, typeOf) ?? output.dtype
  if (dtype !== output.dtype) refuseOp(op, `computes ${dtype} and makes ${output.dtype}`)
}

function verifyStrides(
  op: BoundOp,
  slot: string,
  strides: Strides,
  { elements, name }: BoundVar,
  output: BoundVar,
): void {
  if (strides.length !== output.shape.length) refuseOp(op, `has ${strides.length} strides for its input ${slot}`)
  if (output.elements === 0) return
  const offsets = strides.map((step, axis) => step * ((output.shape[axis] ?? 1) - 1))
  const low = offsets.reduce((total, offset) => total + Math.min(offset, 0), 0)
  const high = offsets.reduce((total, offset) => total + Math.max(offset, 0), 0)
  if (low < 0 || high >= elements) refuseOp(op, `reads outside of ${name}`)
}

function isAlike(a: BoundVar | undefined, b: BoundVar | undefined): boolean {
  return a?.dtype === b?.dtype && a?.shape.join() === b?.shape.join()
}

function isOpen(value: unknown): boolean {
  return value instanceof DimExpr || (Array.isArray(value) && value.some(isOpen))
}

function nameOf(vars: readonly BoundVar[], id: VarId): string {
  return vars[id]?.name ?? `variable ${id}`
}

function refuseOp(op: BoundOp, why: string): never {
  return refuse(`${op.type} ${why}`)
}

function refuse(why: string): never {
  return fail("CF_INTERNAL", `a bound program is broken: ${why}`)
}
