// Moby-Dick, character by character: trains a small LSTM on nine tenths of the novel, tests it on the last tenth, and lets it write.

import { mobyDick, sfc32 } from "@counterflow/data"
import { alphabetOf, type Alphabet, unigramEntropy } from "./alphabet.ts"
import { type CharacterModel, characterModel, type Excerpts, type State } from "./character-model.ts"
import { example, type Output } from "./example.ts"
import { atMost } from "./figures.ts"

export interface Training {
  readonly text: string
  readonly size: number
  readonly batch: number
  readonly length: number
  readonly steps: number
  readonly seed: number
}

export interface Trained {
  readonly model: CharacterModel
  readonly alphabet: Alphabet
  /** Bits per character: on the last steps of training, on the held-out tenth, and for one who only knows how often each comes. */
  readonly bits: number
  readonly testBits: number
  readonly entropy: number
}

/** Trains on nine tenths of a text. */
export async function trainOn({ text, size, batch, length, steps, seed }: Training, out: Output): Promise<Trained> {
  const alphabet = alphabetOf(text)
  const codes = alphabet.encode(text)
  const border = Math.floor(0.9 * codes.length)
  const [seen, unseen] = [codes.subarray(0, border), codes.subarray(border)]
  const model = await characterModel({ kinds: alphabet.characters.length, size, steps, seed })
  let [state, sum, count, bits]: [State, number, number, number] = [null, 0, 0, NaN]
  const part = Math.ceil(steps / 10)
  for (let step = 0, course = excerptsOf(seen, batch, length); step < steps; step++) {
    let next = course.next()
    if (next.done === true) {
      // From the beginning, with nothing in mind.
      course = excerptsOf(seen, batch, length)
      next = course.next()
      state = null
    }
    if (next.done === true) throw new RangeError(`${seen.length} characters are too few for ${batch} × ${length}`)
    const [loss, last] = await model.train(next.value, state)
    ;[state, sum, count] = [last, sum + loss, count + 1]
    if ((step + 1) % part !== 0 && step + 1 !== steps) continue
    bits = sum / count
    ;[sum, count] = [0, 0]
    out.write(`step ${String(step + 1).padStart(5)}: ${bits.toFixed(3)} bits per character\n`)
  }
  return {
    model,
    alphabet,
    bits,
    testBits: await testedOn(model, unseen, { batch, length }),
    entropy: unigramEntropy(codes),
  }
}

async function testedOn(
  model: CharacterModel,
  codes: Int32Array,
  { batch, length }: { batch: number; length: number },
) {
  let [state, sum, count]: [State, number, number] = [null, 0, 0]
  for (const excerpts of excerptsOf(codes, batch, length)) {
    const [bits, last] = await model.test(excerpts, state)
    ;[state, sum, count] = [last, sum + bits, count + 1]
  }
  return sum / count
}

/** A text read at `batch` places at once, each from its place on, in steps of `length` characters. */
function* excerptsOf(codes: Int32Array, batch: number, length: number): Generator<Excerpts, void> {
  const lane = Math.floor((codes.length - 1) / batch)
  for (let start = 0; start + length <= lane; start += length) {
    const cut = (from: number) => {
      const rows = new Int32Array(batch * length)
      for (let row = 0; row < batch; row++) {
        const at = row * lane + start + from
        rows.set(codes.subarray(at, at + length), row * length)
      }
      return rows
    }
    yield { batch, codes: cut(0), next: cut(1) }
  }
}

export interface Writing {
  readonly prompt: string
  /** How many characters. */
  readonly length: number
  /** Below 1 likely characters become likelier still. */
  readonly temperature: number
  readonly seed: number
}

/** Lets a model go on with a text. The same seed writes the same. */
export async function write(
  { model, alphabet }: Trained,
  { prompt, length, temperature, seed }: Writing,
): Promise<string> {
  const draw = sfc32(seed)
  let state: State = null
  let scores: ArrayLike<number> = []
  for (const code of alphabet.encode(prompt)) [scores, state] = await model.read(code, state)
  let text = prompt
  for (let i = 0; i < length; i++) {
    const code = drawn(scores, temperature, draw() / 2 ** 32)
    text += alphabet.characters[code] ?? ""
    ;[scores, state] = await model.read(code, state)
  }
  return text
}

/** Draws from softmax(scores / temperature) with a number from 0 to 1. */
function drawn(scores: ArrayLike<number>, temperature: number, uniform: number): number {
  const values = Array.from(scores)
  const largest = Math.max(...values)
  const weights = values.map((score) => Math.exp((score - largest) / temperature))
  let rest = uniform * weights.reduce((sum, weight) => sum + weight, 0)
  const found = weights.findIndex((weight) => (rest -= weight) < 0)
  return found < 0 ? values.indexOf(largest) : found
}

export const characters = example(
  {
    name: "characters",
    summary: "Learns to write like Moby-Dick, character by character, with an LSTM.",
    settings: {
      steps: { value: 2000, least: 1, says: "training steps; 2000 take a core about a minute" },
      size: { value: 128, least: 1, says: "width of the LSTM" },
      batch: { value: 32, least: 1, says: "places at which the text is read at once" },
      length: { value: 64, least: 1, says: "characters of a step, through which gradients go" },
      write: { value: 400, says: "characters of a sample" },
      temperature: { value: "0.8", says: "of the samples: low is cautious" },
      seed: { value: 1, says: "of the first weights and the samples" },
    },
  },
  async ({ write: written, temperature, ...settings }, out) => {
    const text = await mobyDick()
    const trained = await trainOn({ text, ...settings }, out)
    for (const [i, prompt] of ["CHAPTER 136. ", "The whale "].entries()) {
      const options = { prompt, length: written, temperature: Number(temperature), seed: settings.seed + i }
      out.write(`\n${await write(trained, options)}\n`)
    }
    return [atMost("bits per character on the last tenth, which is not trained on", trained.testBits, trained.entropy)]
  },
)
