// A model of characters: an embedding, an LSTM, and scores for the next character. Batch and length are open, so the program that
// is trained on many excerpts at once also writes one character at a time. The state of the LSTM is fed and fetched: training hands
// it from excerpt to excerpt, and gradients end there (truncated backpropagation through time); writing hands it from character to
// character.

import { Executor, layers, optim, Program, programGuard, type Tensor } from "counterflow"

export interface ModelSize {
  /** How many kinds of characters there are. */
  readonly kinds: number
  /** The width of the LSTM. */
  readonly size: number
  /** How long training is to take: until then the learning rate falls. */
  readonly steps: number
  readonly seed: number
}

/** [batch, length] characters, and the ones behind each. */
export interface Excerpts {
  readonly batch: number
  readonly codes: Int32Array
  readonly next: Int32Array
}

/** What the LSTM remembers of what it has read; nothing at first. */
export type State = Readonly<Record<"h" | "c", Tensor>> | null

export interface CharacterModel {
  /** One step on excerpts that follow on the last ones: the mean loss in bits per character. */
  train(excerpts: Excerpts, state: State): Promise<[bits: number, state: State]>
  /** The same without learning. */
  test(excerpts: Excerpts, state: State): Promise<[bits: number, state: State]>
  /** Scores of each kind of character to come behind this one. */
  read(code: number, state: State): Promise<[scores: ArrayLike<number>, state: State]>
}

export async function characterModel({ kinds, size, steps, seed }: ModelSize): Promise<CharacterModel> {
  const [main, startup] = [new Program(), new Program()]
  main.randomSeed = seed
  startup.randomSeed = seed
  const { loss, scores, h, c } = programGuard(main, startup, () => {
    const text = (name: string) => layers.data({ name, shape: ["length"], dtype: "int32" })
    const state = (name: string) => layers.data({ name, shape: [size] })
    const embedded = layers.embedding(text("codes"), { size: [kinds, 32] })
    const [outputs, h, c] = layers.lstm(embedded, { size, initH: state("h"), initC: state("c") })
    const scores = layers.fc(outputs, { size: kinds, numFlattenDims: 2 })
    const label = layers.unsqueeze(text("next"), { axes: 2 })
    const loss = layers.mean(layers.softmaxWithCrossEntropy(scores, label))
    const learningRate = layers.polynomialDecay({ learningRate: 1e-2, endLearningRate: 1e-3, decaySteps: steps })
    new optim.Adam({ learningRate, gradClip: new optim.ClipByGlobalNorm(1) }).minimize(loss)
    return { loss, scores, h, c }
  })
  const forTest = main.clone({ forTest: true })
  const executor = new Executor()
  await executor.run(startup)

  const zeros = (batch: number) => ({ data: new Float32Array(batch * size), shape: [batch, size] })
  const table = (batch: number, data: Int32Array) => ({ data, shape: [batch, data.length / batch] })
  const lossOn =
    (program: Program) =>
    async (excerpts: Excerpts, state: State): Promise<[number, State]> => {
      const { batch } = excerpts
      const feed = {
        codes: table(batch, excerpts.codes),
        next: table(batch, excerpts.next),
        ...(state ?? { h: zeros(batch), c: zeros(batch) }),
      }
      const [mean, lastH, lastC] = await executor.run(program, { feed, fetch: [loss.name, h.name, c.name] as const })
      return [mean.item() / Math.LN2, { h: lastH, c: lastC }]
    }
  return {
    train: lossOn(main),
    test: lossOn(forTest),
    read: async (code, state) => {
      const feed = { codes: table(1, Int32Array.of(code)), ...(state ?? { h: zeros(1), c: zeros(1) }) }
      const fetch = [scores.name, h.name, c.name] as const
      const [values, lastH, lastC] = await executor.run(forTest, { feed, fetch })
      return [values.data as Float32Array, { h: lastH, c: lastC }]
    },
  }
}
