// Errors quote the user's line: from TypeScript sources, from built files, and from a minified bundle in Node and in a browser.
import { execFile } from "node:child_process"
import { existsSync } from "node:fs"
import { mkdtemp, rm, writeFile } from "node:fs/promises"
import { SourceMap } from "node:module"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { promisify } from "node:util"
import { chromium } from "playwright-core"
import { afterAll, beforeAll, describe, expect, test } from "vitest"
import { type Bundle, bundle } from "./bundle.ts"

const run = promisify(execFile)
const folder = import.meta.dirname

// Line 5 declares x, line 6 the layer, line 7 fails.
const user = `import { layers, Program, programGuard } from "counterflow"

export function texts() {
  return programGuard(new Program(), new Program(), () => {
    const x = layers.data({ name: "x", shape: [13] })
    const h = layers.fc(x, { size: 3 })
    try { layers.add(h, layers.fc(x, { size: 4 })) } catch (error) { return error.message }
  })
}
`
const wanted = [
  [/x = fc_0\.tmp_1 +float32\[batch, 3\] +built at (.*:\d+:\d+)/, 6],
  [/this add was built at (.*:\d+:\d+)/, 7],
] as const

/** Checks the lines an error quotes; `lineOf` translates a place to the user's line. */
function expectLines(message: string, lineOf: (line: number, column: number) => number): void {
  for (const [pattern, line] of wanted) {
    const place = pattern.exec(message)?.[1] ?? `no match of ${pattern} in: ${message}`
    const [, at = "0", column = "0"] = /:(\d+):(\d+)$/.exec(place) ?? []
    expect([place, lineOf(Number(at), Number(column))]).toEqual([place, line])
  }
}

/** Runs a module that exports `texts` in a process of its own. */
async function textsOf(file: string, ...flags: string[]): Promise<string> {
  const script = `import(${JSON.stringify(file)}).then(({ texts }) => process.stdout.write(texts()))`
  const { stdout } = await run(process.execPath, [...flags, "--input-type=module", "--eval", script], { cwd: folder })
  return stdout
}

describe("call sites", () => {
  let scratch = ""
  let built: Bundle = { code: "", map: "", gzipBytes: 0 }
  beforeAll(async () => {
    scratch = await mkdtemp(join(folder, ".callsite-"))
    built = await bundle(user)
  })
  afterAll(() => rm(scratch, { recursive: true, force: true }))

  const mapped = (line: number, column: number) => {
    const entry = new SourceMap(JSON.parse(built.map) as ConstructorParameters<typeof SourceMap>[0]).findEntry(
      line - 1,
      column - 1,
    )
    expect("originalSource" in entry ? entry.originalSource : "nothing").toMatch(/user\.ts$/)
    return "originalLine" in entry ? entry.originalLine + 1 : 0
  }

  test("from TypeScript sources", async () => {
    const file = join(scratch, "user.ts")
    await writeFile(file, user)
    expectLines(await textsOf(file, "--import", "tsx", "--conditions=source"), (line) => line)
  })

  test("from built files", async () => {
    const file = join(scratch, "user.mjs")
    await writeFile(file, user)
    expectLines(await textsOf(file), (line) => line)
  })

  test("from a minified bundle in Node", async () => {
    const outside = await mkdtemp(join(tmpdir(), "callsite-"))
    await writeFile(join(outside, "app.mjs"), built.code)
    const message = await textsOf(join(outside, "app.mjs"))
    await rm(outside, { recursive: true, force: true })
    expectLines(message, mapped)
  })

  // Without a Chromium this one is not registered; the test configuration says so in one line.
  const executablePath = process.env["CHROMIUM"] ?? "/usr/bin/chromium"
  const inChromium = () =>
    test("from a minified bundle in Chromium", async () => {
      const browser = await chromium.launch({ executablePath, args: ["--no-sandbox", "--disable-gpu"] })
      try {
        const page = await browser.newPage()
        // As text, so that the test runner does not rewrite the import.
        const script = `import(URL.createObjectURL(new Blob([${JSON.stringify(built.code)}], { type: "text/javascript" }))).then((user) => user.texts())`
        const message = await page.evaluate<string>(script)
        expectLines(message, mapped)
      } finally {
        await browser.close()
      }
    })
  if (existsSync(executablePath)) inChromium()
})
