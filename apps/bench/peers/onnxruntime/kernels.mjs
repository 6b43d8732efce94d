// Products, the elementwise chain with its gradient written by hand, and the convolution with both of its.

import { Graph } from "./graph.mjs"

const byHand = "gradient written by hand as ONNX nodes"
const float = 1

export function kernelWorkloads({ session, tensor, loaded, load, probe }) {
  const workloads = {}
  const kernel = async (graph, outputs, feeds, note) => {
    const running = await session(graph)
    const results = await running.run(feeds)
    const check = outputs.reduce((total, name) => total + probe(results[name].data), 0)
    return { step: () => running.run(feeds), check, ...(note === undefined ? {} : { note }) }
  }

  const forms = { nn: {}, nt: { transB: 1 }, tn: { transA: 1 } }
  for (const n of [64, 128, 256, 512, 1024]) {
    for (const [form, attributes] of Object.entries(forms)) {
      workloads[`gemm.${form}.${n}`] = () => {
        const shape = [n, n]
        const graph = new Graph()
        graph.output(graph.op("Gemm", [graph.input("a", shape), graph.input("b", shape)], attributes, "y"), shape)
        const square = (name) => tensor(load(name).data.slice(0, n * n), shape)
        return kernel(graph, ["y"], { a: square("gemm.a"), b: square("gemm.b") })
      }
    }
  }

  const elements = [1_000_000]
  const operands = () => Object.fromEntries(["a", "b", "c"].map((name) => [name, loaded(`elementwise.${name}`)]))
  workloads["elementwise.forward"] = () => {
    const graph = new Graph()
    const [a, b, c] = ["a", "b", "c"].map((name) => graph.input(name, elements))
    const tanh = graph.op("Tanh", [graph.op("Add", [graph.op("Mul", [a, b]), c])])
    const product = graph.op("Mul", [tanh, graph.op("Sigmoid", [a])])
    graph.output(graph.op("Sub", [product, graph.op("Relu", [c])], {}, "y"), elements)
    return kernel(graph, ["y"], operands())
  }
  workloads["elementwise.gradient"] = () => {
    const graph = new Graph()
    const [a, b, c] = ["a", "b", "c"].map((name) => graph.input(name, elements))
    const one = graph.scalar(1)
    const tanh = graph.op("Tanh", [graph.op("Add", [graph.op("Mul", [a, b]), c])])
    const sigmoid = graph.op("Sigmoid", [a])
    const inner = graph.op("Mul", [graph.op("Sub", [one, graph.op("Mul", [tanh, tanh])]), sigmoid])
    const outer = graph.op("Mul", [graph.op("Mul", [tanh, sigmoid]), graph.op("Sub", [one, sigmoid])])
    const isPositive = graph.op("Cast", [graph.op("Greater", [c, graph.scalar(0)])], { to: float })
    graph.output(graph.op("Add", [graph.op("Mul", [inner, b]), outer], {}, "da"), elements)
    graph.output(graph.op("Mul", [inner, a], {}, "db"), elements)
    graph.output(graph.op("Sub", [inner, isPositive], {}, "dc"), elements)
    return kernel(graph, ["da", "db", "dc"], operands(), byHand)
  }

  const images = [8, 64, 56, 56]
  const filters = [64, 64, 3, 3]
  const pads = [1, 1, 1, 1]
  const convolution = () => {
    const graph = new Graph()
    const [x, w] = [graph.input("x", images), graph.input("w", filters)]
    graph.output(graph.op("Conv", [x, w], { pads }, "y"), images)
    return { graph, x, w }
  }
  const imagesAndFilters = () => ({ x: loaded("conv2d.x"), w: loaded("conv2d.w") })
  workloads["conv2d.forward"] = () => kernel(convolution().graph, ["y"], imagesAndFilters())
  workloads["conv2d.gradients"] = () => {
    const { graph, x, w } = convolution()
    const dy = graph.input("dy", images)
    const perm = [1, 0, 2, 3]
    const swapped = (name) => graph.op("Transpose", [name], { perm })
    graph.output(graph.op("ConvTranspose", [dy, w], { pads }, "dx"), images)
    const dw = graph.op("Conv", [swapped(x), swapped(dy)], { pads })
    graph.output(graph.op("Transpose", [dw], { perm }, "dw"), filters)
    return kernel(graph, ["y", "dx", "dw"], { ...imagesAndFilters(), dy: loaded("conv2d.dy") }, byHand)
  }
  return workloads
}
