// The front door holds what its packages export, under the names Fluid's users look for.
import * as layersPackage from "@counterflow/layers"
import * as opsPackage from "@counterflow/ops"
import { describe, expect, test } from "vitest"
import { initializers, layers, ops, optim } from "../src/index.ts"

const entries = Object.entries

describe("layers", () => {
  test("every layer is there, in place of the op of its name", () => {
    const functions = entries(layersPackage).filter(
      ([name, value]) => typeof value === "function" && /^[a-z]/.test(name),
    )
    // `layer` is for those who write layers of their own, who import the package.
    const missing = functions.filter(
      ([name, value]) => name !== "layer" && entries(layers).every(([n, v]) => n !== name || v !== value),
    )
    expect(missing.map(([name]) => name)).toEqual([])
  })

  test("every op is there unless a layer has its name, and so is every schedule", () => {
    const shadowed = new Set(Object.keys(layersPackage))
    const missing = Object.keys(opsPackage).filter((name) => !(name in layers) && !shadowed.has(name))
    expect(missing).toEqual([])
    const schedules = entries(optim).filter(([name]) => /Decay$|Warmup$/.test(name) && /^[a-z]/.test(name))
    expect(schedules.length).toBe(8)
    for (const [name, schedule] of schedules) expect(entries(layers).find(([n]) => n === name)?.[1]).toBe(schedule)
  })

  test("ops holds the ops alone", () => {
    expect(ops.conv2d).toBe(opsPackage.conv2d)
    expect("fc" in ops).toBe(false)
  })

  test("initializers hold every initializer", () => {
    const classes = entries(layersPackage).filter(([name, value]) => typeof value === "function" && /^[A-Z]/.test(name))
    expect(Object.keys(initializers).sort()).toEqual(classes.map(([name]) => name).sort())
  })
})
