// Saves trained models and has a second process predict with them: what lies in the files must be all there is to know.

import { execFile } from "node:child_process"
import { extname } from "node:path"
import { fileURLToPath } from "node:url"
import { promisify } from "node:util"
import { saveProgram, saveWeights } from "@counterflow/serialize"
import type { Options } from "./cli.ts"
import { allEqual, type Figure } from "./figures.ts"
import { filesOf, type Trained } from "./model.ts"

export async function save({ name, program, executor }: Trained, folder: string): Promise<void> {
  const files = filesOf(folder, name)
  await saveProgram(program, files.program)
  await saveWeights(executor.scope, files.weights, { program })
}

/** Predicts the held-out rows in a process of its own (predict.ts) and compares. */
export async function predictAgain(model: Trained, folder: string, options: Options): Promise<Figure> {
  // The program that runs may be the built one or the sources: the second process is started the same way.
  const script = fileURLToPath(new URL(`./predict${extname(import.meta.url)}`, import.meta.url))
  const { name, prediction } = model
  const held = [options.seed, options.mnistImages].map(String)
  const args = [...process.execArgv, script, folder, name, prediction.name, ...held]
  const again: unknown = JSON.parse(await output(args))
  const values: readonly unknown[] = Array.isArray(again) ? again : []
  const equal = model.predictions.reduce((count, value, index) => count + (Object.is(value, values[index]) ? 1 : 0), 0)
  // A result of another length is not the same result, however it begins.
  return allEqual(`${name} predicted again`, equal, Math.max(values.length, model.predictions.length))
}

/** What Node prints when it runs these arguments. */
async function output(args: readonly string[]): Promise<string> {
  try {
    return (await promisify(execFile)(process.execPath, args, { maxBuffer: 1 << 26 })).stdout
  } catch (cause) {
    const said = cause instanceof Error && "stderr" in cause ? String(cause.stderr) : String(cause)
    throw new Error(`the second process failed:\n${said}`, { cause })
  }
}
