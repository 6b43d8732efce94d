// Arguments: what they mean, and how wrong ones are refused before anything is trained.

import { mkdtemp, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { describe, expect, test } from "vitest"
import { defaults, readOptions } from "../src/cli.ts"
import { demo } from "../src/demo.ts"
import { screen } from "./screen.ts"

describe("options", () => {
  test("have defaults", () => {
    expect(readOptions([])).toEqual(defaults)
  })

  test("are read in both spellings", () => {
    const mnist = ["--mnist-epochs", "2", "--mnist-images=600"]
    expect(readOptions(["--seed", "7", "--epochs=3", "--steps=40", "--out", "somewhere", ...mnist])).toEqual({
      seed: 7,
      epochs: 3,
      steps: 40,
      mnistEpochs: 2,
      mnistImages: 600,
      out: "somewhere",
    })
  })

  test("seed 0 is a seed", () => {
    expect(readOptions(["--seed=0"])).toEqual({ ...defaults, seed: 0 })
  })
})

describe("help", () => {
  test.each(["--help", "-h"])("%s names every option and trains nothing", async (flag) => {
    const out = screen()
    expect(await demo([flag], out, screen())).toBe(0)
    for (const option of ["--seed", "--epochs", "--steps", "--mnist-epochs", "--mnist-images", "--out", "--help"])
      expect(out.text()).toContain(option)
    expect(out.text()).not.toContain("Linear regression")
  })
})

describe("wrong arguments", () => {
  test.each([
    [["--seed", "x"], '--seed must be a whole number, 0 or more, got "x"'],
    [["--seed=-1"], '--seed must be a whole number, 0 or more, got "-1"'],
    [["--seed", "9007199254740992"], "--seed must be a whole number, 0 or more"],
    [["--epochs", "0"], '--epochs must be a whole number, 1 or more, got "0"'],
    [["--epochs", "1.5"], '--epochs must be a whole number, 1 or more, got "1.5"'],
    [["--epochs="], '--epochs must be a whole number, 1 or more, got ""'],
    [["--steps", "1e3"], '--steps must be a whole number, 1 or more, got "1e3"'],
    [["--mnist-epochs", "0"], '--mnist-epochs must be a whole number, 1 or more, got "0"'],
    [["--mnist-images", "all"], '--mnist-images must be a whole number, 1 or more, got "all"'],
    [["--out="], "--out must name a folder"],
    [["--epoch", "3"], "Unknown option '--epoch'"],
    [["fast"], "Unexpected argument 'fast'"],
    [["--seed"], "argument missing"],
    [["--epochs", "-3"], "ambiguous"],
  ])("%j", async (args, message) => {
    const out = screen()
    const errors = screen()
    expect(await demo(args, out, errors)).toBe(2)
    expect(errors.text()).toContain(message)
    expect(errors.text()).toMatch(/^demo: .*\nTry --help\.\n$/)
    expect(out.text()).toBe("")
  })

  test("a folder that cannot be made", async () => {
    const folder = await mkdtemp(join(tmpdir(), "demo-"))
    try {
      const file = join(folder, "file")
      await writeFile(file, "")
      const errors = screen()
      expect(await demo(["--out", join(file, "inside")], screen(), errors)).toBe(2)
      expect(errors.text()).toContain(`--out: the folder ${join(file, "inside")} cannot be made`)
    } finally {
      await rm(folder, { recursive: true })
    }
  })
})
