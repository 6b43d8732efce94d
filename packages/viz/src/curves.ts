// Pictures of runs: line charts such as a loss over the steps of training, as the text of an SVG image. No library.

import { fail } from "@counterflow/ir"
import { oneOf, type Theme } from "./options.ts"
import { dark, darkStyle, followingClass, light, type Palette, svgFont } from "./palette.ts"
import { type Point, type Run, runsOf, smoothed, thinned } from "./polyline.ts"
import { counted, escapeXml, numberText, shortened, visible } from "./text.ts"
import { type Axis, linearAxis, logAxis } from "./ticks.ts"

export interface Series {
  readonly name: string
  /** In order of drawing; a value that is not finite interrupts the line. */
  readonly points: readonly (readonly [x: number, y: number])[]
  /** Draws the mean of about this many neighbouring points, over a pale line of the points themselves. */
  readonly smoothing?: number
}

export interface CurveOptions {
  title?: string
  /** "step" unless said. */
  xLabel?: string
  /** "loss" unless said. */
  yLabel?: string
  /** In pixels; 640 by 360 unless said. */
  width?: number
  height?: number
  /** "log" shows orders of magnitude; values that are not positive then interrupt the line. */
  yScale?: "linear" | "log"
  /** "auto" (the default) is light, and dark where the viewer prefers that. */
  theme?: Theme
}

/** A line chart of one or more series with round ticks and a legend. */
export function lossCurveSvg(series: readonly Series[], options: CurveOptions = {}): string {
  const { title = "", xLabel = "step", yLabel = "loss", width = 640, height = 360 } = options
  const yScale = oneOf("yScale", options.yScale ?? "linear", ["linear", "log"], op)
  const theme = oneOf("theme", options.theme ?? "auto", ["auto", "light", "dark"], op)
  checkRange("width", width, 160, 10_000)
  checkRange("height", height, 160, 10_000)
  for (const { smoothing = 1 } of series) checkRange("smoothing", smoothing, 1, 1e6)
  const palette = theme === "dark" ? dark : light
  const runs = series.map(({ points }) => runsOf(points, yScale))
  const [xAxis, yAxis] = axesOf(runs.flat(2), { width, height, yScale })
  const items = legendItems(series, width)
  const frame = {
    left: 20 + Math.max(...yAxis.labels.map((label) => label.length)) * charWidth,
    right: width - 18,
    top: 32 + (title === "" ? 0 : 24) + (items.at(-1)?.row ?? -1) * rowHeight + rowHeight,
    bottom: height - 40,
  }
  const place = placing(xAxis, yAxis, frame)
  const body = [
    `<rect width="${width}" height="${height}" fill="${palette.page}"/>`,
    ...(title === "" ? [] : [text(14, 24, title, palette.text, 'font-size="15" font-weight="bold"')]),
    ...items.map((item) => legendText(item, title === "" ? 20 : 44, palette)),
    ...gridLines(xAxis, yAxis, frame, palette),
    text(14, frame.top - 10, yLabel, palette.muted),
    text((frame.left + frame.right) / 2, height - 8, xLabel, palette.muted, 'text-anchor="middle"'),
    ...series.flatMap(({ name, smoothing = 1 }, index) => {
      return curve({ name, index, runs: runs[index] ?? [], smoothing }, place, palette)
    }),
    ...(runs.flat().length === 0 ? [noData(frame, palette)] : []),
  ].join("\n")
  const label = escapeXml(visible(title === "" ? `${yLabel} over ${xLabel}` : title))
  const size = `width="${width}" height="${height}" viewBox="0 0 ${width} ${height}"`
  const isFollowing = theme === "auto"
  return `<svg ${isFollowing ? `class="${followingClass}" ` : ""}role="img" aria-label="${label}" ${size} font-family="${svgFont}" font-size="11" xmlns="http://www.w3.org/2000/svg">
${isFollowing ? `${darkStyle(body)}\n` : ""}${body}
</svg>
`
}

interface Frame {
  readonly left: number
  readonly right: number
  readonly top: number
  readonly bottom: number
}

const op = "lossCurveSvg"
const charWidth = 6.4
const rowHeight = 18

function checkRange(what: string, value: number, low: number, high: number): void {
  if (value >= low && value <= high) return
  fail("CF_BAD_ARGUMENT", `${what} must be ${low} to ${high}, got ${value}`, { op })
}

function axesOf(
  points: readonly Point[],
  { width, height, yScale }: { width: number; height: number; yScale: "linear" | "log" },
): [x: Axis, y: Axis] {
  const [xs, ys] = [points.map(([x]) => x), points.map(([, y]) => y)]
  const [xLow, xHigh] = rangeOf(xs)
  const [yLow, yHigh] = rangeOf(ys)
  const rows = Math.max(3, Math.round(height / 60))
  const yAxis = yScale === "log" ? logAxis(yLow, yHigh) : linearAxis(yLow, yHigh, rows, true)
  return [linearAxis(xLow, xHigh, Math.max(3, Math.round(width / 90)), false), yAxis]
}

