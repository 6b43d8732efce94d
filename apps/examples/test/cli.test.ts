// The command line: the list, the settings, what wrong arguments are answered, and what a missed figure means.

import { describe, expect, test } from "vitest"
import { main } from "../src/cli.ts"
import { example } from "../src/example.ts"
import * as examples from "../src/examples.ts"
import { atLeast, atMost, distance, equals } from "../src/figures.ts"
import { screen } from "./screen.ts"

const seen: unknown[] = []
const sample = example(
  {
    name: "sample",
    summary: "Reaches a figure or misses it.",
    settings: {
      steps: { value: 3, least: 1, says: "how many" },
      text: { value: "none", says: "what to begin with" },
    },
  },
  async (options, out) => {
    seen.push(options)
    out.write("running\n")
    return [atLeast("steps", options.steps, 3), atMost("steps", options.steps, 9)]
  },
)

async function run(...args: string[]) {
  const [out, errors] = [screen(), screen()]
  const code = await main([sample], args, out, errors)
  return { code, out: out.text(), errors: errors.text() }
}

test("every example has a name to type, a summary of one line, and what may be set", () => {
  const table = Object.values(examples)
  for (const { name, summary, settings } of table) {
    expect(name).toMatch(/^[a-z]+(-[a-z]+)*$/)
    expect(summary).toMatch(/^[A-Z].{10,90}\.$/)
    for (const option of Object.keys(settings)) expect(option).toMatch(/^[a-z]+(-[a-z]+)*$/)
  }
  expect(new Set(table.map(({ name }) => name)).size).toBe(table.length)
})

test.each([[[]], [["--help"]], [["-h"]]])("%j lists the examples", async (args: string[]) => {
  const { code, out } = await run(...args)
  expect(code).toBe(0)
  expect(out).toContain("  sample   Reaches a figure or misses it.\n")
})

describe("an example", () => {
  test("runs with its defaults, shows its figures and succeeds", async () => {
    expect(await run("sample")).toEqual({
      code: 0,
      out: `Reaches a figure or misses it.

running

  ✓ steps: 3  (wanted: at least 3)
  ✓ steps: 3  (wanted: at most 9)

All 2 figures met
`,
      errors: "",
    })
    expect(seen.at(-1)).toEqual({ steps: 3, text: "none" })
  })

  test("is given what was set, and fails when it misses a figure", async () => {
    const { code, out } = await run("sample", "--steps", "2", "--text=some thing")
    expect(code).toBe(1)
    expect(out).toContain("  ✗ missed: steps: 2  (wanted: at least 3)\n")
    expect(out).toContain("1 of 2 figures missed")
    expect(seen.at(-1)).toEqual({ steps: 2, text: "some thing" })
  })

  test("says what may be set, and runs nothing", async () => {
    const { code, out } = await run("sample", "--help")
    expect(code).toBe(0)
    expect(out).toContain("  --steps   how many (3)\n  --text    what to begin with (none)\n  --help    this text\n")
    expect(out).not.toContain("running")
  })
})

test.each([
  [["smaple"], 'example: there is no example "smaple"; there is sample\n'],
  [["sample", "--steps", "0"], 'example: --steps must be a whole number, 1 or more, got "0"\n'],
  [["sample", "--steps=1.5"], 'example: --steps must be a whole number, 1 or more, got "1.5"\n'],
  [["sample", "--step", "2"], "example: Unknown option '--step'\n"],
  [["sample", "more"], "example: Unexpected argument 'more'\n"],
])("%j is refused", async (args, message) => {
  expect(await run(...args)).toMatchObject({ code: 2, out: "" })
  expect((await run(...args)).errors.replace(". To specify", "\n").split("\n")[0]).toBe(message.trimEnd())
})

describe("figures", () => {
  test("are met at their bound, missed beyond it, and never by NaN", () => {
    expect([9.99, 10, 10.01, NaN].map((value) => equals("x", value, 10, 1e-3).isMet)).toEqual([true, true, true, false])
    expect([9.98, -10].map((value) => equals("x", value, 10, 1e-3).isMet)).toEqual([false, false])
    expect([1, 2, 2.1, NaN].map((value) => atMost("x", value, 2).isMet)).toEqual([true, true, false, false])
    expect([1.9, 2, 3, NaN].map((value) => atLeast("x", value, 2).isMet)).toEqual([false, true, true, false])
  })

  test("distances are parts of the largest entry, and lists of different lengths are far apart", () => {
    expect(distance([1, 2.5, -10], [1, 2, -10])).toBe(0.05)
    expect([distance([1], [1, 2]), distance([1, 2], [1]), distance([NaN, 1], [1, 1])]).toEqual([
      Infinity,
      Infinity,
      Infinity,
    ])
    expect(distance([0], [0])).toBe(0)
  })
})
