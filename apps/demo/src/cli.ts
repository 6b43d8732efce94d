// The command line: what may be asked, its defaults, and refusals that say what would have been right.

import { fileURLToPath } from "node:url"
import { parseArgs } from "node:util"

export interface Options {
  /** Draws the initial weights, the rows that are held out, their order in each epoch, and what dropout drops. */
  readonly seed: number
  /** Passes over the digits of 8 × 8 pixels. */
  readonly epochs: number
  /** Passes over the images of MNIST. */
  readonly mnistEpochs: number
  /** How many images of MNIST are trained on; a sixth as many are tested on. */
  readonly mnistImages: number
  /** Steps of the linear regression; each sees all rows. */
  readonly steps: number
  /** The folder that takes weights, programs and the report. */
  readonly out: string
}

export const defaults: Options = {
  seed: 0,
  epochs: 20,
  mnistEpochs: 3,
  mnistImages: 60_000,
  steps: 500,
  out: fileURLToPath(new URL("../out", import.meta.url)),
}

export const help = `Trains three models from scratch, checks that all reach their figures, and writes a report with pictures.

usage: npm run demo [-- options]      (or: node apps/demo/dist/index.js [options])

  --seed <n>           draws weights, held-out digits, orders and dropout; the same seed gives the same result (${defaults.seed})
  --epochs <n>         passes over the small handwritten digits (${defaults.epochs})
  --steps <n>          steps of the linear regression (${defaults.steps})
  --mnist-epochs <n>   passes over the images of MNIST (${defaults.mnistEpochs})
  --mnist-images <n>   images of MNIST to train on, and a sixth as many to test on (${defaults.mnistImages.toLocaleString("en-US")})
  --out <dir>          folder for the report, the programs and the weights (out, beside the demo)
  --help               this text

Exit code: 0 if every figure is met, 1 if one is missed or the run fails, 2 if an argument is wrong.
Fewer epochs, images or steps than the default may miss the figures.
`

/** A wrong argument: the message is for the person who typed it. */
export class UsageError extends Error {
  override readonly name = "UsageError"
}

/** The options that these arguments ask for, or "help". */
export function readOptions(args: readonly string[]): Options | "help" {
  const given = parse(args)
  if (given.help === true) return "help"
  if (given.out === "") throw new UsageError("--out must name a folder, got an empty text")
  return {
    seed: integer("--seed", given.seed, 0) ?? defaults.seed,
    epochs: integer("--epochs", given.epochs, 1) ?? defaults.epochs,
    steps: integer("--steps", given.steps, 1) ?? defaults.steps,
    mnistEpochs: integer("--mnist-epochs", given["mnist-epochs"], 1) ?? defaults.mnistEpochs,
    mnistImages: integer("--mnist-images", given["mnist-images"], 1) ?? defaults.mnistImages,
    out: given.out ?? defaults.out,
  }
}

function parse(args: readonly string[]) {
  const text = { type: "string" } as const
  try {
    return parseArgs({
      args: [...args],
      options: {
        seed: text,
        epochs: text,
        steps: text,
        "mnist-epochs": text,
        "mnist-images": text,
        out: text,
        help: { type: "boolean", short: "h" },
      },
      allowPositionals: false,
      strict: true,
    }).values
  } catch (error) {
    // parseArgs says what is wrong in its first sentence; what follows is advice on passing positionals.
    const why = error instanceof Error ? (error.message.split(". ")[0] ?? "") : String(error)
    throw new UsageError(why.replaceAll("\n", " "), { cause: error })
  }
}

function integer(name: string, text: string | undefined, least: number): number | undefined {
  if (text === undefined) return undefined
  const value = /^\d+$/.test(text) ? Number(text) : NaN
  if (Number.isSafeInteger(value) && value >= least) return value
  throw new UsageError(`${name} must be a whole number, ${least} or more, got ${JSON.stringify(text)}`)
}
