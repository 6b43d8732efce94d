// A net after LeNet on MNIST: two convolutions with max pooling and two fully connected layers, Adam with a falling rate. The
// images are fed as bytes; making numbers of them is part of the program, and of what is saved.

import { batches } from "@counterflow/data"
import { appendBackward, Executor, layers, optim, Program, programGuard, type Variable } from "counterflow"
import { largest } from "./digits.ts"
import { atLeast, type Figure, percent } from "./figures.ts"
import { mnist, type MnistRows, side } from "./mnistdata.ts"
import { type Curve, recordStages, type Trained } from "./model.ts"
import { type Output, withProgress } from "./progress.ts"

const accuracyWanted = 0.985
const batchSize = 64
const classes = 10
/** Images that are read at once: every batch, in whatever process, has this size, so that every result has the same bits. */
const readSize = 500
/** Points of the curve of the training loss in each epoch. */
const pointsPerEpoch = 20

export interface Epoch {
  readonly train: number
  readonly test: number
  readonly accuracy: number
  readonly seconds: number
}

export interface Mnist extends Trained {
  readonly figures: readonly Figure[]
  readonly epochs: readonly Epoch[]
  /** Losses and accuracy by epoch; the training loss in twentieths of one. */
  readonly losses: readonly Curve[]
  readonly accuracies: readonly Curve[]
  readonly images: MnistRows
  readonly trainedOn: number
  /** What each test image was read as. */
  readonly read: readonly number[]
}

export interface MnistOptions {
  readonly seed: number
  readonly mnistEpochs: number
  readonly mnistImages: number
}

function build(seed: number, steps: number) {
  const main = new Program()
  const startup = new Program()
  main.randomSeed = seed
  startup.randomSeed = seed
  const { stages, mark } = recordStages(main)
  return programGuard(main, startup, () => {
    const image = layers.data({ name: "image", shape: [1, side, side], dtype: "uint8" })
    const label = layers.data({ name: "label", shape: [1], dtype: "uint8" })
    let h = layers.scale(layers.cast(image, { dtype: "float32" }), { scale: 1 / 255 })
    h = layers.conv2d(h, { numFilters: 8, filterSize: 5, act: "relu" })
    h = layers.pool2d(h, { poolSize: 2, poolStride: 2, poolType: "max" })
    h = layers.conv2d(h, { numFilters: 16, filterSize: 3, act: "relu" })
    h = layers.pool2d(h, { poolSize: 2, poolStride: 2, poolType: "max" })
    h = layers.fc(h, { size: 64, act: "relu" })
    const logits = layers.fc(h, { size: classes })
    const entropy = layers.softmaxWithCrossEntropy(logits, layers.cast(label, { dtype: "int64" }))
    const loss = layers.mean(entropy)
    mark("before appendBackward")
    const paramGrads = appendBackward(loss)
    mark("after appendBackward")
    const learningRate = layers.polynomialDecay({ learningRate: 3e-3, decaySteps: steps, endLearningRate: 1e-4 })
    new optim.Adam({ learningRate }).applyGradients(paramGrads)
    mark("with the updates")
    return { main, startup, logits, loss, stages }
  })
}

export async function trainMnist(options: MnistOptions, out: Output): Promise<Mnist> {
  const { seed, mnistEpochs, mnistImages } = options
  const { train, test } = await mnist(mnistImages)
  const rows = train.label.data.length
  const perEpoch = Math.ceil(rows / batchSize)
  const { main, startup, logits, loss, stages } = build(seed, perEpoch * mnistEpochs)
  const forTest = main.clone({ forTest: true })
  const executor = new Executor()
  await executor.run(startup)

  const epochs: Epoch[] = []
  const curve: (readonly [x: number, y: number])[] = []
  let predictions: Float32Array = new Float32Array()
  let read: number[] = []
  const course = { title: "mnist", total: mnistEpochs, unit: "epochs", speedUnit: "images", perUnit: rows }
  await withProgress(out, course, async (update) => {
    for (let epoch = 0; epoch < mnistEpochs; epoch++) {
      const start = performance.now()
      const losses: number[] = []
      for (const feed of batches(train, { batchSize, shuffle: true, seed, epoch })) {
        const [batchLoss] = await executor.run(main, { feed, fetch: [loss] })
        losses.push(batchLoss.item())
        const done = epoch + losses.length / perEpoch
        update(done, meanOf(losses.slice(-50)))
        if (Math.floor(done * pointsPerEpoch) > curve.length) {
          curve.push([done, meanOf(losses.slice(-Math.ceil(perEpoch / pointsPerEpoch)))])
        }
      }
      const seconds = (performance.now() - start) / 1000
      const [scores, testLoss] = await readAll(executor, forTest, logits, test, loss)
      predictions = scores
      read = largest(predictions)
      const right = read.filter((digit, row) => digit === test.label.data[row]).length
      epochs.push({ train: meanOf(losses), test: testLoss, accuracy: right / read.length, seconds })
    }
  })
  out.write(epochTable(epochs))

  return {
    name: "mnist",
    executor,
    program: forTest.prune(logits.name),
    prediction: logits,
    predictions,
    stages,
    epochs,
    figures: [atLeast("MNIST test images read right", epochs.at(-1)?.accuracy ?? NaN, accuracyWanted, 2)],
    losses: [
      { name: "training images", points: curve },
      { name: "test images", points: epochs.map((epoch, index) => [index + 1, epoch.test]) },
    ],
    accuracies: [
      { name: "test images read right, %", points: epochs.map((epoch, i) => [i + 1, epoch.accuracy * 100]) },
    ],
    images: test,
    trainedOn: rows,
    read,
  }
}

/** The scores of all images, in batches of one size, and the mean loss where it is asked for. */
export async function readAll(
  executor: Executor,
  program: Program,
  logits: Variable | string,
  images: MnistRows | Pick<MnistRows, "image">,
  loss?: Variable,
): Promise<[scores: Float32Array, loss: number]> {
  const scores: number[] = []
  let sum = 0
  for (const feed of batches(images, { batchSize: readSize })) {
    const fetch = loss === undefined ? [logits] : [logits, loss]
    const [own, batchLoss] = await executor.run(program, { feed, fetch })
    for (const score of own?.data ?? []) scores.push(Number(score))
    sum += (batchLoss?.item() ?? 0) * (feed.image.shape[0] ?? 0)
  }
  return [Float32Array.from(scores), sum / (images.image.shape[0] ?? 1)]
}

function epochTable(epochs: readonly Epoch[]): string {
  const lines = epochs.map(({ train, test, accuracy, seconds }, index) => {
    const count = `epoch ${String(index + 1).padStart(String(epochs.length).length)}`
    return `  ${count}  training loss ${train.toFixed(4)}  test loss ${test.toFixed(4)}  read right ${percent(accuracy, 2)}  ${seconds.toFixed(1)} s\n`
  })
  return `\n${lines.join("")}`
}

function meanOf(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length
}
