// LeNet's forward pass.

import { Graph } from "./graph.mjs"

export function lenetWorkloads({ session, loaded, constant, probe }) {
  const forward = async () => {
    const graph = new Graph()
    const weight = (name) => constant(graph, `lenet.${name}`)
    const pooling = { kernel_shape: [2, 2], strides: [2, 2] }
    const stage = (h, filters, bias) =>
      graph.op("MaxPool", [graph.op("Relu", [graph.op("Conv", [h, weight(filters), weight(bias)])])], pooling)
    let h = graph.op("Flatten", [stage(stage(graph.input("x", [32, 1, 28, 28]), "k1", "c1"), "k2", "c2")])
    h = graph.op("Relu", [graph.op("Gemm", [h, weight("w1"), weight("b1")])])
    h = graph.op("Relu", [graph.op("Gemm", [h, weight("w2"), weight("b2")])])
    graph.output(graph.op("Gemm", [h, weight("w3"), weight("b3")], {}, "y"), [32, 10])
    const running = await session(graph)
    const feeds = { x: loaded("lenet.x.32") }
    return { step: () => running.run(feeds), check: probe((await running.run(feeds)).y.data) }
  }
  return { "lenet.forward": forward }
}
