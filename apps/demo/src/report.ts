// The report: one HTML file that needs nothing else, with figures, curves, readings and pictures of the programs.

import { writeFile } from "node:fs/promises"
import { lossCurveSvg } from "@counterflow/viz"
import type { Options } from "./cli.ts"
import type { Digits } from "./digits.ts"
import { type Figure, percent, thousands } from "./figures.ts"
import type { Mnist } from "./mnist.ts"
import { element, escapeHtml, page } from "./page.ts"
import { programSection } from "./pictures.ts"
import { duration } from "./progress.ts"
import { confusionGrid, misreadGallery } from "./readings.ts"
import { optimum, type Regression } from "./regression.ts"

export interface Results {
  readonly options: Options
  readonly regression: Regression
  readonly digits: Digits
  /** counts[digit][reading] of the held-out digits. */
  readonly counts: readonly (readonly number[])[]
  readonly mnist: Mnist
  readonly mnistCounts: readonly (readonly number[])[]
  readonly reloaded: readonly Figure[]
  readonly seconds: number
}

export async function writeReport(file: string, results: Results): Promise<void> {
  await writeFile(file, await reportHtml(results))
}

export async function reportHtml(results: Results): Promise<string> {
  const { regression, digits, mnist, reloaded } = results
  const figures = [...regression.figures, ...digits.figures, ...mnist.figures, ...reloaded]
  const body = [
    header(results, figures),
    element("section", { class: "figures", "aria-label": "figures" }, figures.map(card)),
    await regressionSection(results),
    await digitsSection(results),
    await mnistSection(results),
    reloadSection(results),
  ]
  return page("counterflow demo", body.join("\n"))
}

function header({ options, regression, seconds }: Results, figures: readonly Figure[]): string {
  const met = figures.filter(({ isMet }) => isMet).length
  const verdict =
    met === figures.length ? `all ${met} figures met` : `${figures.length - met} of ${figures.length} figures missed`
  const state = met === figures.length ? "met" : "missed"
  const facts = `Three models trained from scratch in ${duration(seconds)}, seed ${options.seed}, on the backend “${regression.executor.backend}”.`
  return `<header><h1>counterflow demo <span class="verdict ${state}">${verdict}</span></h1><p>${escapeHtml(facts)}</p></header>`
}

function card({ what, got, wanted, isMet }: Figure): string {
  const state = isMet ? "met" : "missed"
  const mark = isMet ? "✓ met" : "✗ missed"
  return element("div", { class: `card ${state}` }, [
    element("h3", {}, [escapeHtml(what)]),
    element("p", { class: "value" }, [escapeHtml(got)]),
    element("p", { class: "wanted" }, [escapeHtml(wanted)]),
    element("p", { class: "mark" }, [mark]),
  ])
}

async function regressionSection({ options, regression }: Results): Promise<string> {
  const { curves, settledAt } = regression
  const settled =
    settledAt === null
      ? "The last step is not within the tolerances."
      : `From step ${thousands(settledAt)} on, both stay within their tolerances.`
  const targets = [optimum.train, optimum.heldOut]
  const distances = curves.map(({ name, points }, index) => {
    const target = targets[index] ?? NaN
    return { name, points: points.map(([x, y]) => [x, 100 * Math.abs(y / target - 1)] as const) }
  })
  return `<section><h2>Linear regression</h2>
<p>Median house prices from 13 features: 404 rows to train on, the last 102 held out. ${thousands(options.steps)} steps on all
rows at once, momentum 0.9, rate 0.2. The loss is convex, so descent along right gradients ends at the least-squares optimum,
${optimum.train} on the training rows and ${optimum.heldOut.toFixed(3)} on the held-out ones, from any weights. The held-out error
is lower on the way there. ${settled}</p>
<div class="charts">
${lossCurveSvg(curves, { title: "Mean squared error", yLabel: "error", yScale: "log", ...chartSize })}
${lossCurveSvg(distances, { title: "Distance from the least-squares optimum", yLabel: "%", yScale: "log", ...chartSize })}
</div>
${await programSection("regression", regression.stages)}
</section>`
}

