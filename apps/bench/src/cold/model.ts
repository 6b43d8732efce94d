// The MLP of the cold starts as a program that trains.

import { layers, optim, Program, programGuard } from "counterflow"
import { sizes } from "./sample.ts"

export function trainingMlp() {
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
  return { main, startup, loss }
}
