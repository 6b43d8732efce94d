// What the trainings have in common: a program seen at its stages, and what is left when the training is over.

import { join } from "node:path"
import type { Executor, Program, Variable } from "counterflow"

/** A copy of a program while it grew. */
export interface Stage {
  readonly title: string
  readonly program: Program
}

/** A trained model, ready to be saved. */
export interface Trained {
  readonly name: "housing" | "digits" | "mnist"
  readonly executor: Executor
  /** From the inputs to the prediction, and nothing else. */
  readonly program: Program
  readonly prediction: Variable
  /** Of the held-out rows, by the process that trained. */
  readonly predictions: Float32Array
  readonly stages: readonly Stage[]
}

export interface Curve {
  readonly name: string
  readonly points: readonly (readonly [x: number, y: number])[]
}

/** The stages of one program, copied as it grows: before its backward part, with it, and with the updates. */
export function recordStages(program: Program): { stages: Stage[]; mark: (title: string) => void } {
  const stages: Stage[] = []
  return { stages, mark: (title) => stages.push({ title, program: program.clone() }) }
}

/** Where a model is saved: the program that predicts as JSON, and the weights it needs as safetensors. */
export function filesOf(folder: string, name: string): { program: string; weights: string } {
  return { program: join(folder, `${name}.program.json`), weights: join(folder, `${name}.safetensors`) }
}
