// Bundle sizes are part of the product: what a user does not call must not be shipped.
import { catalogue } from "@counterflow/ops"
import { Executor, layers, optim, Program, programGuard, saveSteps, type Variable } from "counterflow"
import { describe, expect, test } from "vitest"
import { bundle } from "./bundle.ts"

/** An MLP for MNIST. `imports` bring an Executor, and `executor` makes one. */
const trainer = (imports: string, executor: string, more = "") => `
  ${imports}
  import { layers, ops, optim, Program, programGuard } from "counterflow"
  export const main = new Program(), startup = new Program()
  export const loss = programGuard(main, startup, () => {
    const x = layers.data({ name: "x", shape: [784] })
    const label = layers.data({ name: "label", shape: [1], dtype: "int64" })
    const h = layers.fc(x, { size: 64, act: "relu" })
    const loss = layers.mean(layers.softmaxWithCrossEntropy(layers.fc(h, { size: 10 }), label))
    new optim.Adam({ learningRate: 1e-3 }).minimize(loss)
    ${more}
    return loss
  })
  export const exe = ${executor}
  await exe.run(startup)
`

/** As the front door has it. */
const mlp = (more?: string) => trainer('import { Executor } from "counterflow"', "new Executor()", more)

/** With no other kernels than it runs. */
const chosenMlp = trainer(
  `import { Executor } from "@counterflow/executor"
   import { wasmOf } from "@counterflow/kernels-wasm"
   import * as families from "@counterflow/kernels-wasm/families"`,
  `new Executor(
     wasmOf([families.matmul, families.random, families.reduction, families.selection]),
     { legalize: ops.legalize },
   )`,
)

/** What the bundled code exports. */
function load(code: string): Promise<unknown> {
  return import(/* @vite-ignore */ `data:text/javascript;base64,${Buffer.from(code).toString("base64")}`)
}

describe("the bundle of a program that trains an MLP", () => {
  test("stays under 143 kB gzip (141 kB measured) and leaves out ops it does not call", async () => {
    const { gzipBytes, code } = await bundle(mlp())
    expect(gzipBytes).toBeLessThan(143_000)
    // Records of ops nobody calls are shaken out, and every description.
    const shipped = catalogue
      .map(({ op }) => op.name)
      // A kernel may be named like an op; a record goes on with its signature.
      .filter((name) => new RegExp(`name:(["'\`])${name}\\1,(version:\\d+,)?inputs:`).test(code))
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

  test("stays under 113 kB gzip (111 kB measured) with the kernels of its own ops alone, and trains", async () => {
    const { code, gzipBytes } = await bundle(chosenMlp)
    expect(gzipBytes).toBeLessThan(113_000)
    const { exe, loss, main } = (await load(code)) as { exe: Executor; loss: Variable; main: Program }
    const feed = {
      x: { data: Float32Array.from({ length: 4 * 784 }, (_, i) => Math.sin(i)), shape: [4, 784] },
      label: [[3], [1], [4], [1]],
    }
    const losses: number[] = []
    for (let step = 0; step < 50; step++) losses.push((await exe.run(main, { feed, fetch: [loss] }))[0].item())
    expect(losses.at(-1)).toBeLessThan(0.1 * (losses[0] ?? 0))
  })

  test("grows by less than 1 kB when an unrelated op is called too", async () => {
    const [without, withOne] = await Promise.all([bundle(mlp()), bundle(mlp("layers.reverse(x, { axis: 1 })"))])
    expect(withOne.gzipBytes - without.gzipBytes).toBeLessThan(1_000)
  })
})

/** An MLP with its backward and update operators, as a build machine would save it. */
function xorModel() {
  const [main, startup] = [new Program(), new Program()]
  const loss = programGuard(main, startup, () => {
    const x = layers.data({ name: "x", shape: [2] })
    const y = layers.data({ name: "y", shape: [1] })
    const h = layers.fc(x, { size: 8, act: "relu" })
    const loss = layers.mean(layers.squareErrorCost(layers.fc(h, { size: 1 }), y))
    new optim.Adam({ learningRate: 0.05 }).minimize(loss)
    return loss
  })
  return { main, startup, loss }
}

const additions = { x: [0, 0, 0, 1, 1, 0, 1, 1], y: [0, 1, 1, 2] }

describe("the bundle of a page that trains a program from a file", () => {
  function saved() {
    const { main, startup, loss } = xorModel()
    const types = [main, startup].flatMap((program) => [...program.operators()].map(({ type }) => type))
    return { files: [main, startup].map((program) => JSON.stringify(program)), loss: loss.name, types: new Set(types) }
  }

  const page = (types: ReadonlySet<string>) => `
    import { Executor } from "@counterflow/executor"
    import { Program } from "@counterflow/ir"
    import { wasmOf } from "@counterflow/kernels-wasm"
    import * as families from "@counterflow/kernels-wasm/families"
    import { legalize, resolve, ${[...types].map((type) => `${type}Op`).join(", ")} } from "@counterflow/ops"
    const records = { ${[...types].map((type) => `${type}: ${type}Op`).join(", ")} }
    export async function train(files, fetch, feed, steps) {
      const [main, startup] = files.map((file) => resolve(Program.fromJSON(JSON.parse(file)), records))
      const exe = new Executor(wasmOf([families.matmul, families.random, families.reduction]), { legalize })
      await exe.run(startup)
      const losses = []
      for (let step = 0; step < steps; step++) losses.push((await exe.run(main, { feed, fetch: [fetch] }))[0].item())
      return losses
    }
  `

  test("trains, with the records and kernels of its own ops alone, and stays under 92 kB gzip (90 kB measured)", async () => {
    const { files, loss, types } = saved()
    const { code, gzipBytes } = await bundle(page(types))
    expect(gzipBytes).toBeLessThan(92_000)
    const { train } = (await load(code)) as {
      train: (files: string[], fetch: string, feed: object, steps: number) => Promise<number[]>
    }
    const losses = await train(files, loss, additions, 200)
    expect(losses.at(-1)).toBeLessThan(0.01 * (losses[0] ?? 0))
  })
})

describe("the bundle of a page that trains a compiled step from a file", () => {
  const page = `
    import { loadSteps } from "counterflow/saved"
    export function train(bytes, feed, steps) {
      const loaded = loadSteps(bytes)
      loaded.step("startup").runSync()
      const train = loaded.step("train")
      return Array.from({ length: steps }, () => train.runSync(feed)[0].item())
    }
  `

  test("trains as the executor does, and stays under 12 kB gzip (11.3 kB measured)", async () => {
    const { main, startup, loss } = xorModel()
    const exe = new Executor()
    const begin = await exe.compile(startup)
    const train = await exe.compile(main, { feed: { x: [4, 2], y: [4, 1] }, fetch: [loss] })
    const { code, gzipBytes } = await bundle(page)
    expect(gzipBytes).toBeLessThan(12_000)
    const loaded = (await load(code)) as { train: (bytes: Uint8Array, feed: object, steps: number) => number[] }
    const losses = loaded.train(saveSteps({ startup: begin, train }), additions, 200)
    begin.runSync()
    expect(losses).toEqual(Array.from({ length: 200 }, () => train.runSync(additions)[0].item()))
    expect(losses.at(-1)).toBeLessThan(0.01 * (losses[0] ?? 0))
  })
})