/** Not by `Math.min(...values)`: that fails for a hundred thousand of them. */
function rangeOf(values: readonly number[]): [low: number, high: number] {
  if (values.length === 0) return [1, 10]
  return values.reduce<[number, number]>(
    ([low, high], value) => [Math.min(low, value), Math.max(high, value)],
    [Infinity, -Infinity],
  )
}

function placing(xAxis: Axis, yAxis: Axis, { left, right, top, bottom }: Frame): (point: Point) => Point {
  return ([x, y]) => [left + xAxis.position(x) * (right - left), bottom - yAxis.position(y) * (bottom - top)]
}

function gridLines(xAxis: Axis, yAxis: Axis, frame: Frame, palette: Palette): string[] {
  const { left, right, top, bottom } = frame
  const horizontal = yAxis.ticks.flatMap((tick, index) => {
    const y = bottom - yAxis.position(tick) * (bottom - top)
    return [
      line([left, y], [right, y], palette.grid),
      text(left - 7, y + 4, yAxis.labels[index] ?? "", palette.muted, 'text-anchor="end"'),
    ]
  })
  const vertical = xAxis.ticks.flatMap((tick, index) => {
    const x = left + xAxis.position(tick) * (right - left)
    return [
      line([x, bottom], [x, bottom + 4], palette.edge),
      text(x, bottom + 16, xAxis.labels[index] ?? "", palette.muted, 'text-anchor="middle"'),
    ]
  })
  return [...horizontal, ...vertical, line([left, bottom], [right, bottom], palette.edge)]
}

// Told apart by more than their colour.
const dashes = ["", "7 4", "2 3", "9 3 2 3"]

function colourOf(index: number, palette: Palette): string {
  return palette.series[index % palette.series.length] ?? palette.text
}

function strokeOf(index: number, palette: Palette): string {
  const dash = dashes[index % dashes.length] ?? ""
  const stroke = `fill="none" stroke="${colourOf(index, palette)}" stroke-width="1.8" stroke-linejoin="round"`
  return dash === "" ? stroke : `${stroke} stroke-dasharray="${dash}"`
}

interface Curve {
  readonly name: string
  readonly index: number
  readonly runs: readonly Run[]
  readonly smoothing: number
}

function curve({ name, index, runs, smoothing }: Curve, place: (point: Point) => Point, palette: Palette): string[] {
  const points = runs.flat()
  const [first, last] = [points[0], points.at(-1)]
  if (first === undefined || last === undefined) return []
  const summary = `${name}: ${counted(points.length, "point")}, from ${numberText(first[1])} to ${numberText(last[1])}`
  const pathOf = (lines: readonly Run[]): string => {
    const pieces = lines.filter((run) => run.length > 1)
    return pieces.map((run) => `M${thinned(run.map(place)).map(coordinates).join("L")}`).join("")
  }
  const raw = pathOf(runs)
  const means = smoothing > 1 ? pathOf(runs.map((run) => smoothed(run, smoothing))) : raw
  const pale = `fill="none" stroke="${colourOf(index, palette)}" stroke-opacity="0.3"`
  const alone = runs.flatMap((run) => (run.length === 1 ? run.map(place) : []))
  return [
    "<g>",
    `<title>${escapeXml(visible(summary))}</title>`,
    ...(means === raw ? [] : [`<path d="${raw}" ${pale}/>`]),
    ...(means === "" ? [] : [`<path d="${means}" ${strokeOf(index, palette)}/>`]),
    ...alone.map(
      ([x, y]) => `<circle cx="${rounded(x)}" cy="${rounded(y)}" r="2.5" fill="${colourOf(index, palette)}"/>`,
    ),
    "</g>",
  ]
}

interface LegendItem {
  readonly name: string
  readonly index: number
  readonly x: number
  readonly row: number
}

/** Names side by side, in as many rows as they need. */
function legendItems(series: readonly Series[], width: number): LegendItem[] {
  let [x, row] = [14, 0]
  return series.map(({ name }, index) => {
    const taken = 42 + Math.min(name.length, 60) * charWidth
    if (x > 14 && x + taken > width) [x, row] = [14, row + 1]
    const item = { name, index, x, row }
    x += taken
    return item
  })
}

function legendText({ name, index, x, row }: LegendItem, top: number, palette: Palette): string {
  const y = top + row * rowHeight
  const sample = `<path d="M${x} ${y - 4}h22" ${strokeOf(index, palette)}/>`
  return `${sample}${text(x + 28, y, shortened(name, 60), palette.text)}`
}

function noData({ left, right, top, bottom }: Frame, palette: Palette): string {
  return text((left + right) / 2, (top + bottom) / 2, "no data", palette.muted, 'text-anchor="middle"')
}

function line([x1, y1]: Point, [x2, y2]: Point, colour: string): string {
  return `<path d="M${coordinates([x1, y1])}L${coordinates([x2, y2])}" stroke="${colour}"/>`
}

function text(x: number, y: number, content: string, colour: string, more = ""): string {
  const attributes = more === "" ? "" : ` ${more}`
  return `<text x="${rounded(x)}" y="${rounded(y)}" fill="${colour}"${attributes}>${escapeXml(visible(content))}</text>`
}

function coordinates([x, y]: Point): string {
  return `${rounded(x)} ${rounded(y)}`
}

function rounded(value: number): number {
  return Math.round(value * 100) / 100
}
