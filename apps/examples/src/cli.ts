// The command line: which example, with which settings. Everything it knows of an example is in the example.

import { parseArgs } from "node:util"
import type { Example, Output, Setting } from "./example.ts"
import type { Figure } from "./figures.ts"

/** A wrong argument: the message is for the person who typed it. */
class UsageError extends Error {
  override readonly name = "UsageError"
}

/** Runs what the arguments ask for; answers the exit code. */
export async function main(
  examples: readonly Example[],
  args: readonly string[],
  out: Output,
  errors: Output,
): Promise<number> {
  try {
    const [name, ...rest] = args
    if (name === undefined || name === "--help" || name === "-h") {
      out.write(list(examples))
      return 0
    }
    const example = find(examples, name)
    const options = readOptions(example, rest)
    if (options === "help") {
      out.write(help(example))
      return 0
    }
    out.write(`${example.summary}\n\n`)
    return conclude(await example.run(options, out), out)
  } catch (error) {
    if (!(error instanceof UsageError)) throw error
    errors.write(`example: ${error.message}\n`)
    return 2
  }
}

function find(examples: readonly Example[], name: string): Example {
  const found = examples.find((example) => example.name === name)
  if (found !== undefined) return found
  const names = examples.map((example) => example.name).join(", ")
  throw new UsageError(`there is no example ${JSON.stringify(name)}; there is ${names}`)
}

function list(examples: readonly Example[]): string {
  const rows = table(examples.map(({ name, summary }) => [name, summary]))
  return `usage: npm run example -- <name> [options]

${rows}
With --help after a name: what may be set.
Exit code: 0 if every figure is met, 1 if one is missed or the run fails, 2 if an argument is wrong.
`
}

function help({ name, summary, settings }: Example): string {
  const rows = Object.entries(settings).map(
    ([option, { value, says }]) => [`--${option}`, `${says} (${value})`] as const,
  )
  return `${summary}\n\nusage: npm run example -- ${name} [options]\n\n${table([...rows, ["--help", "this text"]])}`
}

/** Two columns. */
function table(rows: readonly (readonly [name: string, says: string])[]): string {
  const width = Math.max(...rows.map(([name]) => name.length))
  return rows.map(([name, says]) => `  ${name.padEnd(width)}   ${says}\n`).join("")
}

function readOptions({ settings }: Example, args: readonly string[]): Record<string, number | string> | "help" {
  const given = parse(Object.keys(settings), args)
  if (given["help"] === true) return "help"
  return Object.fromEntries(
    Object.entries(settings).flatMap(([name, setting]) => {
      const text = given[name]
      return typeof text === "string" ? [[name, valueOf(name, text, setting)]] : []
    }),
  )
}

function parse(names: readonly string[], args: readonly string[]): Record<string, unknown> {
  const texts = Object.fromEntries(names.map((name) => [name, { type: "string" } as const]))
  try {
    const options = { ...texts, help: { type: "boolean", short: "h" } as const }
    return parseArgs({ args: [...args], options, allowPositionals: false, strict: true }).values
  } catch (error) {
    // parseArgs says what is wrong in its first sentence; what follows is advice on passing positionals.
    const why = error instanceof Error ? (error.message.split(". ")[0] ?? "") : String(error)
    throw new UsageError(why.replaceAll("\n", " "), { cause: error })
  }
}

function valueOf(name: string, text: string, { value, least = 0 }: Setting): number | string {
  if (typeof value === "string") return text
  const number = /^\d+$/.test(text) ? Number(text) : NaN
  if (Number.isSafeInteger(number) && number >= least) return number
  throw new UsageError(`--${name} must be a whole number, ${least} or more, got ${JSON.stringify(text)}`)
}

/** Shows the figures, and answers the exit code they mean. */
function conclude(figures: readonly Figure[], out: Output): number {
  out.write("\n")
  for (const { what, got, wanted, isMet } of figures) {
    out.write(`  ${isMet ? "✓" : "✗ missed:"} ${what}: ${got}  (wanted: ${wanted})\n`)
  }
  const missed = figures.filter(({ isMet }) => !isMet).length
  out.write(
    missed === 0 ? `\nAll ${figures.length} figures met\n` : `\n${missed} of ${figures.length} figures missed\n`,
  )
  return missed === 0 ? 0 : 1
}
