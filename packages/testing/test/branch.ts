// Two ops with sub-blocks, defined outside of every package: a conditional with a gradient, and a block that runs several times.

import { type Block, fail, isFloat, sameShape, type TensorType, type Variable } from "@counterflow/ir"
import { emit, noGrad, primitive } from "@counterflow/ops"
import type { CallOf } from "@counterflow/kernels-cpu"

/** What a block computes for its owner; `body` builds operators in it. */
function blockOf(like: Variable, body: () => readonly Variable[]): Block {
  const { program } = like
  const block = program.createBlock()
  program.within({ block }, () => block.setResults(body()))
  return block
}

/** Variables from outside that a block, or one inside it, reads or hands out. */
function capturesOf(blocks: readonly Block[]): Variable[] {
  const found = new Set<Variable>()
  const visit = (block: Block, inside: ReadonlySet<Block>) => {
    const read = [...block.ops.flatMap((op) => op.inputList()), ...block.results]
    for (const variable of read) if (!inside.has(variable.block)) found.add(variable)
    for (const op of block.ops) for (const inner of Object.values(op.blocks)) visit(inner, new Set([...inside, inner]))
  }
  for (const block of blocks) visit(block, new Set([block]))
  return [...found]
}

/** The results of one of two blocks. Captures are inputs, so that gradients, pruning and memory see what the blocks read. */
export function cond(
  condition: Variable,
  then: () => readonly Variable[],
  otherwise: () => readonly Variable[],
): readonly Variable[] {
  return choose(condition, blockOf(condition, then), blockOf(condition, otherwise))
}

function choose(condition: Variable, yes: Block, no: Block): readonly Variable[] {
  const inputs = { condition, captures: capturesOf([yes, no]) }
  return emit(condOp, inputs, {}, cond, { blocks: { yes, no } }).zs
}

export const condOp = primitive({
  name: "test.cond",
  inputs: { condition: "index", captures: "tensors" },
  outputs: ["...zs"],
  infer: (_inputs, _attrs, { blocks }) => {
    const [yes, no] = [blocks["yes"]?.results ?? [], blocks["no"]?.results ?? []]
    const fits = (a: TensorType, b: TensorType | undefined) =>
      b !== undefined && a.dtype === b.dtype && sameShape(a.shape, b.shape)
    if (yes.length !== no.length || !yes.every((a, i) => fits(a, no[i]))) {
      fail("CF_SHAPE_MISMATCH", "both branches must give results of the same types")
    }
    return { zs: yes }
  },
  // forward   z = condition ? yes(c) : no(c)
  // backward  dc = condition ? yesᵀ(dz) : noᵀ(dz), zeros where a branch does not read c
  grad: ({ condition, captures }, _outputs, { zs: cotangents }, _attrs, { op, needs, differentiate }) => {
    const wrt = captures.filter(({ dtype }, index) => isFloat(dtype) && needs("captures", index))
    const backward = (name: string) => {
      const block = op.blocks[name] ?? fail("CF_INTERNAL", `there is no block ${name}`)
      return differentiate(block, { targets: block.results, cotangents, wrt })
    }
    const gradients = choose(condition, backward("yes"), backward("no"))
    return { captures: captures.map((capture) => gradients[wrt.indexOf(capture)] ?? null) }
  },
  facts: { kind: "control", flops: () => 0 },
})

/** A block run `times` times, of which the last results count. */
export function again(like: Variable, times: number, body: () => readonly Variable[]): readonly Variable[] {
  const block = blockOf(like, body)
  return emit(againOp, { captures: capturesOf([block]) }, { times }, again, { blocks: { block } }).zs
}

export const againOp = primitive({
  name: "test.again",
  inputs: { captures: "tensors" },
  outputs: ["...zs"],
  attrs: { times: "int" },
  infer: (_inputs, _attrs, { blocks }) => ({ zs: blocks["block"]?.results ?? [] }),
  grad: noGrad("it only shows that a block can run more than once"),
  facts: { kind: "control", flops: () => 0 },
})

export const kernels = {
  "test.cond": ({
    inputs: { condition },
    outputs: { zs },
    blocks: { yes, no },
  }: CallOf<typeof condOp.inputs, typeof condOp.outputs, typeof condOp.attrs>) => {
    return () => {
      const block = condition.data[0] === 0 ? no : yes
      block?.run()
      zs.forEach((z, index) => z.data.set(block?.results[index]?.data ?? []))
    }
  },
  "test.again": ({
    outputs: { zs },
    attrs: { times },
    blocks: { block },
  }: CallOf<typeof againOp.inputs, typeof againOp.outputs, typeof againOp.attrs>) => {
    return () => {
      for (let i = 0; i < times; i++) block?.run()
      zs.forEach((z, index) => z.data.set(block?.results[index]?.data ?? []))
    }
  },
}
