// Colours that can be read: contrasts by the formula of WCAG 2.1, section 1.4.3, and colours that style rules can tell apart.
import { describe, expect, test } from "vitest"
import { coloursOf, dark, light, type Palette } from "../src/palette.ts"

function luminance(colour: string): number {
  const [r = 0, g = 0, b = 0] = [1, 3, 5].map((at) => {
    const value = Number.parseInt(colour.slice(at, at + 2), 16) / 255
    return value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4
  })
  return 0.2126 * r + 0.7152 * g + 0.0722 * b
}

function contrast(a: string, b: string): number {
  const [low = 0, high = 0] = [luminance(a), luminance(b)].sort((x, y) => x - y)
  return (high + 0.05) / (low + 0.05)
}

test("the formula: black on white, and a grey of the standard's examples", () => {
  expect(contrast("#000000", "#ffffff")).toBeCloseTo(21)
  expect(contrast("#777777", "#ffffff")).toBeCloseTo(4.48, 2)
})

describe.each([
  ["light", light],
  ["dark", dark],
])("%s", (_name, palette: Palette) => {
  const { page, text, muted, edge, parts, parameter, state, data, value, loss, series } = palette
  const partTones = Object.values(parts)
  const tones = [...partTones, parameter, state, data, value, loss]

  test("text on every fill: 4.5", () => {
    for (const { fill } of tones)
      for (const colour of [text, muted]) expect(contrast(colour, fill)).toBeGreaterThan(4.5)
  })

  test("edge labels and names of clusters on what lies behind them: 4.5", () => {
    for (const { line, area } of partTones) {
      for (const behind of [area, page]) {
        expect(contrast(muted, behind)).toBeGreaterThan(4.5)
        expect(contrast(line, behind)).toBeGreaterThan(4.5)
      }
    }
  })

  test("lines: 3", () => {
    for (const colour of [edge, ...series, ...tones.map(({ line }) => line)]) {
      expect(contrast(colour, page)).toBeGreaterThan(3)
    }
  })
})

test("all light colours differ, so that each can be swapped for its dark one", () => {
  expect(new Set(coloursOf(light)).size).toBe(coloursOf(light).length)
  expect(coloursOf(dark)).toHaveLength(coloursOf(light).length)
})
