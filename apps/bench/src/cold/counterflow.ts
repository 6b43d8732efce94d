// The whole of a small program that trains: what a user pays before the first step is done.

import { Executor, layers, optim, Program, programGuard } from "counterflow"
import { batch, labels, parameters, report, sizes, x } from "./sample.ts"

const main = new Program()
const startup = new Program()
const loss = programGuard(main, startup, () => {
  const last = sizes.length - 1
  const logits = sizes.reduce(
    (h, [, size], i) => layers.fc(h, { size, act: i < last ? "relu" : null }),
    layers.data({ name: "x", shape: [784] }),
  )
  const label = layers.data({ name: "label", shape: [], dtype: "int32" })
  const loss = layers.mean(layers.softmaxWithCrossEntropy(logits, label))
  new optim.Adam({ learningRate: 1e-3 }).minimize(loss)
  return loss
})

const executor = new Executor()
executor.runSync(startup)
main.allParameters().forEach(({ name }, i) => {
  const parameter = parameters[i]
  if (parameter !== undefined) executor.scope.set(name, parameter)
})
const [value] = executor.runSync(main, {
  feed: { x: { data: x, shape: [batch, 784] }, label: labels },
  fetch: [loss],
})
report(value.item())
