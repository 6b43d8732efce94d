// A program printed, read back from its text and from its JSON, and run from there: the numbers are the same.
import {
  cpu,
  Executor,
  isCounterflowError,
  layers,
  optim,
  parseProgram,
  Program,
  programGuard,
  registry,
} from "counterflow"

const main = new Program()
const startup = new Program()
programGuard(main, startup, () => {
  const x = layers.data({ name: "x", shape: [3] })
  const y = layers.data({ name: "y", shape: [1] })
  const h = layers.fc(x, { size: 4, act: "tanh", name: "hidden" })
  const loss = layers.mean(layers.squareErrorCost(layers.fc(h, { size: 1 }), y))
  new optim.SGD({ learningRate: 0.1 }).minimize(loss)
})

const fromText = parseProgram(main.toString())
const json = JSON.stringify(main)
const fromJson = Program.fromJSON(json)

const feed = { x: [1, 2, 3, 0.5, -1, 2], y: [1, -1] }
const losses: unknown[] = []
for (const program of [main, fromText, fromJson]) {
  const exe = new Executor(cpu(), { registry })
  await exe.run(startup)
  await exe.run(program, { feed })
  const [loss] = await exe.run(program, { feed, fetch: ["mean_0.tmp_0"] })
  losses.push(loss.item())
}

let refusal = ""
try {
  Program.fromJSON(json.replace(/"version":\d+/, '"version":999'))
} catch (error) {
  if (isCounterflowError(error)) refusal = error.code
}

console.log(
  JSON.stringify({
    sameText: fromText.toString() === main.toString() && fromJson.toString() === main.toString(),
    version: main.toJSON().version,
    losses,
    refusal,
  }),
)
