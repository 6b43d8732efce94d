// Progress on a terminal and elsewhere.

import { describe, expect, test } from "vitest"
import { duration, withProgress } from "../src/progress.ts"
import { screen } from "./screen.ts"

const course = { title: "digits", total: 20, unit: "epochs", speedUnit: "images", perUnit: 100 }

describe("without a terminal", () => {
  test("a plain line every tenth of the way, with loss, speed and the time left", async () => {
    const out = screen()
    await withProgress(out, course, async (update) => {
      for (let batch = 1; batch <= 80; batch++) update(batch / 4, 12.5 / batch)
    })
    const lines = out.text().trimEnd().split("\n")
    expect(lines).toHaveLength(10)
    expect(lines[0]).toMatch(/^ {2}digits {3}2\/20 epochs {2}loss 1\.5625 {2}[\d,]+ images\/s {2}ETA \d+ s$/)
    expect(lines[9]).toMatch(/^ {2}digits {2}20\/20 epochs {2}loss 0\.1563 {2}[\d,]+ images\/s {2}ETA 0 s$/)
    expect(out.text()).not.toContain("\u001b")
  })
})

describe("on a terminal", () => {
  test("a bar that fits the line, and a cursor that comes back", async () => {
    const out = screen({ isTTY: true })
    await withProgress(out, course, async (update) => {
      for (let epoch = 1; epoch <= 20; epoch++) update(epoch, 123.456)
    })
    // Each redraw begins at the first column; the last one is the end.
    const last = (out.text().split("\u001b[1G").at(-1) ?? "").split("\u001b")[0] ?? ""
    expect(last).toMatch(/^ {2}digits ━{12} 20\/20 epochs {2}loss 123\.46 {2}[\d,]+ images\/s {2}ETA 0 s$/)
    expect(out.text().lastIndexOf("\u001b[?25h")).toBeGreaterThan(out.text().lastIndexOf("\u001b[?25l"))
  })

  test("the cursor comes back after a failure as well", async () => {
    const out = screen({ isTTY: true })
    const failing = withProgress(out, course, async (update) => {
      update(1, 2)
      throw new Error("planted")
    })
    await expect(failing).rejects.toThrow("planted")
    expect(out.text()).toContain("\u001b[?25h")
  })
})

test("durations", () => {
  expect([0, 0.4, 59.4, 59.6, 65, 600].map(duration)).toEqual([
    "0 s",
    "0 s",
    "59 s",
    "1 min 00 s",
    "1 min 05 s",
    "10 min 00 s",
  ])
})
