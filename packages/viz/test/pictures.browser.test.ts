// In a page: images are well-formed XML with the names as text, and the layout engine loads there as well.
import { expect, test } from "vitest"
import { lossCurveSvg, toSvg } from "../src/index.ts"
import { visible } from "../src/text.ts"
import { nasty, nastyNames, net } from "./programs.ts"

function parsed(svg: string): Element {
  const root = new DOMParser().parseFromString(svg, "image/svg+xml").documentElement
  expect(root.querySelector("parsererror")?.textContent).toBeUndefined()
  expect(root.tagName).toBe("svg")
  expect(root.querySelectorAll("script, foreignObject, a, image")).toHaveLength(0)
  return root
}

test("a program whose names mean something in XML", async () => {
  const root = parsed(await toSvg(nasty(), { title: nastyNames.join(" ") }))
  const titles = [...root.querySelectorAll("title")].map((title) => title.textContent)
  for (const name of nastyNames) expect(titles).toContain(`${visible(name)} float32[batch, 2]`)
  expect(root.getAttribute("aria-label")).toBe(visible(nastyNames.join(" ")))
})

test("curves whose names mean something in XML", () => {
  const series = nastyNames.map((name, index) => ({ name, points: [[0, index] as const, [1, index + 1] as const] }))
  const root = parsed(lossCurveSvg(series, { title: nastyNames.join(" ") }))
  const texts = [...root.querySelectorAll("text")].map((text) => text.textContent)
  for (const name of nastyNames) expect(texts).toContain(visible(name))
})

test("texts of a program stay within its nodes", async () => {
  const holder = document.createElement("div")
  holder.innerHTML = await toSvg(net(3), { theme: "light" })
  document.body.append(holder)
  const nodes = [...holder.querySelectorAll<SVGGElement>("g.node")]
  expect(nodes.length).toBeGreaterThan(30)
  for (const node of nodes) {
    const outline = node.querySelector<SVGGraphicsElement>("path, polygon, ellipse")?.getBBox()
    for (const text of node.querySelectorAll("text")) {
      const box = text.getBBox()
      expect(box.x).toBeGreaterThan((outline?.x ?? Infinity) - 1)
      expect(box.x + box.width).toBeLessThan((outline?.x ?? 0) + (outline?.width ?? 0) + 1)
    }
  }
  holder.remove()
})
