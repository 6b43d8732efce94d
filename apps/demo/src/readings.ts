// What the held-out digits were read as: the confusion table as a grid of colours, and the images that were misread.

import { element } from "./page.ts"

/** counts[digit][reading]: right readings in the colour of the diagonal, wrong ones in that of warnings. */
export function confusionGrid(counts: readonly (readonly number[])[]): string {
  const header = counts.map((_, reading) => `<th scope="col">${reading}</th>`).join("")
  const rows = counts.map((row, digit) => {
    const total = row.reduce((sum, count) => sum + count, 0)
    const cells = row.map((count, reading) => cell(count, total, digit, reading)).join("")
    return `<tr><th scope="row">${digit}</th>${cells}<td class="total">${total}</td></tr>`
  })
  const table = element("table", { class: "confusion" }, [
    "<caption>Rows: the digit. Columns: what it was read as.</caption>",
    `<thead><tr><td></td>${header}<th scope="col" class="total">all</th></tr></thead>`,
    `<tbody>${rows.join("")}</tbody>`,
  ])
  return `<div class="scroll">${table}</div>`
}

function cell(count: number, total: number, digit: number, reading: number): string {
  if (count === 0) return `<td class="none">·</td>`
  const kind = digit === reading ? "right" : "wrong"
  // Even one mistake among many must be seen; so strength starts well above nothing.
  const strength = digit === reading ? 15 + 45 * (count / total) : 35 + 65 * Math.min(1, (4 * count) / total)
  const title = `${count} of ${total} images of ${digit} read as ${reading}`
  return `<td class="${kind}" style="--strength:${strength.toFixed(0)}%" title="${title}">${count}</td>`
}

/** At most so many: after a short training there may be hundreds. */
const shown = 24

/** Square images, of values from 0 to `white`. */
export interface Images {
  readonly image: { readonly data: ArrayLike<number>; readonly shape: readonly number[] }
  readonly label: { readonly data: ArrayLike<number> }
}

export function misreadGallery({ image, label }: Images, read: readonly number[], white = 1): string {
  const wrong = read.flatMap((reading, row) => (reading === label.data[row] ? [] : [{ reading, row }]))
  if (wrong.length === 0) return ""
  const side = image.shape[2] ?? 0
  const pixels = side * side
  const figures = wrong.slice(0, shown).map(({ reading, row }) => {
    const caption = `${label.data[row]} read as ${reading}`
    const own = Array.from({ length: pixels }, (_, pixel) => (image.data[row * pixels + pixel] ?? 0) / white)
    return `<figure>${digitSvg(own, side, caption)}<figcaption>${caption}</figcaption></figure>`
  })
  const more = wrong.length > shown ? `, ${shown} of ${wrong.length}` : ""
  return `<div class="misread"><h4>Misread${more}</h4><div class="gallery">${figures.join("")}</div></div>`
}

function digitSvg(pixels: readonly number[], side: number, label: string): string {
  const squares = pixels.map((ink, index) =>
    ink === 0
      ? ""
      : `<rect x="${index % side}" y="${Math.floor(index / side)}" width="1" height="1" fill-opacity="${ink.toFixed(2)}"/>`,
  )
  return `<svg role="img" aria-label="${label}" viewBox="0 0 ${side} ${side}" shape-rendering="crispEdges" width="72" height="72" fill="currentColor">${squares.join("")}</svg>`
}
