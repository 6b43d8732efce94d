// The numbers that gradients must come out with: small programs from Fluid's unit tests and issue tracker, each with what a
// person gets with pen and paper.

import { appendBackward, gradients } from "@counterflow/autodiff"
import type { Feeds } from "@counterflow/executor"
import { fail, type Program, type Shape, type Variable } from "@counterflow/ir"
import { add, exp, flattenMatmul, mean, mul, pow, split, square, sub } from "@counterflow/ops"

export interface TableRow {
  readonly name: string
  /** Builds the program and says what its run must give. */
  readonly build: (program: Program) => { feed: Feeds; expected: readonly (readonly [Variable, readonly number[]])[] }
}

/** A data variable that gradients reach. */
export function input(program: Program, name: string, shape: Shape): Variable {
  return program.globalBlock().createVar({ name, shape, dtype: "float32", isData: true, stopGradient: false })
}

export function parameter(program: Program, name: string, shape: Shape, initialValue: number): Variable {
  return program.globalBlock().createParameter({ name, shape, dtype: "float32", initialValue })
}

/** The gradient, which must be there. */
export function gradientOf(targets: Variable | Variable[], x: Variable): Variable {
  const [gradient] = gradients(targets, x)
  return gradient ?? fail("CF_INTERNAL", `there is no gradient of ${x.name}`)
}

function filled(length: number, value: number): number[] {
  return Array.from({ length }, () => value)
}

export const table: readonly TableRow[] = [
  {
    name: "d(x·x) at 3 is 6; through (x − 2x)² it is 6 again",
    build: (program) => {
      const x = input(program, "x", [1])
      const g = gradientOf(mul(x, x), x)
      const z = square(sub(x, g))
      return {
        feed: { x: [3] },
        expected: [
          [g, [6]],
          [gradientOf(z, x), [6]],
        ],
      }
    },
  },
  {
    name: "(d x²)² + x⁴ at 1 has the derivative 12",
    build: (program) => {
      const x = input(program, "x", [1])
      const y = mul(x, x)
      const d = gradientOf(y, x)
      return { feed: { x: [1] }, expected: [[gradientOf(add(mul(d, d), mul(y, y)), x), [12]]] }
    },
  },
  {
    name: "d x² + x⁴ at 1 has the derivative 6",
    build: (program) => {
      const x = input(program, "x", [1])
      const y = mul(x, x)
      return { feed: { x: [1] }, expected: [[gradientOf(add(gradientOf(y, x), mul(y, y)), x), [6]]] }
    },
  },
  {
    name: "the second derivative of x³ at 2 is 12, as a power and as a product; the third is 6, the fourth 0 or none",
    build: (program) => {
      const x = input(program, "x", [1])
      const second = gradientOf(gradientOf(pow(x, 3), x), x)
      const product = gradientOf(gradientOf(mul(mul(x, x), x), x), x)
      return {
        feed: { x: [2] },
        expected: [
          [second, [12]],
          [product, [12]],
          [gradientOf(second, x), [6]],
          [gradientOf(product, x), [6]],
        ],
      }
    },
  },
  {
    name: "split in 3, one part used: the others contribute zeros",
    build: (program) => {
      const x = input(program, "x", [3])
      const [first = x] = split(x, { numOrSections: 3, axis: 0 })
      return { feed: { x: [1, 1, 1] }, expected: [[gradientOf(mul(first, 2), x), [2, 0, 0]]] }
    },
  },
  {
    name: "two targets, one an ancestor of the other, add: 2e²ˣ + eˣ",
    build: (program) => {
      const x = input(program, "x", [1])
      const h = exp(x)
      return { feed: { x: [0.5] }, expected: [[gradientOf([mul(h, h), h], x), [2 * Math.E + Math.exp(0.5)]]] }
    },
  },
  {
    name: "forward mode by double backward: the gradient of a gradient with respect to its cotangent",
    build: (program) => {
      const [x, gy] = [input(program, "x", [2, 2]), input(program, "gy", [2, 2])]
      const [gx] = gradients(mul(x, x), x, { targetGradients: gy })
      if (gx === null) return fail("CF_INTERNAL", "there is no gradient of x")
      const [tangent] = gradients(gx, gy, { targetGradients: input(program, "v", [2, 2]) })
      const feed = { x: filled(4, 1), gy: filled(4, 0), v: filled(4, 1) }
      return {
        feed,
        expected: [
          [gx, filled(4, 0)],
          [tangent ?? gx, filled(4, 2)],
        ],
      }
    },
  },
  {
    name: "the mean of a product of parameters [5, 10] · [10, 8]: 1/40 for each element of the product",
    build: (program) => {
      const [x, y] = [parameter(program, "x", [5, 10], 0.5), parameter(program, "y", [10, 8], 2)]
      const p = flattenMatmul(x, y)
      const pairs = appendBackward(mean(p), { parameterList: [p, x, y] })
      const values = [filled(40, 1 / 40), filled(50, (2 * 8) / 40), filled(80, (0.5 * 5) / 40)]
      return { feed: {}, expected: pairs.map(([, gradient], at) => [gradient, values[at] ?? []] as const) }
    },
  },
  {
    name: "gradients(x, x) is ones; an intermediate and its ancestor both get theirs",
    build: (program) => {
      const x = input(program, "x", [2])
      const h = mul(x, 3)
      const found = gradients(mul(h, h), [x, h])
      const feed = { x: [1, 2] }
      return {
        feed,
        expected: [
          [gradientOf(x, x), [1, 1]],
          [found[0] ?? x, [18, 36]],
          [found[1] ?? x, [6, 12]],
        ],
      }
    },
  },
  {
    name: "two losses with a shared trunk: each gives its own gradients, and their sum's is the sum",
    build: (program) => {
      const w = parameter(program, "w", [2], 3)
      const trunk = square(w)
      const [one, two] = [mean(trunk), mean(mul(trunk, trunk))]
      const of = (loss: Variable) => appendBackward(loss)[0]?.[1] ?? loss
      return {
        feed: {},
        expected: [
          [of(one), [3, 3]],
          [of(two), [54, 54]],
          [of(add(one, two)), [57, 57]],
        ],
      }
    },
  },
]
