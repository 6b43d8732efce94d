// A whole training run: build, initialize, train, evaluate a clone that shares the weights. The data are made here: one
// bright square of 8 × 8 pixels per image, and the label says in which of ten places it is.
import { cpu, Executor, layers, optim, Program, programGuard } from "counterflow"

const batch = 20
const pixels = new Float32Array(batch * 28 * 28)
const labels = Array.from({ length: batch }, (_, i) => i % 10)
labels.forEach((place, i) => {
  const [top, left] = [2 + 13 * Math.floor(place / 5), 5 * (place % 5)]
  for (let row = top; row < top + 8; row++) {
    for (let column = left; column < left + 8; column++) pixels[i * 784 + row * 28 + column] = i < 10 ? 1 : 0.9
  }
})

const main = new Program()
const startup = new Program()
startup.randomSeed = 7
const { loss, accuracy } = programGuard(main, startup, () => {
  const image = layers.data({ name: "image", shape: [1, 28, 28] })
  const label = layers.data({ name: "label", shape: [1], dtype: "int64" })
  let h = layers.conv2d(image, { numFilters: 8, filterSize: 5, act: "relu" })
  h = layers.pool2d(h, { poolSize: 2, poolStride: 2, poolType: "max" })
  const logits = layers.fc(h, { size: 10 })
  const loss = layers.mean(layers.softmaxWithCrossEntropy(logits, label))
  const accuracy = layers.accuracy(logits, label)
  new optim.Adam({ learningRate: 1e-3 }).minimize(loss)
  return { loss, accuracy }
})
const test = main.clone({ forTest: true })

const exe = new Executor(cpu())
await exe.run(startup)
const losses: number[] = []
for (let epoch = 0; epoch < 15; epoch++) {
  const [l] = await exe.run(main, { feed: { image: pixels, label: labels }, fetch: [loss, accuracy] })
  losses.push(l.item())
}
const before = exe.scope.get("fc_0.w_0").data
const [tested, a] = await exe.run(test, { feed: { image: pixels, label: labels }, fetch: [loss, accuracy] })
const after = exe.scope.get("fc_0.w_0").data

console.log(
  JSON.stringify({
    first: losses[0],
    last: losses.at(-1),
    tested: tested.item(),
    accuracy: a.item(),
    shape: tested.shape,
    array: tested.data.constructor.name,
    testLeavesWeights: before.every((value, i) => value === after[i]),
    state: exe.scope.names().filter((name) => name.startsWith("conv2d_0.")),
  }),
)
exe.close()
