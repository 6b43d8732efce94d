// Single kernels: matrix products, a chain of elementwise functions, a convolution; with their gradients.

import { type Executor, gradients, ops, type Variable } from "counterflow"
import type { Source, Values } from "../data.ts"
import type { Job } from "../protocol.ts"
import { kernel } from "./job.ts"

export type Form = "nn" | "nt" | "tn"

/** C = op(A) op(B), all n × n, of the first n² elements of the arrays a and b. */
export function product(executor: Executor, source: Source, form: Form, n: number): Job {
  const inputs = { a: square(source("a"), n), b: square(source("b"), n) }
  const transposed = { transposeX: form === "tn", transposeY: form === "nt" }
  return kernel(executor, inputs, ({ a, b }) => ({ product: ops.matmul(a, b, transposed) }))
}

function square({ data }: Values, n: number): Values {
  return { data: data.slice(0, n * n), shape: [n, n] }
}

/** tanh(a ∘ b + c) ∘ sigmoid(a) − relu(c) */
function chain(a: Variable, b: Variable, c: Variable): Variable {
  return ops.sub(ops.mul(ops.tanh(ops.add(ops.mul(a, b), c)), ops.sigmoid(a)), ops.relu(c))
}

export function chainForward(executor: Executor, source: Source): Job {
  return kernel(executor, operands(source), ({ a, b, c }) => ({ y: chain(a, b, c) }))
}

export function chainGradient(executor: Executor, source: Source): Job {
  return kernel(executor, operands(source), ({ a, b, c }) => named(gradients(chain(a, b, c), [a, b, c])))
}

function operands(source: Source) {
  return { a: source("a"), b: source("b"), c: source("c") }
}

export function convolution(executor: Executor, source: Source): Job {
  return kernel(executor, { x: source("x"), w: source("w") }, ({ x, w }) => ({ y: ops.conv2d(x, w, same(w)) }))
}

/** The result, and the gradients to image and filters for a given cotangent. */
export function convolutionGradients(executor: Executor, source: Source): Job {
  const inputs = { x: source("x"), w: source("w"), dy: source("dy") }
  return kernel(executor, inputs, ({ x, w, dy }) => {
    const y = ops.conv2d(x, w, same(w))
    return { y, ...named(gradients(y, [x, w], { targetGradients: dy })) }
  })
}

/** The padding that keeps the size of the image. */
function same({ shape }: Variable) {
  return { padding: (Number(shape.at(-1)) - 1) / 2 }
}

function named(found: readonly (Variable | null)[]): Record<string, Variable> {
  const entries = found.map((gradient, i) => {
    if (gradient === null) throw new Error(`input ${i} has no gradient`)
    return [`gradient${i}`, gradient] as const
  })
  return Object.fromEntries(entries)
}
