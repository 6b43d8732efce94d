// A small model for tests: y ≈ x w + b, its loss, and what building it into programs leaves behind.

import {
  isCounterflowError,
  Program,
  programGuard,
  type Regularizer,
  symbol,
  type Variable,
  verify,
} from "@counterflow/ir"
import { add, flattenMatmul, mean, squareErrorCost } from "@counterflow/ops"

export interface Model {
  main: Program
  startup: Program
  w: Variable
  b: Variable
  loss: Variable
}

export interface ModelOptions {
  /** Of w. */
  learningRate?: number
  regularizer?: Regularizer
  trainable?: boolean
  /** Of b. */
  dtype?: "float32" | "float64"
}

/** Linear regression with two inputs; b is added to the product. */
export function regression(options: ModelOptions = {}): Model {
  const [main, startup] = [new Program(), new Program()]
  const block = main.globalBlock()
  const { dtype = "float32", ...ofW } = options
  const feed = (name: string, width: number) =>
    block.createVar({ name, shape: [symbol("batch"), width], dtype, isData: true })
  const [x, y] = [feed("x", 2), feed("y", 1)]
  const w = block.createParameter({ name: "w", shape: [2, 1], dtype, ...ofW })
  const b = block.createParameter({ name: "b", shape: [1], dtype })
  const loss = mean(squareErrorCost(add(flattenMatmul(x, w), b), y))
  return { main, startup, w, b, loss }
}

/** Runs `body` under the model's guard, then verifies both programs. */
export function under<T>({ main, startup }: Model, body: () => T): T {
  const made = programGuard(main, startup, body)
  verify(main)
  verify(startup)
  return made
}

/** The message of what `body` is refused with; places are lines of a test, which come and go. */
export function refusalOf(body: () => unknown): string {
  try {
    body()
  } catch (error) {
    if (!isCounterflowError(error)) throw error
    return error.message.replaceAll(/packages\/\S+\.ts:\d+:\d+/g, "HERE")
  }
  throw new Error("nothing was refused")
}

/** An argument that the types forbid and a JavaScript user passes all the same. */
export function untyped<T>(value: unknown): T {
  return value as T
}
