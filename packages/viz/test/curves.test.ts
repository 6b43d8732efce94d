// Line charts: their form, what interrupts a line, what a long run costs, and that names are only text.
import { describe, expect, test } from "vitest"
import { type CurveOptions, lossCurveSvg, type Series } from "../src/index.ts"
import { smoothed, thinned } from "../src/polyline.ts"

const fixed: CurveOptions = { theme: "light", width: 300, height: 200 }
const pathsOf = (svg: string) =>
  [...svg.matchAll(/<path d="([^"]*)" fill="none" stroke="[^"]*" stroke-width/g)].map(([, d]) => d)

test("two series", () => {
  const series: Series[] = [
    {
      name: "training",
      points: [
        [0, 3],
        [10, 2],
        [20, 1],
      ],
    },
    {
      name: "test",
      points: [
        [0, 4],
        [20, 2],
      ],
    },
  ]
  expect(lossCurveSvg(series, { ...fixed, title: "Loss", yLabel: "cross entropy" })).toMatchInlineSnapshot(`
    "<svg role="img" aria-label="Loss" width="300" height="200" viewBox="0 0 300 200" font-family="Helvetica,Arial,'Liberation Sans',sans-serif" font-size="11" xmlns="http://www.w3.org/2000/svg">
    <rect width="300" height="200" fill="#fdfdfe"/>
    <text x="14" y="24" fill="#1a2230" font-size="15" font-weight="bold">Loss</text>
    <path d="M14 40h22" fill="none" stroke="#2563c9" stroke-width="1.8" stroke-linejoin="round"/><text x="42" y="44" fill="#1a2230">training</text>
    <path d="M107.2 40h22" fill="none" stroke="#c2500a" stroke-width="1.8" stroke-linejoin="round" stroke-dasharray="7 4"/><text x="135.2" y="44" fill="#1a2230">test</text>
    <path d="M26.4 160L282 160" stroke="#e2e6ed"/>
    <text x="19.4" y="164" fill="#4d596b" text-anchor="end">0</text>
    <path d="M26.4 117L282 117" stroke="#e2e6ed"/>
    <text x="19.4" y="121" fill="#4d596b" text-anchor="end">2</text>
    <path d="M26.4 74L282 74" stroke="#e2e6ed"/>
    <text x="19.4" y="78" fill="#4d596b" text-anchor="end">4</text>
    <path d="M26.4 160L26.4 164" stroke="#667287"/>
    <text x="26.4" y="176" fill="#4d596b" text-anchor="middle">0</text>
    <path d="M154.2 160L154.2 164" stroke="#667287"/>
    <text x="154.2" y="176" fill="#4d596b" text-anchor="middle">10</text>
    <path d="M282 160L282 164" stroke="#667287"/>
    <text x="282" y="176" fill="#4d596b" text-anchor="middle">20</text>
    <path d="M26.4 160L282 160" stroke="#667287"/>
    <text x="14" y="64" fill="#4d596b">cross entropy</text>
    <text x="154.2" y="192" fill="#4d596b" text-anchor="middle">step</text>
    <g>
    <title>training: 3 points, from 3 to 1</title>
    <path d="M26.4 95.5L154.2 117L282 138.5" fill="none" stroke="#2563c9" stroke-width="1.8" stroke-linejoin="round"/>
    </g>
    <g>
    <title>test: 2 points, from 4 to 2</title>
    <path d="M26.4 74L282 117" fill="none" stroke="#c2500a" stroke-width="1.8" stroke-linejoin="round" stroke-dasharray="7 4"/>
    </g>
    </svg>
    "
  `)
})

describe("a line is interrupted", () => {
  const points: Series["points"] = [
    [0, 1],
    [1, 2],
    [2, NaN],
    [3, 2],
    [4, Infinity],
    [5, 1],
    [6, 0],
    [7, 1e301],
    [8, 3],
    [9, 2],
  ]
  const piecesOf = (svg: string) =>
    (pathsOf(svg).at(-1) ?? "")
      .split("M")
      .slice(1)
      .map((piece) => piece.split("L").length)

  test("by what is not finite; a point alone is a dot", () => {
    const svg = lossCurveSvg([{ name: "a", points }], fixed)
    expect(piecesOf(svg)).toEqual([2, 2, 2])
    expect(svg.match(/<circle/g)).toHaveLength(1)
  })

  test("on a logarithmic axis by zero as well", () => {
    const svg = lossCurveSvg([{ name: "a", points }], { ...fixed, yScale: "log" })
    expect(piecesOf(svg)).toEqual([2, 2])
    expect(svg.match(/<circle/g)).toHaveLength(2)
  })
})

