// Programs that several tests of the IR use.

import { floorDivDims, mulDims, Program, symbol, type Variable } from "@counterflow/ir"
import { add, cond, fillConstant, mark, mean, mul, norm, sgd, split, sum } from "./records.ts"

export function dataOf(program: Program, name: string, shape: Parameters<typeof shapeOf>[0]): Variable {
  return program.globalBlock().createVar({ name, shape: shapeOf(shape), dtype: "float32", isData: true })
}

function shapeOf(shape: readonly (number | string)[]) {
  return shape.map((dim) => (typeof dim === "string" ? symbol(dim) : dim))
}

/** loss = mean(x·w), with its backward and an update: the loss's derivative with respect to w is x/n. */
export function training(): Program {
  const program = new Program()
  const x = dataOf(program, "x", ["batch", 2])
  const w = program
    .globalBlock()
    .createParameter({ name: "w", shape: [symbol("batch"), 2], dtype: "float32", initializer: "constant(1)" })
  const product = mul(x, w)
  const loss = mean(product)
  if (loss.producer !== null) loss.producer.isLoss = true
  addUpdate(program, { x, w, product })
  return program
}

export function addUpdate(program: Program, { x, w, product }: { x: Variable; w: Variable; product: Variable }): void {
  program.transaction(() => {
    const gradient = program.within({ role: "backward", derivedFrom: product.producer }, () => {
      const dproduct = fillConstant(program, { shape: product.shape, value: 0.5, dtype: "float32" })
      dproduct.gradientOf = product
      const dw = mul(x, dproduct)
      dw.gradientOf = w
      return dw
    })
    program.within({ role: "optimize" }, () => {
      sgd(w, gradient)
    })
  })
}

/** Everything that the written forms must carry. */
export function everything(): Program {
  const program = new Program()
  program.randomSeed = 7
  program.takeStream()
  const block = program.globalBlock()
  const free = program.freshSymbol()
  const x = dataOf(program, "x", ["batch", 2])
  const other = block.createVar({
    name: "an odd: name #1",
    shape: [free, 2],
    dtype: "float32",
    isData: true,
    stopGradient: false,
  })
  block.createParameter({
    name: "fc_0.w_0",
    shape: [2],
    dtype: "float32",
    trainable: false,
    learningRate: 0.5,
    regularizer: { kind: "l2", coefficient: 1e-4 },
    initializer: 'uniform("a", -1)',
  })
  const running = block.createVar({
    name: "running",
    shape: [2],
    dtype: "float32",
    persistable: true,
    initialValue: -0,
    stopGradient: true,
  })
  block.createVar({ name: "unused", shape: [], dtype: "int64" })
  const sumOfBoth = program.within({ scope: "net/first" }, () => add(x, other))
  const [normal = x, firstMean = running] = norm(sumOfBoth, running)
  norm(normal, firstMean, { scale: running, state: running })
  const [first = x] = split(
    fillConstant(program, { shape: [3, symbol("batch")], value: -Infinity, dtype: "float32" }),
    [1, 2],
  )
  const flag = block.createVar({ name: "flag", shape: [], dtype: "bool", isData: true })
  const inner = () => cond(flag, { whenTrue: () => [mul(first, first)], whenFalse: () => [first] })
  const [chosen = x] = cond(flag, { whenTrue: inner, whenFalse: () => [sum([first, first])] })
  mean(chosen)
  const dims = [mulDims(2, symbol("batch")), 3, floorDivDims(symbol("h"), 2), symbol("NaN")]
  const attrs = {
    number: null,
    text: 'say "a#b"\n',
    dims,
    numbers: [NaN, -0, 1e21],
    ints: [],
    int: -1,
    flag: true,
    dim: symbol("true"),
  }
  mark(x, attrs)
  program.within({ role: "backward", derivedFrom: chosen.producer }, () => {
    const gradient = fillConstant(program, { shape: first.shape, value: NaN, dtype: "float32" })
    gradient.gradientOf = first
    gradient.stopGradient = true
  })
  return program
}
