// Emitting operators once more, and letting operators read other variables than those they were built with: what sub-blocks,
// micro-batches and recomputation share.

import {
  appendOperator,
  type AppendSpec,
  type Attrs,
  type Block,
  type Dim,
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
