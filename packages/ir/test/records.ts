// A few ops for the tests of the IR: elementwise, without inputs, with lists, optional inputs, state, and sub-blocks.

import {
  appendOperator,
  type Attrs,
  type Block,
  type DType,
  fail,
  type InferContext,
  type Operator,
  type OpRecord,
  type Program,
  type Shape,
  type TensorType,
  type TypeBySlot,
  unifyShapes,
  type Variable,
} from "@counterflow/ir"

type Inputs = Readonly<Record<string, unknown>>

function tensor(value: unknown): TensorType {
  if (typeof value !== "object" || value === null || !("shape" in value) || !("dtype" in value))
    fail("CF_BAD_SLOT", "no tensor")
  return value as TensorType
}

function tensors(value: unknown): TensorType[] {
  return Array.isArray(value) ? value.map(tensor) : []
}

function record(
  parts: Partial<OpRecord> & Pick<OpRecord, "name"> & { infer: (i: Inputs, a: Attrs, c: InferContext) => TypeBySlot },
): OpRecord {
  const { infer, ...own } = parts
  return { version: 1, inputs: {}, outputs: ["z"], attrs: {}, writes: {}, inferTypes: infer, ...own }
}

function elementwise(name: string): OpRecord {
  return record({
    name,
    inputs: { x: "tensor", y: "tensor" },
    outputs: ["z"],
    infer: ({ x, y }) => {
      const shape = unifyShapes(tensor(x).shape, tensor(y).shape, () => "x and y must have equal shapes")
      if (tensor(x).dtype !== tensor(y).dtype) fail("CF_DTYPE_MISMATCH", "x and y must have equal dtypes")
      return { z: { shape, dtype: tensor(x).dtype } }
    },
  })
}

export const addOp = elementwise("add")
export const mulOp = elementwise("mul")

export const fillConstantOp = record({
  name: "fillConstant",
  attrs: { shape: "dims", value: "number", dtype: "dtype" },
  infer: (_inputs, { shape, dtype }) => ({ z: { shape: shape as Shape, dtype: dtype as DType } }),
})

export const meanOp = record({
  name: "mean",
  inputs: { x: "tensor" },
  infer: ({ x }) => ({ z: { shape: [], dtype: tensor(x).dtype } }),
})

export const splitOp = record({
  name: "split",
  inputs: { x: "tensor" },
  outputs: ["...ys"],
  attrs: { sections: "ints" },
  infer: ({ x }, { sections }) => ({
    ys: (sections as number[]).map((count) => ({
      shape: [count, ...tensor(x).shape.slice(1)],
      dtype: tensor(x).dtype,
    })),
  }),
})

export const sumOp = record({
  name: "sum",
  inputs: { xs: "tensors" },
  infer: ({ xs }) => ({
    z: tensors(xs).reduce((left, right) => ({ shape: unifyShapes(left.shape, right.shape), dtype: left.dtype })),
  }),
})

/** With an optional input between others, several outputs, state, and an attribute that tests set. */
export const normOp = record({
  name: "norm",
  version: 2,
  inputs: { x: "tensor", scale: "tensor?", runningMean: "state" },
  outputs: ["y", "nextMean"],
  attrs: { isTest: "bool", mode: ["layer", "batch"] },
  writes: { runningMean: "nextMean" },
  infer: ({ x, runningMean }) => ({
    y: { shape: tensor(x).shape, dtype: tensor(x).dtype },
    nextMean: { shape: tensor(runningMean).shape, dtype: tensor(runningMean).dtype },
  }),
})

export const sgdOp = record({
  name: "sgd",
  inputs: { param: "state", grad: "tensor" },
  outputs: ["next"],
  attrs: { learningRate: "number" },
  writes: { param: "next" },
  infer: ({ param }) => ({ next: { shape: tensor(param).shape, dtype: tensor(param).dtype } }),
})

export const condOp = record({
  name: "cond",
  inputs: { pred: "index", captures: "tensors" },
  outputs: ["...ys"],
  yields: "ys",
  captures: "captures",
  infer: (_inputs, _attrs, { blocks }) => ({
    ys: (blocks["whenTrue"]?.results ?? []).map(({ shape, dtype }) => ({ shape, dtype })),
  }),
})

