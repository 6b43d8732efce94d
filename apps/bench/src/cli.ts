// The command line: what may be asked, its defaults, and refusals that say what would have been right.

import { parseArgs } from "node:util"
import { backends, isBackendName } from "./counterflow/peer.ts"
import { peers } from "./peers.ts"
import { cold, compile, groups, isWanted, memory, workloads } from "./workloads.ts"

export interface Options {
  /** Workloads or groups of them; null for all. */
  readonly only: readonly string[] | null
  readonly peers: readonly string[]
  readonly repetitions: number
  /** Milliseconds a repetition is to take. */
  readonly target: number
  readonly isQuick: boolean
  /** Where the results go for machines, beside the place they always go to. */
  readonly json: string | null
  /** Whether docs/benchmarks.md is written. */
  readonly writesPage: boolean
}

const names = peers.map(({ name }) => name)
const parts: readonly string[] = [compile, memory, cold]
const groupNames = [...groups.map(({ id }) => id), ...parts]

export const help = `Runs counterflow and its peers side by side, and compares their results.

usage: pnpm bench [options]

  --only <names>      workloads or groups: ${groupNames.join(", ")}
  --peers <names>     of ${names.join(", ")}
  --backend <names>   which of counterflow's backends run: ${Object.keys(backends).join(", ")} (all)
  --reps <n>          repetitions, the same for everybody (5; quick: 3)
  --ms <n>            how long a repetition takes, at least one step (250; quick: 50)
  --quick             fewer and shorter repetitions, slow peers left out sooner: figures to look at, not to quote
  --json <file>       the results for machines, beside build/results.json
  --page              writes docs/benchmarks.md even if only some of all was asked for
  --help              this text

Names are separated by commas. Without --only, --peers, --backend and --quick the run is whole and writes docs/benchmarks.md.
The peers' packages are installed at the first run. PyTorch takes part if python3 (or BENCH_PYTHON) has it.
`

/** A wrong argument: the message is for the person who typed it. */
export class UsageError extends Error {
  override readonly name = "UsageError"
}

/** The options that these arguments ask for, or "help". */
export function readOptions(args: readonly string[]): Options | "help" {
  const given = parse(args)
  if (given.help === true) return "help"
  const only = listOf(given.only)
  for (const name of only ?? []) {
    const isKnown = parts.includes(name) || workloads.some(({ id }) => isWanted(id, [name]))
    if (!isKnown) throw new UsageError(`--only: there is no workload "${name}"; there is ${groupNames.join(", ")}`)
  }
  const isQuick = given.quick === true
  const isWhole = only === null && given.peers === undefined && given.backend === undefined && !isQuick
  return {
    only,
    peers: chosenPeers(listOf(given.peers), listOf(given.backend)),
    repetitions: integer("--reps", given.reps) ?? (isQuick ? 3 : 5),
    target: integer("--ms", given.ms) ?? (isQuick ? 50 : 250),
    isQuick,
    json: given.json ?? null,
    writesPage: isWhole || given.page === true,
  }
}

function chosenPeers(wanted: readonly string[] | null, backendNames: readonly string[] | null): string[] {
  for (const name of wanted ?? []) {
    if (!names.includes(name)) throw new UsageError(`--peers: there is no "${name}"; there is ${names.join(", ")}`)
  }
  for (const name of backendNames ?? []) {
    if (!isBackendName(name)) {
      throw new UsageError(`--backend: there is no "${name}"; there is ${Object.keys(backends).join(", ")}`)
    }
  }
  const own = backendNames?.map((name) => `counterflow-${name}`)
  return peers
    .filter(({ name, isOwn }) => (isOwn && own !== undefined ? own.includes(name) : (wanted?.includes(name) ?? true)))
    .map(({ name }) => name)
}

function parse(args: readonly string[]) {
  const text = { type: "string" } as const
  const flag = { type: "boolean" } as const
  try {
    return parseArgs({
      args: [...args],
      options: {
        only: text,
        peers: text,
        backend: text,
        reps: text,
        ms: text,
        json: text,
        quick: flag,
        page: flag,
        help: { type: "boolean", short: "h" },
      },
      allowPositionals: false,
      strict: true,
    }).values
  } catch (error) {
    // parseArgs says what is wrong in its first sentence; what follows is advice on passing positionals.
    const why = error instanceof Error ? (error.message.split(". ")[0] ?? "") : String(error)
    throw new UsageError(why.replaceAll("\n", " "), { cause: error })
  }
}

function listOf(text: string | undefined): string[] | null {
  if (text === undefined) return null
  const list = text
    .split(",")
    .map((name) => name.trim())
    .filter((name) => name !== "")
  if (list.length === 0) throw new UsageError("a list of names is empty")
  return list
}

function integer(name: string, text: string | undefined): number | null {
  if (text === undefined) return null
  const value = /^\d+$/.test(text) ? Number(text) : NaN
  if (Number.isSafeInteger(value) && value >= 1) return value
  throw new UsageError(`${name} must be a whole number, 1 or more, got ${JSON.stringify(text)}`)
}
