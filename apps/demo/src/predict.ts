// The second process: knows no model, only files. Loads a program and its weights, predicts the held-out rows and prints the
// values as JSON, whose numbers hold every bit of a float32.
//   node predict.js <folder> <housing|digits> <variable to fetch> <seed>

import { digits, housing } from "@counterflow/data"
import { loadProgram, loadWeights } from "@counterflow/serialize"
import { Executor, registry, resolve } from "counterflow"
import { filesOf } from "./model.ts"

const [folder = "", name = "", fetch = "", seed = ""] = process.argv.slice(2)

const files = filesOf(folder, name)
// A file names its operators; what they do comes from the registry.
const program = resolve(await loadProgram(files.program), registry)
const executor = new Executor()
await loadWeights(executor.scope, files.weights, { program })
const feed =
  name === "housing" ? { x: (await housing()).test.x } : { image: (await digits({ seed: Number(seed) })).test.image }
const [predicted] = await executor.run(program, { feed, fetch: [fetch] })
process.stdout.write(JSON.stringify(Array.from(predicted.data, Number)))
