// Bundle sizes are part of the product: what a user does not call must not be shipped.
import { catalogue } from "@counterflow/ops"
import { describe, expect, test } from "vitest"
import { bundle } from "./bundle.ts"

const mlp = (more = "") => `
  import { Executor, layers, optim, Program, programGuard } from "counterflow"
  const main = new Program(), startup = new Program()
  export const loss = programGuard(main, startup, () => {
    const x = layers.data({ name: "x", shape: [784] })
    const label = layers.data({ name: "label", shape: [1], dtype: "int64" })
    const h = layers.fc(x, { size: 64, act: "relu" })
    const loss = layers.mean(layers.softmaxWithCrossEntropy(layers.fc(h, { size: 10 }), label))
    new optim.Adam({ learningRate: 1e-3 }).minimize(loss)
    ${more}
    return loss
  })
  export const exe = new Executor()
  await exe.run(startup)
`

describe("the bundle of a program that trains an MLP", () => {
  test("stays under 70 kB gzip (60.6 kB measured) and leaves out ops it does not call", async () => {
    const { gzipBytes, code } = await bundle(mlp())
    expect(gzipBytes).toBeLessThan(70_000)
    // Records of ops nobody calls are shaken out, and every description.
    const shipped = catalogue
      .map(({ op }) => op.name)
      .filter((name) => ['"', "'", "`"].some((quote) => code.includes(`name:${quote}${name}${quote}`)))
    expect(shipped.toSorted()).toMatchInlineSnapshot(`
      [
        "abs",
        "adam",
        "add",
        "assign",
        "broadcastTo",
        "cast",
        "ceil",
        "clip",
        "concat",
        "cos",
        "dimValue",
        "div",
        "elu",
        "erf",
        "exp",
        "fillConstant",
        "flattenMatmul",
        "floor",
        "gatherNd",
        "gaussianRandom",
        "gelu",
        "hardSigmoid",
        "hardSwish",
        "leakyRelu",
        "log",
        "logSigmoid",
        "logSoftmax",
        "matmul",
        "max",
        "mean",
        "mish",
        "mul",
        "neg",
        "range",
        "reciprocal",
        "reduceMax",
        "reduceMean",
        "reduceSum",
        "relu",
        "relu6",
        "reshape",
        "round",
        "rsqrt",
        "scale",
        "scatterNdAdd",
        "selu",
        "sigmoid",
        "sign",
        "sin",
        "slice",
        "softmax",
        "softmaxWithCrossEntropy",
        "softplus",
        "softsign",
        "sqrt",
        "square",
        "stridedPad",
        "stridedSlice",
        "sub",
        "sum",
        "swish",
        "tanh",
        "transpose",
        "uniformRandom",
        "where",
        "write",
      ]
    `)
    expect(catalogue.filter(({ summary }) => code.includes(summary))).toEqual([])
  })

  test("grows by less than 1 kB when an unrelated op is called too", async () => {
    const [without, withOne] = await Promise.all([bundle(mlp()), bundle(mlp("layers.reverse(x, { axis: 1 })"))])
    expect(withOne.gzipBytes - without.gzipBytes).toBeLessThan(1_000)
  })
})
