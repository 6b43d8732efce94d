// Programs that the tests draw: a net with a backward and an update part written by hand (this package knows no autodiff),
// a loop whose body is a block, and names that mean something in DOT, Mermaid, HTML or XML.

import { Program, site, symbol, type Variable, withSite } from "@counterflow/ir"
import {
  add,
  emit,
  fillConstant,
  matmul,
  mean,
  mul,
  noGrad,
  primitive,
  reduceSum,
  relu,
  sgd,
  sign,
  square,
  write,
} from "@counterflow/ops"

export function dataOf(program: Program, name: string, width: number): Variable {
  const shape = [symbol("batch"), width]
  return program.globalBlock().createVar({ name, shape, dtype: "float32", isData: true })
}

export function stateOf(program: Program, name: string, shape: readonly number[]): Variable {
  return program.globalBlock().createVar({ name, shape, dtype: "float32", persistable: true, initialValue: 0 })
}

interface Layer {
  input: Variable
  w: Variable
  b: Variable
  z: Variable
}

/** One call, so that its operators share a call site, in a scope of its own if `isScoped`. */
function layer(input: Variable, index: number, width: number, isScoped: boolean): Layer {
  const { program } = input
  return site(layer, () =>
    program.within({ stem: `fc_${index}`, scope: isScoped ? `stack/layer_${index}` : "" }, () => {
      const block = program.globalBlock()
      const rows = input.shape[1] ?? 1
      const w = block.createParameter({ name: `fc_${index}.w_0`, shape: [rows, width], dtype: "float32" })
      const b = block.createParameter({ name: `fc_${index}.b_0`, shape: [width], dtype: "float32" })
      return { input, w, b, z: relu(add(matmul(input, w), b)) }
    }),
  )
}

/** loss = mean(h²) of so many layers, its backward part, and an update by gradient descent. */
export function net(layerCount: number, { isScoped = false } = {}): Program {
  const program = new Program()
  const layers: Layer[] = []
  let h = dataOf(program, "x", 4)
  for (let index = 0; index < layerCount; index++) {
    const made = layer(h, index, index === layerCount - 1 ? 1 : 8, isScoped)
    layers.push(made)
    h = made.z
  }
  const cost = square(h)
  const loss = mean(cost)
  if (loss.producer !== null) loss.producer.isLoss = true
  const gradients = backward(program, loss, cost, layers)
  program.within({ role: "optimize" }, () => {
    const learningRate = stateOf(program, "learning_rate_0", [])
    for (const [param, grad] of gradients) sgd(param, { grad, learningRate })
  })
  return program
}

function backward(program: Program, loss: Variable, cost: Variable, layers: Layer[]): [Variable, Variable][] {
  return program.within({ role: "backward" }, () => {
    const seed = fillConstant({ shape: loss.shape, value: 1, program })
    seed.gradientOf = loss
    const rule = <T>(of: Variable, body: () => T): T => {
      const { producer } = of
      if (producer === null) return body()
      return withSite(producer.site, () => program.within({ derivedFrom: producer, scope: producer.scope }, body))
    }
    let dh = rule(cost, () => mul(mul(layers.at(-1)?.z ?? cost, 2), seed))
    const gradients: [Variable, Variable][] = []
    for (const { input, w, b, z } of layers.toReversed()) {
      dh = rule(z, () => {
        const dz = mul(dh, sign(z))
        gradients.push([w, matmul(input, dz, { transposeX: true })], [b, reduceSum(dz, { axis: [0] })])
        return input.producer === null ? dz : matmul(dz, w, { transposeY: true })
      })
    }
    return gradients.reverse()
  })
}

const repeatOp = primitive({
  name: "test.repeat",
  inputs: { start: "tensor", captures: "tensors" },
  outputs: ["last"],
  attrs: { count: "int" },
  infer: ({ start }) => ({ last: start }),
  grad: noGrad("it is here to be drawn"),
  facts: { kind: "control" },
})

/** last = start, then so often last = body(last): a block that is given its state, reads outer variables, has results. */
export function repeat(
  start: Variable,
  captures: readonly Variable[],
  count: number,
  body: (state: Variable) => Variable,
): Variable {
  const { program } = start
  const block = program.createBlock()
  program.within({ block }, () => {
    const { shape, dtype } = start
    const name = program.uniqueName("carried")
    block.setResults([body(block.createVar({ name, shape, dtype, isData: true, stopGradient: false }))])
  })
  return emit(repeatOp, { start, captures }, { count }, repeat, { blocks: { body: block } }).last
}

/** A loop in a loop, in a scope, with a constant inside; its result goes to state. */
export function loops(): Program {
  const program = new Program()
  const x = dataOf(program, "x", 2)
  const w = program.globalBlock().createParameter({ name: "w", shape: [2, 2], dtype: "float32" })
  const last = program.within({ scope: "outer" }, () =>
    repeat(relu(x), [w], 3, (state) => repeat(matmul(state, w), [], 2, (inner) => add(mul(inner, inner), 0.5))),
  )
  write(stateOf(program, "total", [2]), reduceSum(last, { axis: [0] }))
  return program
}

export const nastyNames: readonly string[] = [
  "quote \" ' `tick`",
  "back\\slash \\N \\G \\",
  "<script>alert(1)</script>",
  "a & b &amp; &lt; &#38;",
  "line\nbreak\ttab\u0000nul",
  "{curly|pipe}[x](y)",
  "%%{init: {}}%%",
  "1. list",
  "end",
  "# heading #quot; #35;",
  "**bold** _it_ ~~s~~",
  "ünï 中文 🎉",
  "\u202eright to left",
  "\ud800alone",
  "--> x",
  "]]>",
  "$$y^2$$",
  "graph;",
  "x:::class",
  "javascript:alert(1)",
]

/** Each name as that of a variable and as that of a scope. */
export function nasty(names: readonly string[] = nastyNames): Program {
  const program = new Program()
  names.reduce<Variable | null>((sum, name) => {
    const x = dataOf(program, name, 2)
    return program.within({ scope: name.replaceAll("/", "|") }, () => (sum === null ? relu(x) : add(sum, x)))
  }, null)
  return program
}
