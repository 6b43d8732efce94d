// The program as it is called: exit codes, what it prints, what it leaves behind. The sources are run as they are.

import { spawn } from "node:child_process"
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { afterAll, beforeAll, describe, expect, test } from "vitest"

const script = fileURLToPath(new URL("../src/index.ts", import.meta.url))

interface Result {
  code: number | null
  stdout: string
  stderr: string
}

function run(...args: string[]): Promise<Result> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, ["--conditions=source", "--import", "tsx", script, ...args], {
      stdio: ["ignore", "pipe", "pipe"],
    })
    const result: Result = { code: null, stdout: "", stderr: "" }
    child.stdout.on("data", (chunk: Buffer) => (result.stdout += chunk.toString()))
    child.stderr.on("data", (chunk: Buffer) => (result.stderr += chunk.toString()))
    child.on("error", reject)
    child.on("close", (code) => resolve({ ...result, code }))
  })
}

describe("a short run", () => {
  const mnist = ["--mnist-epochs", "1", "--mnist-images", "1200"]
  let folder = ""
  let result: Result
  let report = ""

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "demo-"))
    result = await run("--seed", "4", "--epochs", "1", "--steps", "400", ...mnist, "--out", folder)
    report = await readFile(join(folder, "report.html"), "utf8")
  }, 60_000)

  afterAll(() => rm(folder, { recursive: true }))

  test("misses both accuracies, says so, and exits with 1", () => {
    expect(result.code).toBe(1)
    expect(result.stderr).toBe("")
    expect(result.stdout).toMatch(/✗ missed: held-out digits read right: \d+\.\d %/)
    expect(result.stdout).toMatch(/✗ missed: MNIST test images read right: \d+\.\d\d % {2}\(wanted: at least 98\.5 %\)/)
    expect(result.stdout).toContain("2 of 7 figures missed")
  })

  test("shows progress in plain lines, the met figures and the confusion table", () => {
    expect(result.stdout).not.toContain("\u001b")
    expect(result.stdout).toMatch(/housing {2}400\/400 steps {2}loss 22\.78 {2}[\d,]+ steps\/s {2}ETA 0 s/)
    expect(result.stdout).toMatch(/digits {2}1\/1 epochs {2}loss \d\.\d{4} {2}[\d,]+ images\/s {2}ETA 0 s/)
    expect(result.stdout).toMatch(/mnist {2}1\/1 epochs {2}loss \d\.\d{4} {2}[\d,]+ images\/s {2}ETA 0 s/)
    expect(result.stdout).toMatch(
      /epoch 1 {2}training loss \d\.\d{4} {2}test loss \d\.\d{4} {2}read right \d+\.\d\d % {2}\d+\.\d s/,
    )
    expect(result.stdout).toContain("✓ training error: 22.77")
    expect(result.stdout).toContain("digit │   0   1   2   3   4   5   6   7   8   9")
  })

  test("a second process predicts the same from the files", async () => {
    expect(result.stdout).toContain("✓ housing predicted again: 102 of 102")
    expect(result.stdout).toContain("✓ digits predicted again: 3,600 of 3,600")
    expect(result.stdout).toContain("✓ mnist predicted again: 2,000 of 2,000")
    expect((await readdir(folder)).toSorted()).toEqual([
      "digits.program.json",
      "digits.safetensors",
      "housing.program.json",
      "housing.safetensors",
      "mnist.program.json",
      "mnist.safetensors",
      "report.html",
    ])
  })

  test("the report has the figures, six curves and each program at three stages", () => {
    for (const title of [
      "Mean squared error",
      "Distance from the least-squares optimum",
      "Cross-entropy",
      "Accuracy",
      "Cross-entropy on MNIST",
      "Accuracy on MNIST",
    ]) {
      expect(report).toContain(`aria-label="${title}"`)
    }
    for (const name of ["regression", "digits", "mnist"]) {
      for (const stage of ["before appendBackward", "after appendBackward", "with the updates"]) {
        expect(report).toContain(`aria-label="${name}: ${stage}"`)
      }
    }
    expect(report).toContain("2 of 7 figures missed")
    expect(report).toMatch(/before appendBackward: (\d+) operators \(\1 forward\)</)
    expect(report).toMatch(/after appendBackward: \d+ operators \(\d+ forward, \d+ backward\)</)
    expect(report).toContain("fc_0.w_0@GRAD")
    expect(report).toContain('viewBox="0 0 28 28"')
    expect(report.match(/<td class="(right|wrong|none)"/g)).toHaveLength(200)
    expect(report).toContain("--seed 4 --epochs 1 --steps 400 --mnist-epochs 1 --mnist-images 1200")
  })

  test("the report stands alone", () => {
    expect(report).not.toMatch(/\b(src|href)=|url\(|@import|<link|fetch\(/)
    expect(
      report.replaceAll("http://www.w3.org/2000/svg", "").replaceAll("http://www.w3.org/1999/xlink", ""),
    ).not.toMatch(/https?:/)
  })
})

test("wrong arguments end with 2 and print nothing on the standard output", async () => {
  const { code, stdout, stderr } = await run("--epochs", "many")
  expect([code, stdout]).toEqual([2, ""])
  expect(stderr).toBe('demo: --epochs must be a whole number, 1 or more, got "many"\nTry --help.\n')
}, 30_000)