test("without points: axes and a word", () => {
  for (const series of [[], [{ name: "a", points: [] }], [{ name: "a", points: [[0, NaN] as const] }]]) {
    const svg = lossCurveSvg(series, fixed)
    expect(svg).toContain(">no data</text>")
    expect(svg).not.toMatch(/NaN|Infinity|undefined/)
  }
})

describe("a long run", () => {
  const wave: Series["points"] = Array.from(
    { length: 200_000 },
    (_, i) => [i, Math.sin(i / 5000) + (i % 7) / 10] as const,
  )

  test("is thinned to what a picture can show", () => {
    expect(lossCurveSvg([{ name: "a", points: wave }]).length).toBeLessThan(60_000)
  })

  test("keeps the extremes of every pixel column, in order", () => {
    const points = wave.map(([x, y]) => [x / 1000, y] as const)
    const kept = thinned(points)
    const columns = (list: typeof points) => {
      const found = new Map<number, [number, number]>()
      for (const [x, y] of list) {
        const [low, high] = found.get(Math.floor(x)) ?? [y, y]
        found.set(Math.floor(x), [Math.min(low, y), Math.max(high, y)])
      }
      return found
    }
    expect(columns([...kept])).toEqual(columns(points))
    expect(kept.every(([x], index) => index === 0 || x >= (kept[index - 1]?.[0] ?? x))).toBe(true)
    expect(kept.length).toBeLessThanOrEqual(4 * 200)
  })
})

describe("smoothing", () => {
  test("is the mean of as many points on both sides", () => {
    const run = [1, 5, 3, 7, 9].map((y, x) => [x, y] as const)
    expect(smoothed(run, 3)).toEqual([
      [0, 1],
      [1, 3],
      [2, 5],
      [3, 19 / 3],
      [4, 9],
    ])
  })

  test("leaves a straight line where it is, also at its ends", () => {
    const run = Array.from({ length: 50 }, (_, x) => [x, 2 * x + 1] as const)
    smoothed(run, 11).forEach(([x, y]) => expect(y).toBeCloseTo(2 * x + 1, 10))
  })

  test("draws over the pale points", () => {
    const svg = lossCurveSvg(
      [
        {
          name: "a",
          points: [
            [0, 1],
            [1, 5],
            [2, 1],
            [3, 5],
          ],
          smoothing: 3,
        },
      ],
      fixed,
    )
    expect(svg.match(/stroke-opacity="0.3"/g)).toHaveLength(1)
    expect(pathsOf(svg)).toHaveLength(2)
  })
})

test("names are text, whatever they hold", () => {
  const name = `</text><script>alert("1" & '2')</script>\u0000\n`
  const svg = lossCurveSvg(
    [
      {
        name,
        points: [
          [0, 1],
          [1, 2],
        ],
      },
    ],
    { title: name, xLabel: name, yLabel: name },
  )
  expect(svg).not.toContain("<script")
  expect(svg.split("&lt;/text&gt;&lt;script&gt;alert(&quot;1&quot; &amp; &#39;2&#39;)&lt;/script&gt;␀␊")).toHaveLength(
    7,
  )
})

test("a light image has no style, an automatic one swaps its colours by preference", () => {
  const series: Series[] = [
    {
      name: "a",
      points: [
        [0, 1],
        [1, 2],
      ],
    },
  ]
  expect(lossCurveSvg(series, { theme: "light" })).not.toContain("<style>")
  expect(lossCurveSvg(series)).toContain("@media (prefers-color-scheme: dark)")
})

test.each([
  ['{ "width": 20 }', "CF_BAD_ARGUMENT  lossCurveSvg: width must be 160 to 10000, got 20"],
  ['{ "height": null }', "CF_BAD_ARGUMENT  lossCurveSvg: height must be 160 to 10000, got null"],
  [
    '{ "yScale": "logarithmic" }',
    'CF_BAD_ARGUMENT  lossCurveSvg: yScale must be one of linear, log, got "logarithmic"',
  ],
])("refuses %s", (options, text) => {
  expect(() => lossCurveSvg([], JSON.parse(options) as CurveOptions)).toThrow(text)
})