async function digitsSection({ options, digits, counts }: Results): Promise<string> {
  const { losses, accuracies, images, read } = digits
  const rows = images.label.data.length
  const wrong = rows - counts.reduce((sum, row, digit) => sum + (row[digit] ?? 0), 0)
  const summary =
    wrong === 0
      ? `All ${rows} held-out digits were read right.`
      : `${wrong} of ${rows} held-out digits (${percent(wrong / rows, 1)}) were misread.`
  return `<section><h2>Handwritten digits</h2>
<p>1,797 images of 8 × 8 pixels, a drawn fifth of them held out. Two convolutions with max pooling, dropout and a fully
connected layer, trained with Adam for ${thousands(options.epochs)} epochs in batches of 32. ${summary}</p>
<div class="charts">
${lossCurveSvg(losses, { title: "Cross-entropy", xLabel: "epoch", yScale: "log", ...chartSize })}
${lossCurveSvg(accuracies, { title: "Accuracy", xLabel: "epoch", yLabel: "%", ...chartSize })}
</div>
<div class="readings">
${confusionGrid(counts)}
${misreadGallery(images, read)}
</div>
${await programSection("digits", digits.stages)}
</section>`
}

async function mnistSection({ mnist, mnistCounts }: Results): Promise<string> {
  const { losses, accuracies, images, read, epochs, trainedOn } = mnist
  const rows = images.label.data.length
  const right = mnistCounts.reduce((sum, row, digit) => sum + (row[digit] ?? 0), 0)
  const lines = epochs.map(({ train, test, accuracy, seconds }, index) => {
    const cells = [train.toFixed(4), test.toFixed(4), percent(accuracy, 2), `${seconds.toFixed(1)} s`]
    return `<tr><th scope="row">${index + 1}</th>${cells.map((cell) => `<td>${cell}</td>`).join("")}</tr>`
  })
  return `<section><h2>MNIST</h2>
<p>Images of 28 × 28 pixels: ${thousands(trainedOn)} to train on, ${thousands(rows)} others to test on. After LeNet: two convolutions
with max pooling and two fully connected layers, trained with Adam in batches of 64. ${thousands(rows - right)} of the test images
(${percent((rows - right) / rows, 2)}) were misread.</p>
<div class="charts">
${lossCurveSvg(losses, { title: "Cross-entropy on MNIST", xLabel: "epoch", yScale: "log", ...chartSize })}
${lossCurveSvg(accuracies, { title: "Accuracy on MNIST", xLabel: "epoch", yLabel: "%", ...chartSize })}
</div>
<div class="scroll"><table class="plain"><thead><tr><th scope="col">epoch</th><th scope="col">training loss</th>
<th scope="col">test loss</th><th scope="col">read right</th><th scope="col">training time</th></tr></thead><tbody>${lines.join("")}</tbody></table></div>
<div class="readings">
${confusionGrid(mnistCounts)}
${misreadGallery(images, read, 255)}
</div>
${await programSection("mnist", mnist.stages)}
</section>`
}

const chartSize = { width: 560, height: 320 }

function reloadSection({ regression, digits, mnist, options }: Results): string {
  const rows = [regression, digits, mnist].map(({ name, program, prediction, predictions }) => {
    const ops = [...program.operators()].length
    const files = `<code>${name}.program.json</code>, <code>${name}.safetensors</code>`
    const fetched = `<code>${escapeHtml(prediction.name)}</code>`
    return `<tr><th scope="row">${name}</th><td>${files}</td><td>${ops}</td><td>${fetched}</td><td>${thousands(predictions.length)}</td></tr>`
  })
  return `<section><h2>Saved and loaded</h2>
<p>What predicts was pruned from each training program and saved with its weights, beside this report. A second process, which
knows nothing of how the models were built, loaded both and predicted the held-out rows again.</p>
<div class="scroll"><table class="plain"><thead><tr><th scope="col">model</th><th scope="col">files</th><th scope="col">operators</th>
<th scope="col">prediction</th><th scope="col">values compared</th></tr></thead><tbody>${rows.join("")}</tbody></table></div>
<p>The same figures again: <code>npm run demo -- ${again(options)}</code></p>
</section>`
}

function again({ seed, epochs, steps, mnistEpochs, mnistImages }: Options): string {
  const mnist = `--mnist-epochs ${mnistEpochs} --mnist-images ${mnistImages}`
  return `--seed ${seed} --epochs ${epochs} --steps ${steps} ${mnist}`
}
