// The examples in the comments of exported functions compile and run, each on a small model of its own.
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, beforeAll, describe, expect, test } from "vitest"
import { root } from "./pages.ts"
import { bundleScripts, type Scripts } from "./scripts.ts"
import { configuration, patience, typeErrors } from "./suite.ts"

const folders = ["autodiff/src", "compiler/src", "executor/src", "kernels-wasm/src/saved", "layers/src"]

/** What the examples may use without saying where it comes from. */
const prelude = `
import { appendBackward, type BackwardCallback, cpu, Executor, gradients, layers, microBatches, ops, optim, Program, programGuard, recomputeSavings } from "counterflow"
import { absorbElementwise, bindProgram, bindSymbols, compile, foldConstants, foldOperands, fuseElementwise, joinLoops, memoryReport } from "@counterflow/compiler"
import { saveSteps } from "counterflow"
import { loadSteps } from "counterflow/saved"
import { mergeCommonSubexpressions, planMemory, printBound, schedule, verifyBound, withoutUnread } from "@counterflow/compiler"

async function model() {
  const [main, startup] = [new Program(), new Program()]
  const built = programGuard(main, startup, () => {
    const x = layers.data({ name: "x", shape: [2] })
    const y = layers.data({ name: "y", shape: [1] })
    x.stopGradient = false
    const predict = layers.fc(x, { size: 1 })
    return { x, predict, loss: layers.mean(layers.squareErrorCost(predict, y)) }
  })
  const lowered = ops.legalize(main, { fetches: [built.loss.name], keep: new Set() })
  const bound = bindProgram(lowered, [built.loss.name], new Map([["batch", 64]]))
  const memoryModel = { bytes: (v: { elements: number }) => 4 * v.elements, workspaceBytes: () => 0, updatesInPlace: true }
  const feed = { x: [[1, 2], [3, 4]], y: [5, 6] }
  const exe = new Executor()
  await exe.run(startup)
  return { ...built, main, startup, lowered, bound, memoryModel, feed, exe }
}
`

interface Example {
  readonly name: string
  readonly text: string
}

/** Every fenced block behind an @example, without the stars of its comment. */
async function examplesOf(folder: string): Promise<Example[]> {
  const files = (await readdir(folder)).filter((file) => file.endsWith(".ts"))
  const found = await Promise.all(
    files.map(async (file) => {
      const text = await readFile(join(folder, file), "utf8")
      const blocks = [...text.matchAll(/@example\n *\* ```ts\n([\s\S]*?)\n *\* ```/g)]
      return blocks.map(([, block = ""], index) => ({
        name: `${file.replace(".ts", "")}-${index}`,
        text: block.replaceAll(/^ *\* ?/gm, ""),
      }))
    }),
  )
  return found.flat()
}

const examples = (
  await Promise.all(
    folders.map(async (folder) => {
      const found = await examplesOf(join(root, "packages", folder))
      return found.map((example) => ({ ...example, name: `${folder.replaceAll("/", "-")}-${example.name}` }))
    }),
  )
).flat()

// In a block, so that an example may give its own meaning to what the model names.
const moduleOf = ({ text }: Example) => `${prelude}
const { main, startup, x, predict, loss, lowered, bound, memoryModel, feed, exe } = await model()
{
${text}
}
`

let folder: string
let scripts: Scripts

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "counterflow-examples-"))
  for (const example of examples) await writeFile(join(folder, `${example.name}.ts`), moduleOf(example))
  await writeFile(join(folder, "package.json"), JSON.stringify({ type: "module" }))
  await writeFile(join(folder, "tsconfig.json"), JSON.stringify(configuration))
  scripts = await bundleScripts(Object.fromEntries(examples.map(({ name }) => [name, join(folder, `${name}.ts`)])))
})
afterAll(async () => {
  await scripts.close()
  await rm(folder, { recursive: true })
})

test("they compile", { timeout: patience }, async () => {
  expect(await typeErrors(folder)).toEqual([])
})

describe("they run", () => {
  test.each(examples)("$name", { timeout: patience }, async ({ name, text }) => {
    const printed = await scripts.run(name)
    // An example that prints shows something; none prints what went wrong.
    expect(printed === "").toBe(!text.includes("console.log"))
    expect(printed).not.toMatch(/undefined|NaN|null/)
  })
})
