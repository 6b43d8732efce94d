// The pictures of one program as it grows, in a frame with tabs, zoom and scroll bars; without scripts, one below the other.

import { toSvg } from "@counterflow/viz"
import type { Program } from "counterflow"
import type { Stage } from "./model.ts"
import { element, escapeHtml } from "./page.ts"

export async function programSection(name: string, stages: readonly Stage[]): Promise<string> {
  const panels = await Promise.all(stages.map((stage) => panel(name, stage)))
  const tabs = stages.map(({ title }) => element("button", { type: "button", role: "tab" }, [escapeHtml(title)]))
  const zoom = [
    `<button type="button" data-zoom="out" aria-label="smaller">−</button>`,
    `<button type="button" data-zoom="in" aria-label="larger">+</button>`,
    `<button type="button" data-zoom="fit">fit</button>`,
    `<button type="button" data-zoom="full">100 %</button>`,
  ]
  const bar = `<div class="bar" hidden><div role="tablist" aria-label="stages of the program">${tabs.join("")}</div><div class="zoom">${zoom.join("")}</div></div>`
  return `<h3>The program</h3>\n<div class="program">${bar}\n${panels.join("\n")}\n</div>`
}

async function panel(name: string, { title, program }: Stage): Promise<string> {
  const svg = await toSvg(program, { title: `${name}: ${title}` })
  const caption = `${title}: ${census(program)}`
  return `<figure><div class="picture" tabindex="0" role="group" aria-label="${escapeHtml(title)}">${svg}</div>
<figcaption>${escapeHtml(caption)}</figcaption>
<details><summary>as text</summary><pre tabindex="0">${escapeHtml(program.toString())}</pre></details></figure>`
}

/** "9 operators (4 forward, 5 backward)" */
function census(program: Program): string {
  const counts = new Map<string, number>()
  for (const { role } of program.operators()) counts.set(role, (counts.get(role) ?? 0) + 1)
  const total = [...counts.values()].reduce((sum, count) => sum + count, 0)
  return `${total} operators (${[...counts].map(([role, count]) => `${count} ${role}`).join(", ")})`
}
