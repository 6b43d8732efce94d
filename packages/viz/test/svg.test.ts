// The SVG image: it stands alone, is safe to set into a page, follows light and dark, and is made in reasonable time.
import { describe, expect, test } from "vitest"
import { toSvg } from "../src/index.ts"
import { coloursOf, dark, light } from "../src/palette.ts"
import { loops, nasty, net } from "./programs.ts"

describe("the element", () => {
  test("is alone, named, and without ids that could meet others on a page", async () => {
    const svg = await toSvg(net(1), { title: "One & only" })
    expect(svg).toMatch(
      /^<svg class="counterflow-picture" role="img" aria-label="One &amp; only" width="\d+pt" height="\d+pt"/,
    )
    expect(svg.trimEnd()).toMatch(/<\/svg>$/)
    expect(svg).not.toMatch(/<\?xml|<!DOCTYPE|<!--|\sid="/)
  })

  test("has the operators' and edges' tooltips as titles", async () => {
    const svg = await toSvg(net(1), { detail: "essential" })
    expect(
      [...svg.matchAll(/<title>([^<]*)<\/title>/g)].map(([, text]) => text).filter((text) => /matmul/.test(text ?? "")),
    ).toMatchInlineSnapshot(`
        [
          "fc_0.tmp_0 = matmul(x, fc_0.w_0)",
          "x float32[batch, 4] → matmul.x",
          "matmul_0.grad_0 = matmul(x, mul_2.grad_0)
        for fc_0.tmp_2 = relu(fc_0.tmp_1)",
          "x float32[batch, 4] → matmul.x",
          "fc_0.w_0 float32[4, 1] → matmul.y",
          "fc_0.w_0@NEXT = sgd(fc_0.w_0, matmul_0.grad_0, learning_rate_0)",
          "mul_2.grad_0 float32[batch, 1] → matmul.y",
          "matmul_0.grad_0 float32[4, 1] → sgd.grad",
        ]
      `)
  })

  test("never holds a name as markup", async () => {
    const svg = await toSvg(nasty(), { title: "</svg><script>alert(1)</script>" })
    expect(svg).not.toMatch(/<script|<b>|href/)
    const bare = svg.replace(/<(\/?)(svg|style|g|title|polygon|path|ellipse|polyline|text)( [^<>]*)?\/?>/g, "")
    expect(bare).not.toMatch(/[<>]/)
  })

  test("is the same every time", async () => {
    expect(await toSvg(net(3))).toBe(await toSvg(net(3)))
  })
})

describe("colours", () => {
  test("are light, and dark where the viewer prefers that", async () => {
    const svg = await toSvg(loops())
    const [style = ""] = /<style>.*<\/style>/.exec(svg) ?? []
    const used = new Set(
      [...svg.replace(style, "").matchAll(/(?:fill|stroke)="(#\w+)"/g)].map(([, colour = ""]) => colour),
    )
    const [bright, dim] = [coloursOf(light), coloursOf(dark)]
    for (const colour of used) {
      const by = dim[bright.indexOf(colour)]
      expect(style).toContain(`="${colour}"]{`)
      expect(style).toContain(`:${by}}`)
    }
    expect(style).toMatch(/^<style>@media \(prefers-color-scheme: dark\)\{\.counterflow-picture /)
  })

  test("can be fixed", async () => {
    expect(await toSvg(loops(), { theme: "light" })).not.toContain("prefers-color-scheme")
    const svg = await toSvg(loops(), { theme: "dark" })
    expect(svg).toContain(dark.page)
    expect(svg).not.toContain(light.page)
  })
})

test("a program of more than 200 operators takes seconds at most", async () => {
  const program = net(20, { isScoped: true })
  expect([...program.operators()].length).toBeGreaterThan(200)
  const start = performance.now()
  const svg = await toSvg(program)
  expect(performance.now() - start).toBeLessThan(10_000)
  expect(svg.match(/class="node"/g)?.length).toBeGreaterThan(150)
})
