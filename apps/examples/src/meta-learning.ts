// Learning to learn: gradient descent inside a scan, and the gradient of what it ends with, through every one of its steps. First
// where that gradient can be written down, then where it is of use: a network that learns a new curve from ten points.

import { adapt, learn } from "./adaptation.ts"
import { columns } from "./columns.ts"
import { example, type Output } from "./example.ts"
import { atMost, distance, equals, type Figure } from "./figures.ts"
import { closedForm, metaGradient } from "./quadratic.ts"
import { drawTasks, randomFrom } from "./sinusoids.ts"

export const metaLearning = example(
  {
    name: "meta-learning",
    summary: "Learns first weights by differentiating through gradient descent inside a scan.",
    settings: {
      rounds: { value: 4000, least: 1, says: "updates of the first weights, each by 25 tasks" },
      steps: { value: 3, least: 1, says: "steps of descent that are differentiated through" },
      width: { value: 40, least: 1, says: "width of the two hidden layers" },
      seed: { value: 0, says: "draws the first weights and the tasks" },
    },
  },
  async (options, out) => [...(await onQuadratic(out)), ...(await onSinusoids(options, out))],
)

const quadratic = {
  matrix: [
    [2, 0.5, 0],
    [0.5, 1, -0.25],
    [0, -0.25, 3],
  ],
  minimum: [0.5, 1, -1],
  start: [1, 2, 3],
  rate: 0.1,
  steps: 10,
}

async function onQuadratic(out: Output): Promise<Figure[]> {
  out.write(
    `A quadratic loss after ${quadratic.steps} steps of descent, in float64: its gradients in what the descent began with\n\n`,
  )
  const [got, wanted] = [await metaGradient(quadratic), closedForm(quadratic)]
  const digits = (values: readonly number[]) => values.map((value) => value.toFixed(9)).join("  ")
  const rows = [
    ["first weights", digits(got.start), digits(wanted.start)],
    ["step size", digits([got.rate]), digits([wanted.rate])],
  ]
  out.write(columns(["gradient in", "through the scan", "closed form"], rows))
  return [
    equals("quadratic: loss after the descent", got.loss, wanted.loss, 1e-12),
    atMost(
      "quadratic: gradient in the first weights, distance from the closed form",
      distance(got.start, wanted.start),
      1e-12,
    ),
    equals("quadratic: gradient in the step size", got.rate, wanted.rate, 1e-12),
  ]
}

interface Curves {
  readonly rounds: number
  readonly steps: number
  readonly width: number
  readonly seed: number
}

async function onSinusoids({ rounds, steps, width, seed }: Curves, out: Output): Promise<Figure[]> {
  out.write(
    "\nSine curves nobody has seen, learnt from 10 points each: mean squared error on 100 other points of 200 curves\n\n",
  )
  const common = { seed, width, tasks: 25, points: 10, rate: 0.02 }
  const unseen = drawTasks(200, { shown: 10, held: 100 }, randomFrom(seed + 1000))
  const last = Math.max(10, steps)
  const errorsOf = async (learning: { rounds: number; steps: number }, rates: readonly number[]) => {
    const executor = await learn({ ...common, ...learning })
    const all: number[][] = []
    for (const rate of rates) all.push(await adapt(executor, unseen, { width, steps: last, rate }))
    return Array.from({ length: last + 1 }, (_, step) => Math.min(...all.map((errors) => errors[step] ?? NaN)))
  }

  // The others were made for no step size in particular, so each of their figures is the best of several.
  const rates = [0.003, 0.01, 0.02, 0.05]
  const start = performance.now()
  const meta = await errorsOf({ rounds, steps }, [common.rate])
  const seconds = (performance.now() - start) / 1000
  const joint = await errorsOf({ rounds, steps: 0 }, rates)
  const drawn = await errorsOf({ rounds: 0, steps: 0 }, rates)

  const shown = [...new Set([0, 1, steps, 5, last])].filter((step) => step <= last).toSorted((a, b) => a - b)
  const row = (name: string, errors: readonly number[]) => [
    name,
    ...shown.map((step) => (errors[step] ?? NaN).toFixed(3)),
  ]
  const rows = [row("meta-learnt", meta), row("trained on all curves", joint), row("as drawn", drawn)]
  out.write(columns(["first weights \\ steps of descent", ...shown.map(String)], rows))
  out.write(`\n  Meta-learnt in ${rounds} rounds of ${common.tasks} curves, ${seconds.toFixed(1)} s.\n`)

  const ratio = (others: readonly number[], step: number) => (meta[step] ?? NaN) / (others[step] ?? NaN)
  return [
    atMost(`sinusoids: error after ${steps} steps`, meta[steps] ?? NaN, 0.4),
    atMost(
      `sinusoids: error after ${steps} steps, as a part of that when trained on all curves`,
      ratio(joint, steps),
      0.2,
    ),
    atMost(`sinusoids: error after ${last} steps, as a part of that from drawn weights`, ratio(drawn, last), 0.1),
  ]
}
