// The page and the machine-readable results, of a run that was made up.

import { describe, expect, test } from "vitest"
import type { Row } from "../src/measure.ts"
import { page } from "../src/page.ts"
import { type Results, toJson } from "../src/results.ts"

function row(peer: string, workload: string, samples: number[], check: number, rest: Partial<Row> = {}): Row {
  return {
    peer,
    workload,
    samples,
    check,
    version: `${peer} 1.0`,
    steps: 4,
    setUp: 10,
    first: 3,
    note: null,
    failure: null,
    foreign: 0.1,
    processor: 1,
    memory: 50e6,
    planned: null,
    ...rest,
  }
}

const results: Results = {
  date: "2031-02-03T04:05:06.000Z",
  machine: { processor: "Abacus", cores: 2, memoryBytes: 8e9, system: "linux 1 x64", node: "v20.0.0" },
  repetitions: 3,
  target: 250,
  isQuick: false,
  rows: [
    row("counterflow-cpu", "gemm.nn.64", [2, 1, 3], 5),
    row("other", "gemm.nn.64", [8, 8, 9], 5, { note: "written by hand" }),
    row("counterflow-cpu", "gpt", [10, 10, 10], 1),
    row("other", "gpt", [], 1.2, { failure: "no autodiff" }),
    row("third", "gpt", [5, 5, 5], 1),
  ],
  cold: {
    rows: [
      {
        program: "counterflow",
        form: "packages",
        samples: [300, 200, 400],
        peaks: [8e7, 8e7, 9e7],
        loss: 2.3,
        failure: null,
      },
      { program: "empty", form: "packages", samples: [40, 40, 41], peaks: [4e7, 4e7, 4e7], loss: 0, failure: null },
      { program: "other", form: "bundle", samples: [], peaks: [], loss: null, failure: "did not load" },
    ],
    bundles: [{ program: "counterflow", bytes: 123_456, zippedBytes: 45_678, failure: null }],
  },
  compile: [{ workload: "mlp.128", samples: [40, 50, 60], firstSteps: [9, 8, 10], failure: null }],
  memory: [
    row("everything kept", "memory", [3000, 3010, 3020], 4321, { planned: 600e6 }),
    row("recompute: auto", "memory", [3612, 3600, 3624], 4321, { planned: 150e6 }),
  ],
  absent: { fourth: "No module named 'fourth'" },
}

const options = { peers: ["counterflow-cpu", "other", "third", "fourth"], reference: "counterflow-cpu" }

describe("the page", () => {
  const text = page(results, options)

  test("compares medians at a glance", () => {
    expect(text).toContain("| workload | counterflow-cpu | other | third |")
    expect(text).toContain("| `gemm.nn.64` | 2.00 | 8.00 (4.00) | – |")
    expect(text).toContain("| `gpt` | 10.0 | – | 5.00 (0.500) |")
  })

  test("gives spread, rate and check of every peer", () => {
    // 2 · 64³ operations in 2 ms.
    expect(text).toContain(
      "| counterflow-cpu | 2.00 | 1.00–3.00 | 100 % | 1.00 | 0.262 | 1.00 | 0.100 | 50.0 MB | 5.000000 |",
    )
    expect(text).toContain("- other: written by hand")
  })

  test("says who agrees, and who is off", () => {
    expect(text).toMatch(/`gemm\.nn\.64` \| weighted mean .* \| all agree \| 5\.000000 \| 0\.0e\+0 \|/)
    expect(text).toMatch(/`gpt` \| loss of step 5 \| off: other \| 1\.000000 \| 2\.0e-1 \|/)
  })

  test("lists what could not run in its own words", () => {
    expect(text).toContain("| fourth | everything | No module named 'fourth' |")
    expect(text).toContain("| other | `gpt` | no autodiff |")
    expect(text).toContain("| other | cold start (bundle) | did not load |")
  })

  test("has cold starts and bundles", () => {
    expect(text).toContain("| counterflow | packages | 300 | 200–400 | 80.0 MB | 2.30000 |")
    expect(text).toContain("| empty | packages | 40.0 | 40.0–41.0 | 40.0 MB | – |")
    expect(text).toContain("| counterflow |  | 123 kB | 45.7 kB |")
  })

  test("has compile times and the first step behind them", () => {
    expect(text).toContain("| `mlp.128` | 50.0 | 40.0–60.0 | 9.00 |")
  })

  test("has what memory costs in time", () => {
    expect(text).toContain("| everything kept | 600 MB | 1.00 | 3010 | 3000–3020 | 1.00 | 0.100 | 50.0 MB | 4321 |")
    expect(text).toContain("| recompute: auto | 150 MB | 0.250 | 3612 | 3600–3624 | 1.20 |")
  })

  test("tells machine, date and versions", () => {
    expect(text).toContain("2031-02-03 · Abacus, 2 cores, 8000 MB · linux 1 x64 · Node v20.0.0")
    expect(text).toContain("- third: third 1.0")
  })

  test("calls its figures preliminary when the run was quick or the machine busy, and only then", () => {
    expect(text).not.toContain("preliminary")
    expect(page({ ...results, isQuick: true }, options)).toContain(
      "**These figures are preliminary**: it was a quick run",
    )
    const busy = { ...results, rows: [row("counterflow-cpu", "gpt", [1, 1, 1], 1, { foreign: 0.8 })] }
    expect(page(busy, options)).toContain("in 1 of 1 measurements other programs used over 0.25 cores.")
  })
})

test("machines read samples, summaries, ratios and agreements", () => {
  const read = JSON.parse(toJson(results, "counterflow-cpu")) as Record<string, unknown>
  expect(read).toMatchObject({
    date: results.date,
    reference: "counterflow-cpu",
    absent: results.absent,
    agreements: { "gemm.nn.64": { disagreeing: [] }, gpt: { disagreeing: ["other"] } },
  })
  const rows = read["rows"] as Record<string, unknown>[]
  expect(rows[1]).toMatchObject({ peer: "other", samples: [8, 8, 9], ratio: 4, summary: { median: 8, spread: 0.125 } })
  expect(rows[3]).toMatchObject({ peer: "other", failure: "no autodiff", ratio: null, summary: null })
})
