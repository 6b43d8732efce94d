// The whole run: installs, draws the data, calls the roll, measures workload by workload, then cold starts; writes the results.

import { mkdirSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { help, type Options, readOptions, UsageError } from "./cli.ts"
import { measureCompile } from "./cold/compiletimes.ts"
import { programs } from "./cold/programs.ts"
import { type ColdResult, measureCold } from "./cold/start.ts"
import { writeData } from "./data.ts"
import { buildFolder, pageFile, peersFolder } from "./folders.ts"
import { installPackages } from "./install.ts"
import { machine } from "./machine.ts"
import { measureMemory } from "./memory/ways.ts"
import { measure, type Row, type Settings } from "./measure.ts"
import { compileTable, memoryTable, page, workloadTable } from "./page.ts"
import { dataFolder, type PeerSpec, peers } from "./peers.ts"
import { startProcess } from "./process.ts"
import { isFailure } from "./protocol.ts"
import { agreementOn, compare, type Results, toJson } from "./results.ts"
import { cold, compile, compiled, isWanted, memory, type Workload, workloads } from "./workloads.ts"

/** What the run writes to: a stream. */
export interface Output {
  write(text: string): unknown
}

/** Runs what these arguments ask for; answers the exit code, 1 if peers disagree. */
export async function bench(args: readonly string[], out: Output, errors: Output): Promise<number> {
  try {
    const options = readOptions(args)
    if (options === "help") {
      out.write(help)
      return 0
    }
    return await run(options, out)
  } catch (error) {
    if (!(error instanceof UsageError)) throw error
    errors.write(`bench: ${error.message}\nTry --help.\n`)
    return 2
  }
}

async function run(options: Options, out: Output): Promise<number> {
  const chosen = peers.filter(({ name }) => options.peers.includes(name))
  const measuresCold = isWanted(cold, options.only)
  if (measuresCold || chosen.some(({ needsPackages }) => needsPackages)) {
    const failure = installPackages(peersFolder)
    if (failure !== null) out.write(`The peers' packages could not be installed: ${failure}\n`)
  }
  writeData(dataFolder)
  const wanted = workloads.filter(({ id }) => isWanted(id, options.only))
  const absent = wanted.length === 0 ? {} : await callRoll(chosen)
  for (const [name, why] of Object.entries(absent)) out.write(`${name} does not take part: ${why}\n`)

  const present = chosen.filter(({ name }) => !Object.hasOwn(absent, name))
  const reference = (present.find(({ isOwn }) => isOwn) ?? present[0])?.name ?? ""
  const rows: Row[] = []
  for (const workload of wanted) {
    const { id, step, flops } = workload
    out.write(`\n${id}: ${step}\n`)
    const asked = present.filter((peer) => takesPart(peer, workload))
    rows.push(...(await measure(id, asked.map(contestant), settingsOf(options))))
    out.write(`${workloadTable(compare(rows, id, reference), flops)}\n${remarks(rows, id)}`)
  }
  const coldResult = measuresCold ? await measureCold(coldPrograms(chosen), options.repetitions) : null
  if (coldResult !== null) out.write(`\n${coldLines(coldResult)}`)

  const compileRows = isWanted(compile, options.only) ? measureCompile(compiled, options.repetitions) : []
  if (compileRows.length > 0) out.write(`\n${compileTable(compileRows)}\n`)

  const memoryRows = isWanted(memory, options.only) ? await measureMemory(options) : []
  if (memoryRows.length > 0) out.write(`\n${memoryTable(memoryRows)}\n${remarks(memoryRows, memory)}`)

  const results: Results = {
    date: new Date().toISOString(),
    machine: machine(),
    repetitions: options.repetitions,
    target: options.target,
    isQuick: options.isQuick,
    rows,
    cold: coldResult,
    compile: compileRows,
    memory: memoryRows,
    absent,
  }
  write(results, reference, options, out)
  const disagree = (of: readonly Row[], id: string) => (agreementOn(of, id)?.disagreeing.length ?? 0) > 0
  return disagree(memoryRows, memory) || wanted.some(({ id }) => disagree(rows, id)) ? 1 : 0
}

function takesPart({ isOwn, only }: PeerSpec, workload: Workload): boolean {
  return (isOwn || workload.isOwn !== true) && isWanted(workload.id, only ?? null)
}

function contestant({ name, command }: PeerSpec) {
  return { name, start: () => startProcess(command) }
}

function settingsOf({ repetitions, target, isQuick }: Options): Settings {
  const limits = isQuick
    ? { setUpLimit: 20_000, onceOver: 2000, patience: 0 }
    : { setUpLimit: 60_000, onceOver: 6000, patience: 25_000 }
  return { repetitions, target, ...limits }
}

/** Starts every peer once; answers who does not start, and why. */
async function callRoll(chosen: readonly PeerSpec[]): Promise<Record<string, string>> {
  const absent: Record<string, string> = {}
  for (const { name, command } of chosen) {
    const runner = startProcess(command)
    const reply = await runner.ask({ op: "start" })
    if (isFailure(reply)) absent[name] = reply.failure.split("\n")[0] ?? reply.failure
    runner.end()
  }
  return absent
}

/** Cold programs go by the names of libraries: those of the chosen peers, and always the empty one. */
function coldPrograms(chosen: readonly PeerSpec[]) {
  const libraries = new Set(chosen.map(({ name }) => name.split("-")[0]))
  return programs.filter(({ name }) => name === "empty" || libraries.has(name.split("-")[0]))
}

function remarks(rows: readonly Row[], workload: string): string {
  const failures = rows.flatMap(({ workload: of, peer, failure }) =>
    of === workload && failure !== null ? [`${peer} did not run: ${failure}\n`] : [],
  )
  const off = agreementOn(rows, workload)?.disagreeing ?? []
  return failures.join("") + (off.length === 0 ? "" : `THE RESULTS DISAGREE: ${off.join(", ")}\n`)
}

function coldLines({ rows, bundles }: ColdResult): string {
  const starts = rows.map(({ program, form, samples, failure }) => {
    const figures = samples.map((sample) => sample.toFixed(0)).join(", ")
    return `cold ${program} (${form}): ${failure ?? `${figures} ms`}\n`
  })
  const sizes = bundles.map(({ program, bytes, failure }) => `bundle ${program}: ${failure ?? `${bytes} bytes`}\n`)
  return [...starts, ...sizes].join("")
}

function write(results: Results, reference: string, options: Options, out: Output): void {
  const json = toJson(results, reference)
  mkdirSync(buildFolder, { recursive: true })
  const files = [join(buildFolder, "results.json"), ...(options.json === null ? [] : [options.json])]
  for (const file of files) writeFileSync(file, json)
  if (options.writesPage) {
    writeFileSync(pageFile, page(results, { peers: peers.map(({ name }) => name), reference }))
    files.push(pageFile)
  }
  out.write(`\nwritten: ${files.join(", ")}\n`)
}
