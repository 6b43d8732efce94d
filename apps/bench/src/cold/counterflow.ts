// The whole of a small program that trains: what a user pays before the first step is done.

import { Executor } from "counterflow"
import { trainingMlp } from "./model.ts"
import { batch, labels, parameters, report, x } from "./sample.ts"

const { main, startup, loss } = trainingMlp()
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
