// Real processes over the protocol: what they answer, and what is said of them when they fail.

import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, afterEach, describe, expect, test } from "vitest"
import { writeData } from "../src/data.ts"
import { lastWords, type Runner, startProcess } from "../src/process.ts"

const folder = mkdtempSync(join(tmpdir(), "counterflow-bench-"))
writeData(folder, [{ name: "numbers", shape: [4], draw: { kind: "constant", value: -2 } }])
afterAll(() => rmSync(folder, { recursive: true }))

const child = join(import.meta.dirname, "..", "src", "child.ts")
const running: Runner[] = []
afterEach(() => {
  for (const runner of running.splice(0)) runner.end()
})

function startPeer(variant: string): Runner {
  const file = join(import.meta.dirname, "peers", "steady.ts")
  const args = ["--import", "tsx", "--conditions=source", child, file, variant, folder]
  const runner = startProcess({ program: process.execPath, args })
  running.push(runner)
  return runner
}

async function setUp(workload: string): Promise<Runner> {
  const runner = startPeer("well")
  expect(await runner.ask({ op: "start" })).toEqual({ version: "steady well" })
  await runner.ask({ op: "setUp", workload })
  return runner
}

describe("a peer's process", () => {
  test("starts, sets up, runs and tells its memory", async () => {
    const runner = startPeer("well")
    expect(await runner.ask({ op: "start" })).toEqual({ version: "steady well" })
    expect(await runner.ask({ op: "setUp", workload: "mean" })).toEqual({ check: 2, note: "a note" })
    expect(await runner.ask({ op: "run", steps: 100 })).toMatchObject({ milliseconds: expect.any(Number) as number })
    expect(await runner.ask({ op: "memory" })).toMatchObject({ bytes: expect.any(Number) as number })
  })

  test("waits for steps that are promises", async () => {
    const runner = await setUp("later")
    const reply = await runner.ask({ op: "run", steps: 4 })
    // Timers may fire a little early, but not four times over.
    expect("milliseconds" in reply && reply.milliseconds).toBeGreaterThan(10)
  })

  test("says why it does not start", async () => {
    expect(await startPeer("absent").ask({ op: "start" })).toEqual({ failure: "the library is not here" })
  })

  test("says why a workload is missing, or fails", async () => {
    const runner = startPeer("well")
    await runner.ask({ op: "start" })
    const fails = (workload: string) => runner.ask({ op: "setUp", workload })
    expect(await fails("group.a")).toEqual({ failure: "it was not written" })
    expect(await fails("groups")).toEqual({ failure: "this peer has no such workload" })
    expect(await fails("throws")).toEqual({ failure: "no such kernel\n    at a place" })
    expect(await fails("mean")).toEqual({ check: 2, note: "a note" })
  })

  test("its death is a failure, then and ever after", async () => {
    const runner = await setUp("dies")
    expect(await runner.ask({ op: "run", steps: 1 })).toEqual({ failure: "ended with 3" })
    expect(await runner.ask({ op: "memory" })).toEqual({ failure: "ended with 3" })
  })

  test("may not take longer than its limit", async () => {
    const runner = startPeer("well")
    await runner.ask({ op: "start" })
    expect(await runner.ask({ op: "setUp", workload: "hangs" }, 50)).toEqual({ failure: "took over 0.05 s" })
  })

  test("a program that is not there is a failure as well", async () => {
    const runner = startProcess({ program: join(folder, "no-such-program"), args: [] })
    expect(await runner.ask({ op: "start" })).toMatchObject({ failure: expect.stringContaining("ENOENT") as string })
  })
})

describe("last words", () => {
  test.each([
    ["", null],
    ["one\ntwo\n\n", "two"],
    ["  at a\nModuleNotFoundError: No module named 'torch'\n", "ModuleNotFoundError: No module named 'torch'"],
    ["TypeError: x is no function\n    at file.js:3\n\nNode.js v20.20.2\n", "TypeError: x is no function"],
  ])("%j → %j", (text, expected) => {
    expect(lastWords(text)).toBe(expected)
  })
})
