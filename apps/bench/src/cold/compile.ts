// How long a model takes from its program to a step that is ready to run, and that step the first time, in a fresh process:
// `node compile.js <workload>`. The startup program has run before, as in every training.

import { Executor } from "counterflow"
import { start } from "../counterflow/job.ts"
import { trainings } from "../counterflow/peer.ts"
import { readData } from "../data.ts"
import { dataFolder } from "../peers.ts"

const [workload = ""] = process.argv.slice(2)
const make = trainings(readData(dataFolder))[workload]
if (make === undefined) throw new Error(`usage: compile.js <workload>; there is no "${workload}"`)
const { model, source, batch } = make()
const executor = new Executor()
start(executor, model, source)
const shapes = Object.entries(batch).map(([name, { shape }]) => [name, shape] as const)
const data = Object.entries(batch).map(([name, values]) => [name, values.data] as const)
const times = [performance.now()]
const step = executor.compileSync(model.main, { feed: Object.fromEntries(shapes), fetch: [model.result] })
times.push(performance.now())
step.runSync(Object.fromEntries(data))
times.push(performance.now())
process.stdout.write(`@${JSON.stringify(times)}\n`)
