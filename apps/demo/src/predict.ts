// The second process: knows no model, only files. Loads a program and its weights, predicts the held-out rows and prints the
// values as JSON, whose numbers hold every bit of a float32.
//   node predict.js <folder> <housing|digits|mnist> <variable to fetch> <seed> <images of MNIST>

import { digits, housing } from "@counterflow/data"
import { loadProgram, loadWeights } from "@counterflow/serialize"
import { Executor, registry, resolve } from "counterflow"
import { readAll } from "./mnist.ts"
import { mnistTest } from "./mnistdata.ts"
import { filesOf } from "./model.ts"

const [folder = "", name = "", fetch = "", seed = "", images = ""] = process.argv.slice(2)

const files = filesOf(folder, name)
// A file names its operators; what they do comes from the registry.
const program = resolve(await loadProgram(files.program), registry)
const executor = new Executor()
await loadWeights(executor.scope, files.weights, { program })
process.stdout.write(JSON.stringify(Array.from(await predict(), Number)))

async function predict(): Promise<Iterable<number | bigint>> {
  if (name === "mnist") {
    const { image } = await mnistTest(Number(images))
    return (await readAll(executor, program, fetch, { image }))[0]
  }
  const feed =
    name === "housing" ? { x: (await housing()).test.x } : { image: (await digits({ seed: Number(seed) })).test.image }
  return (await executor.run(program, { feed, fetch: [fetch] }))[0].data
}
