// The whole demo: trains all models, has a second process predict with what was saved, and says whether all figures are met.

import { mkdir } from "node:fs/promises"
import { join } from "node:path"
import { help, type Options, readOptions, UsageError } from "./cli.ts"
import { confusion, confusionText } from "./confusion.ts"
import { trainDigits } from "./digits.ts"
import { type Figure, thousands } from "./figures.ts"
import { trainMnist } from "./mnist.ts"
import { duration, type Output } from "./progress.ts"
import { trainRegression } from "./regression.ts"
import { predictAgain, save } from "./reload.ts"
import { writeReport } from "./report.ts"

/** Runs the demo with these arguments; answers the exit code. */
export async function demo(args: readonly string[], out: Output, errors: Output): Promise<number> {
  try {
    const options = readOptions(args)
    if (options === "help") {
      out.write(help)
      return 0
    }
    await makeFolder(options.out)
    return await run(options, out)
  } catch (error) {
    if (!(error instanceof UsageError)) throw error
    errors.write(`demo: ${error.message}\nTry --help.\n`)
    return 2
  }
}

async function run(options: Options, out: Output): Promise<number> {
  const start = performance.now()
  const paint = painter(out)
  const show = (figures: readonly Figure[]) => {
    for (const figure of figures) out.write(figureText(figure, paint))
  }
  const title = (text: string) => out.write(`\n${paint(text, bold)}\n`)

  title("Linear regression on the housing data, all rows at once")
  const regression = await trainRegression(options, out)
  show(regression.figures)

  title("Convolutional net on handwritten digits of 8 × 8 pixels")
  const digits = await trainDigits(options, out)
  show(digits.figures)
  const counts = confusion(digits.images.label.data, digits.read, 10)
  out.write(`\n  What the held-out digits were read as:\n\n${confusionText(counts)}`)

  title("A net after LeNet on MNIST, handwritten digits of 28 × 28 pixels")
  const mnist = await trainMnist(options, out)
  show(mnist.figures)
  const mnistCounts = confusion(mnist.images.label.data, mnist.read, 10)
  out.write(`\n  What the test images were read as:\n\n${confusionText(mnistCounts)}`)

  title("Programs and weights saved, and loaded in a second process")
  const reloaded: Figure[] = []
  for (const model of [regression, digits, mnist]) {
    await save(model, options.out)
    reloaded.push(await predictAgain(model, options.out, options))
  }
  show(reloaded)

  const figures = [...regression.figures, ...digits.figures, ...mnist.figures, ...reloaded]
  const seconds = (performance.now() - start) / 1000
  const file = join(options.out, "report.html")
  await writeReport(file, { options, regression, digits, counts, mnist, mnistCounts, reloaded, seconds })
  const missed = figures.filter(({ isMet }) => !isMet).length
  const verdict =
    missed === 0 ? `All ${figures.length} figures met` : `${thousands(missed)} of ${figures.length} figures missed`
  out.write(`\n${paint(verdict, missed === 0 ? green : red)} in ${duration(seconds)}. Report: ${file}\n`)
  return missed === 0 ? 0 : 1
}

/** Made before anything is trained: a folder that cannot be written must not cost a training. */
async function makeFolder(folder: string): Promise<void> {
  try {
    await mkdir(folder, { recursive: true })
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause)
    throw new UsageError(`--out: the folder ${folder} cannot be made (${why})`, { cause })
  }
}

const bold = 1
const red = 31
const green = 32

type Painter = (text: string, style: number) => string

function painter(out: Output): Painter {
  const isPlain = out.isTTY !== true || (process.env["NO_COLOR"] ?? "") !== ""
  return (text, style) => (isPlain ? text : `\u001b[${style}m${text}\u001b[0m`)
}

function figureText({ what, got, wanted, isMet }: Figure, paint: Painter): string {
  const mark = isMet ? paint("✓", green) : paint("✗ missed:", red)
  return `  ${mark} ${what}: ${paint(got, bold)}  (wanted: ${wanted})\n`
}
