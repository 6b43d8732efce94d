// Emitting operators once more, and letting operators read other variables than those they were built with: what sub-blocks,
// micro-batches and recomputation share.

import {
  appendOperator,
  type AppendSpec,
  type Attrs,
  type Block,
  type Dim,
  extendOutputs,
  freeName,
  type Operator,
  type Slots,
  type Variable,
  withSite,
} from "@counterflow/ir"

/** What is different when an operator is emitted once more. */
export interface Rewriting {
  attrs(op: Operator): Attrs
  /** Of the parameters of its blocks. */
  dim(dim: Dim): Dim
  /** Of its copy: what it reads, what its outputs are called. */
  spec(op: Operator, inputs: Slots<Variable>, blocks: readonly Block[]): Pick<AppendSpec, "inputs" | "names">
}

export const asItIs: Rewriting = { attrs: ({ attrs }) => attrs, dim: (dim) => dim, spec: (_op, inputs) => ({ inputs }) }

/** The same, with outputs named after those of the first, where a slot has one. */
export function namedLike(suffix: string): Rewriting {
  const names = ({ outputs, block: { program } }: Operator) =>
    Object.fromEntries(
      Object.entries(outputs).flatMap(([slot, [output, ...others]]) =>
        output === undefined || others.length > 0
          ? []
          : [[slot, freeName(program, `${output.name}${suffix}`)] as const],
      ),
    )
  return { ...asItIs, spec: (op, inputs) => ({ inputs, names: names(op) }) }
}

/**
 * Emits an operator once more, in the current block, on the copies of its inputs; its own sub-blocks are copied too. It writes no
 * state. `variables` gains its outputs.
 */
export function again(op: Operator, variables: Map<Variable, Variable>, change: Rewriting = asItIs): Operator {
  const mapped = (slots: Slots<Variable>) =>
    Object.fromEntries(Object.entries(slots).map(([slot, list]) => [slot, list.map((v) => variables.get(v) ?? v)]))
  const blocks = Object.fromEntries(
    Object.entries(op.blocks).map(([name, inner]) => [name, copyBlock(inner, variables, change)]),
  )
  const { record } = op
  const attrs = change.attrs(op)
  const spec = change.spec(op, mapped(op.inputs), Object.values(blocks))
  // Without the program, an operator without inputs would go to the default one.
  const { program } = op.block
  const copy = withSite(op.site, () =>
    appendOperator({ record, attrs, blocks, writes: null, above: again, program, ...spec }),
  )
  for (const [slot, list] of Object.entries(op.outputs)) {
    list.forEach((output, index) => {
      const twin = copy.outputs[slot]?.[index]
      if (twin === undefined) return
      twin.stopGradient = output.stopGradient
      variables.set(output, twin)
    })
  }
  return copy
}

/**
 * Lets a copy hand out what its original does by now, if that is only more of what its blocks compute: what a gradient has asked
 * for since. False where it is something else, and only another copy helps.
 */
export function extendCopy(op: Operator, copy: Operator, variables: Map<Variable, Variable>, suffix: string): boolean {
  const { saves } = op.record
  const [inner, own] = [op, copy].map(({ blocks }) => blocks[saves?.block ?? ""])
  if (saves === undefined || inner === undefined || own === undefined) return false
  const more = (op.outputs[saves.slot] ?? []).slice(copy.outputs[saves.slot]?.length ?? 0)
  const results = inner.results.slice(own.results.length).flatMap((result) => variables.get(result) ?? [])
  if (more.length === 0 || results.length !== more.length) return false
  own.setResults([...own.results, ...results])
  const types = more.map(({ shape, dtype, name }) => ({ shape, dtype, name: `${name}${suffix}` }))
  extendOutputs(copy, saves.slot, types).forEach((twin, i) => variables.set(more[i]!, twin))
  return true
}

function copyBlock(block: Block, variables: Map<Variable, Variable>, change: Rewriting): Block {
  const { program } = block
  const copy = program.createBlock(program.currentBlock())
  for (const param of block.params) {
    const { dtype } = param
    const shape = param.shape.map((dim) => change.dim(dim))
    variables.set(param, copy.addParam({ shape, dtype, name: program.uniqueName(param.name) }))
  }
  program.within({ block: copy }, () => {
    for (const op of block.ops) again(op, variables, change)
    copy.setResults(block.results.map((result) => variables.get(result) ?? result))
  })
  return copy
}

/** Lets an operator that no plan has seen yet, and all in its blocks, read what stands in place of the variables of `block`. */
export function reread(op: Operator, block: Block, of: (variable: Variable) => Variable): void {
  const pending = [op]
  for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
    next.mapInputs(of)
    for (const inner of Object.values(next.blocks)) {
      if (inner.results.some((result) => result.block === block)) inner.setResults(inner.results.map(of))
      pending.push(...inner.ops)
    }
  }
}
