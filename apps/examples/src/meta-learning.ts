// Learning to learn: gradient descent inside a scan, and the gradient of what it ends with, through every one of its steps.

import { example } from "./example.ts"
import { atMost, distance, equals } from "./figures.ts"
import { closedForm, metaGradient } from "./quadratic.ts"

const quadratic = {
  matrix: [
    [2, 0.5, 0],
    [0.5, 1, -0.25],
    [0, -0.25, 3],
  ],
  minimum: [0.5, 1, -1],
  start: [1, 2, 3],
  rate: 0.1,
}

export const metaLearning = example(
  {
    name: "meta-learning",
    summary: "Differentiates through gradient descent: a scan whose body takes gradients.",
    settings: {
      steps: { value: 10, least: 1, says: "steps of descent on the quadratic loss" },
    },
  },
  async ({ steps }, out) => {
    out.write(`A quadratic loss after ${steps} steps of descent, and its gradients, in float64\n`)
    const [got, wanted] = [await metaGradient({ ...quadratic, steps }), closedForm({ ...quadratic, steps })]
    return [
      equals("loss after the descent", got.loss, wanted.loss, 1e-12),
      atMost(
        "its gradient in the first weights, distance from the closed form",
        distance(got.start, wanted.start),
        1e-12,
      ),
      equals("its gradient in the step size", got.rate, wanted.rate, 1e-12),
    ]
  },
)
