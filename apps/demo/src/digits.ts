// A small convolutional net on handwritten digits of 8 × 8 pixels: batches in a drawn order, dropout, and a fifth of the
// images held out, which only the test clone of the program sees.

import { batches, digits, type DigitRows } from "@counterflow/data"
import { appendBackward, Executor, layers, optim, Program, programGuard } from "counterflow"
import { atLeast, type Figure } from "./figures.ts"
import { type Curve, recordStages, type Trained } from "./model.ts"
import { type Output, withProgress } from "./progress.ts"

const accuracyWanted = 0.97
const batchSize = 32
const classes = 10

export interface Digits extends Trained {
  readonly figures: readonly Figure[]
  /** Losses by epoch, and the share of held-out images that are read right. */
  readonly losses: readonly Curve[]
  readonly accuracies: readonly Curve[]
  readonly images: DigitRows
  /** What each held-out image was read as. */
  readonly read: readonly number[]
}

function build(seed: number) {
  const main = new Program()
  const startup = new Program()
  main.randomSeed = seed
  startup.randomSeed = seed
  const { stages, mark } = recordStages(main)
  return programGuard(main, startup, () => {
    const image = layers.data({ name: "image", shape: [1, 8, 8] })
    const label = layers.data({ name: "label", shape: [1], dtype: "int64" })
    let h = layers.conv2d(image, { numFilters: 16, filterSize: 3, padding: 1, act: "relu" })
    h = layers.pool2d(h, { poolSize: 2, poolStride: 2, poolType: "max" })
    h = layers.conv2d(h, { numFilters: 32, filterSize: 3, padding: 1, act: "relu" })
    h = layers.pool2d(h, { poolSize: 2, poolStride: 2, poolType: "max" })
    h = layers.dropout(h, { dropoutProb: 0.3 })
    const logits = layers.fc(h, { size: classes })
    const loss = layers.mean(layers.softmaxWithCrossEntropy(logits, label))
    mark("before appendBackward")
    const paramGrads = appendBackward(loss)
    mark("after appendBackward")
    new optim.Adam({ learningRate: 3e-3 }).applyGradients(paramGrads)
    mark("with the updates")
    return { main, startup, logits, loss, stages }
  })
}

export async function trainDigits(options: { seed: number; epochs: number }, out: Output): Promise<Digits> {
  const { seed, epochs } = options
  const { train, test } = await digits({ seed })
  const { main, startup, logits, loss, stages } = build(seed)
  const forTest = main.clone({ forTest: true })
  const executor = new Executor()
  await executor.run(startup)

  const history: { train: number; test: number; accuracy: number }[] = []
  let predictions = new Float32Array()
  let read: number[] = []
  const rows = train.label.data.length
  const course = { title: "digits", total: epochs, unit: "epochs", speedUnit: "images", perUnit: rows }
  await withProgress(out, course, async (update) => {
    for (let epoch = 0; epoch < epochs; epoch++) {
      let sum = 0
      let seen = 0
      for (const feed of batches(train, { batchSize, shuffle: true, seed, epoch })) {
        const [batchLoss] = await executor.run(main, { feed, fetch: [loss] })
        const size = feed.label.data.length
        sum += batchLoss.item() * size
        seen += size
        update(epoch + seen / rows, sum / seen)
      }
      const [testLoss, scores] = await executor.run(forTest, { feed: test, fetch: [loss, logits] })
      predictions = Float32Array.from(scores.data, Number)
      read = largest(predictions)
      const right = read.filter((digit, row) => digit === test.label.data[row]).length
      history.push({ train: sum / seen, test: testLoss.item(), accuracy: right / read.length })
    }
  })

  return {
    name: "digits",
    executor,
    program: forTest.prune(logits.name),
    prediction: logits,
    predictions,
    stages,
    figures: [atLeast("held-out digits read right", history.at(-1)?.accuracy ?? NaN, accuracyWanted)],
    losses: [
      { name: "training images", points: history.map((epoch, index) => [index + 1, epoch.train]) },
      { name: "held-out images", points: history.map((epoch, index) => [index + 1, epoch.test]) },
    ],
    accuracies: [
      { name: "held-out images read right, %", points: history.map((epoch, i) => [i + 1, epoch.accuracy * 100]) },
    ],
    images: test,
    read,
  }
}

/** The class of the largest score of each row. */
export function largest(scores: Float32Array): number[] {
  return Array.from({ length: scores.length / classes }, (_, row) => {
    const own = scores.subarray(row * classes, (row + 1) * classes)
    return own.indexOf(Math.max(...own))
  })
}