/** With an attribute of every kind that the others lack. */
export const markOp = record({
  name: "vendor.mark",
  inputs: { x: "tensor" },
  attrs: {
    number: "number?",
    text: "string?",
    dims: "dims",
    numbers: "numbers",
    ints: "ints?",
    int: "int?",
    flag: "bool",
    dim: "dim",
  },
  infer: ({ x }) => ({ z: { shape: tensor(x).shape, dtype: tensor(x).dtype } }),
})

export const records: ReadonlyMap<string, OpRecord> = new Map(
  [addOp, mulOp, fillConstantOp, meanOp, splitOp, sumOp, normOp, sgdOp, condOp, markOp].map((each) => [
    each.name,
    each,
  ]),
)

function sole(op: Operator): Variable {
  return op.outputList()[0] ?? fail("CF_INTERNAL", "the operator has no output")
}

export function add(x: Variable, y: Variable, name?: string): Variable {
  const names = name === undefined ? undefined : { z: name }
  return sole(appendOperator({ record: addOp, inputs: { x: [x], y: [y] }, attrs: {}, names, above: add }))
}

export function mul(x: Variable, y: Variable): Variable {
  return sole(appendOperator({ record: mulOp, inputs: { x: [x], y: [y] }, attrs: {}, above: mul }))
}

export function fillConstant(program: Program, attrs: { shape: Shape; value: number; dtype: DType }): Variable {
  return sole(appendOperator({ record: fillConstantOp, inputs: {}, attrs, program, above: fillConstant }))
}

export function mark(x: Variable, attrs: Attrs): Variable {
  return sole(appendOperator({ record: markOp, inputs: { x: [x] }, attrs, above: mark }))
}

export function mean(x: Variable): Variable {
  return sole(appendOperator({ record: meanOp, inputs: { x: [x] }, attrs: {}, above: mean }))
}

export function split(x: Variable, sections: readonly number[]): Variable[] {
  return appendOperator({ record: splitOp, inputs: { x: [x] }, attrs: { sections }, above: split }).outputList()
}

export function sum(xs: readonly Variable[]): Variable {
  return sole(appendOperator({ record: sumOp, inputs: { xs }, attrs: {}, above: sum }))
}

/** Writes `state`; a second one takes the first one's new value as its running mean and names the state itself. */
export function norm(
  x: Variable,
  runningMean: Variable,
  more: { scale?: Variable; state?: Variable } = {},
): Variable[] {
  const { scale, state } = more
  const inputs = { x: [x], runningMean: [runningMean], ...(scale !== undefined && { scale: [scale] }) }
  const writes = state === undefined ? undefined : { nextMean: state }
  const attrs = { isTest: false, mode: "batch" }
  return appendOperator({ record: normOp, inputs, attrs, writes, above: norm }).outputList()
}

export function sgd(param: Variable, grad: Variable, learningRate = 0.1): Variable {
  return sole(
    appendOperator({ record: sgdOp, inputs: { param: [param], grad: [grad] }, attrs: { learningRate }, above: sgd }),
  )
}

/** Runs one of two bodies; what they read of outer blocks becomes the captures. */
export function cond(
  pred: Variable,
  bodies: { whenTrue: () => Variable[]; whenFalse: () => Variable[] },
  states: readonly (Variable | null)[] = [],
): Variable[] {
  const { program } = pred
  const build = (body: () => Variable[]) => {
    const block = program.createBlock()
    program.within({ block }, () => block.setResults(body()))
    return block
  }
  const blocks = { whenTrue: build(bodies.whenTrue), whenFalse: build(bodies.whenFalse) }
  const captures = [...new Set([...outerReads(blocks.whenTrue), ...outerReads(blocks.whenFalse)])]
  const inputs = { pred: [pred], captures }
  return appendOperator({ record: condOp, inputs, attrs: {}, blocks, writes: { ys: states }, above: cond }).outputList()
}

function outerReads(block: Block): Variable[] {
  return [...block.ops.flatMap((op) => op.inputList()), ...block.results].filter((variable) => variable.block !== block)
}
