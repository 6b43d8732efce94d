// Linear regression and the MLP, with gradient and optimizer written by hand.

import { Graph } from "./graph.mjs"

const note = "gradient and optimizer written by hand as ONNX nodes"
const names = ["w1", "b1", "w2", "b2", "w3", "b3"]
const float = 1

export function denseWorkloads({ session, tensor, loaded, constant, load, probe, oneHot }) {
  /** `state` are the inputs that a step replaces: the output `w_` is the next step's input `w`. */
  const train = async (graph, state, steps, extra = () => ({})) => {
    const running = await session(graph)
    let count = 0
    const step = async () => {
      const results = await running.run({ ...state, ...extra(++count) })
      for (const name of Object.keys(state)) state[name] = results[`${name}_`]
      return results.loss.data[0]
    }
    let check
    for (let i = 0; i < steps; i++) check = await step()
    return { step, check, note }
  }

  const hidden = (graph, x, p) => {
    const h1 = graph.op("Relu", [graph.op("Gemm", [x, p[0], p[1]])])
    return [h1, graph.op("Relu", [graph.op("Gemm", [h1, p[2], p[3]])])]
  }

  const regression = () => {
    const graph = new Graph()
    const [x, y] = [constant(graph, "regression.x"), constant(graph, "regression.y")]
    const [w, b] = [graph.input("w", [13, 1]), graph.input("b", [1])]
    const difference = graph.op("Sub", [graph.op("Gemm", [x, w, b]), y])
    graph.output(graph.op("ReduceMean", [graph.op("Mul", [difference, difference])], { keepdims: 0 }, "loss"), [])
    const move = graph.op("Mul", [difference, graph.scalar((0.01 * 2) / 32)])
    graph.output(graph.op("Sub", [w, graph.op("Gemm", [x, move], { transA: 1 })], {}, "w_"), [13, 1])
    const moveOfBias = graph.op("ReduceSum", [move, graph.integers(0)], { keepdims: 0 })
    graph.output(graph.op("Sub", [b, moveOfBias], {}, "b_"), [1])
    return train(graph, { w: loaded("regression.w"), b: loaded("regression.b") }, 10)
  }

  const mlpForward = async () => {
    const graph = new Graph()
    const p = names.map((name) => constant(graph, `mlp.${name}`))
    const [, h2] = hidden(graph, graph.input("x", [64, 784]), p)
    graph.output(graph.op("Gemm", [h2, p[4], p[5]], {}, "y"), [64, 10])
    const running = await session(graph)
    const feeds = { x: loaded("mlp.x.64") }
    return { step: () => running.run(feeds), check: probe((await running.run(feeds)).y.data) }
  }

  /** Appends Adam for one parameter; the corrections of the moments' bias come from outside. */
  const adam = (graph, name, shape, gradient, [undo1, undo2]) => {
    const scaled = (x, by) => graph.op("Mul", [x, graph.scalar(by)])
    const [p, m, v] = [name, `${name}m`, `${name}v`].map((each) => graph.input(each, shape))
    const mean = graph.op("Add", [scaled(m, 0.9), scaled(gradient, 0.1)], {}, `${name}m_`)
    const squares = scaled(graph.op("Mul", [gradient, gradient]), 0.001)
    const square = graph.op("Add", [scaled(v, 0.999), squares], {}, `${name}v_`)
    const root = graph.op("Sqrt", [graph.op("Mul", [square, undo2])])
    const direction = graph.op("Div", [graph.op("Mul", [mean, undo1]), graph.op("Add", [root, graph.scalar(1e-8)])])
    const next = graph.op("Sub", [p, scaled(direction, 0.001)], {}, `${name}_`)
    for (const output of [mean, square, next]) graph.output(output, shape)
  }

  const mlp = (batch) => () => {
    const graph = new Graph()
    const x = constant(graph, `mlp.x.${batch}`)
    const label = graph.constant(oneHot(load(`mlp.labels.${batch}`).data, 10), [batch, 10])
    const [h1, h2] = hidden(graph, x, names)
    const logProbabilities = graph.op("LogSoftmax", [graph.op("Gemm", [h2, "w3", "b3"])], { axis: -1 })
    const picked = graph.op("ReduceSum", [graph.op("Mul", [logProbabilities, label])], { keepdims: 0 })
    graph.output(graph.op("Mul", [picked, graph.scalar(-1 / batch)], {}, "loss"), [])

    const over = graph.op("Sub", [graph.op("Exp", [logProbabilities]), label])
    const dz = graph.op("Mul", [over, graph.scalar(1 / batch)])
    const zero = graph.scalar(0)
    const throughRelu = (d, h) =>
      graph.op("Mul", [d, graph.op("Cast", [graph.op("Greater", [h, zero])], { to: float })])
    const d2 = throughRelu(graph.op("Gemm", [dz, "w3"], { transB: 1 }), h2)
    const d1 = throughRelu(graph.op("Gemm", [d2, "w2"], { transB: 1 }), h1)
    const ofWeights = (h, d) => graph.op("Gemm", [h, d], { transA: 1 })
    const ofBias = (d) => graph.op("ReduceSum", [d, graph.integers(0)], { keepdims: 0 })
    const gradients = [ofWeights(x, d1), ofBias(d1), ofWeights(h1, d2), ofBias(d2), ofWeights(h2, dz), ofBias(dz)]

    const undo = [graph.input("undo1", []), graph.input("undo2", [])]
    const state = {}
    names.forEach((name, i) => {
      const parameter = loaded(`mlp.${name}`)
      adam(graph, name, parameter.dims, gradients[i], undo)
      const zeros = () => tensor(new Float32Array(parameter.data.length), parameter.dims)
      Object.assign(state, { [name]: parameter, [`${name}m`]: zeros(), [`${name}v`]: zeros() })
    })
    const one = (value) => tensor(Float32Array.of(value), [])
    return train(graph, state, 5, (t) => ({ undo1: one(1 / (1 - 0.9 ** t)), undo2: one(1 / (1 - 0.999 ** t)) }))
  }

  return { regression, "mlp.forward": mlpForward, "mlp.64": mlp(64), "mlp.128": mlp(128) }
}
