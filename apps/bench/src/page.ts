// The page of results: docs/benchmarks.md.

import type { CompileRow } from "./cold/compiletimes.ts"
import type { ColdResult } from "./cold/start.ts"
import type { Row } from "./measure.ts"
import { agreementOn, type Comparison, compare, peersOf, type Results } from "./results.ts"
import { median, summarize } from "./statistics.ts"
import { bytes, digits, percent, table } from "./table.ts"
import { type Group, groups, type Workload, workloads } from "./workloads.ts"

export interface PageOptions {
  /** All peers, in the order of columns. */
  readonly peers: readonly string[]
  /** The peer that ratios refer to. */
  readonly reference: string
}

/** Other work on more cores than this, and the figures are called preliminary. */
const busy = 0.25

export function page(results: Results, options: PageOptions): string {
  const { rows, cold, compile, memory } = results
  const parts = [
    preamble(results, options.reference),
    ...(rows.length === 0 ? [] : [overview(results, options)]),
    ...groups.flatMap((group) => details(group, rows, options.reference)),
    ...(compile.length === 0 ? [] : [compilePart(compile)]),
    ...(memory.length === 0 ? [] : [memoryPart(memory)]),
    ...(cold === null ? [] : [coldPart(cold)]),
    ...(rows.length === 0 ? [] : [agreementPart(rows)]),
    missing(results),
    versions(rows),
  ]
  return `${parts.filter((part) => part !== "").join("\n\n")}\n`
}

function preamble({ date, machine, repetitions, target, isQuick, rows }: Results, reference: string): string {
  const { processor, cores, memoryBytes, system, node } = machine
  const disturbed = rows.filter((row) => row.samples.length > 0 && row.foreign > busy).length
  const doubts = [
    ...(isQuick ? ["it was a quick run, with few and short repetitions"] : []),
    ...(disturbed > 0 ? [`in ${disturbed} of ${rows.length} measurements other programs used over ${busy} cores`] : []),
  ]
  return [
    "# Benchmarks",
    "Written by `pnpm bench`, which runs counterflow and its peers side by side: each in a process of its own, with the same data " +
      `and initial weights, all alive at once and one at work. After a warm-up come ${repetitions} repetitions of about ${target} ms, ` +
      "repetition 1 of every peer before repetition 2 of any; all have the same number, and the figure is their median. " +
      "[apps/bench](../apps/bench/README.md) tells how each peer is written.",
    ...(doubts.length === 0 ? [] : [`**These figures are preliminary**: ${doubts.join(", and ")}.`]),
    `${date.slice(0, 10)} · ${processor}, ${cores} cores, ${bytes(memoryBytes)} · ${system} · Node ${node}. Every peer has one thread, unless its name says otherwise. ` +
      `The reference of all ratios is ${reference}.`,
  ].join("\n\n")
}

function overview({ rows }: Results, { peers, reference }: PageOptions): string {
  const columns = peersOf(rows, peers)
  const lines = measured(rows).map(({ id }) => {
    const compared = compare(rows, id, reference)
    return [
      `\`${id}\``,
      ...columns.map((peer) =>
        cell(
          compared.find(({ row }) => row.peer === peer),
          reference,
        ),
      ),
    ]
  })
  return [
    "## At a glance",
    `Milliseconds of one step; in brackets how many times as long it takes as ${reference}: above 1, ${reference} is faster.`,
    table(["workload", ...columns], lines),
  ].join("\n\n")
}

function cell(comparison: Comparison | undefined, reference: string): string {
  if (comparison === undefined) return "–"
  const { row, summary, ratio } = comparison
  const time = digits(summary.median)
  return ratio === null || row.peer === reference ? time : `${time} (${digits(ratio)})`
}

function measured(rows: readonly Row[]): readonly Workload[] {
  return workloads.filter(({ id }) => rows.some(({ workload }) => workload === id))
}

function details({ title, workloads: own }: Group, rows: readonly Row[], reference: string): string[] {
  const parts = own.flatMap(({ id, step, flops }) => {
    const compared = compare(rows, id, reference)
    return compared.length === 0 ? [] : [`\`${id}\`: ${step}`, workloadTable(compared, flops)]
  })
  return parts.length === 0 ? [] : [`## ${title}`, ...parts]
}

export function workloadTable(compared: readonly Comparison[], flops: number | null): string {
  const rate = (milliseconds: number) => (flops === null ? 1000 / milliseconds : flops / milliseconds / 1e6)
  const head = ["peer", "median ms", "least–most", "spread", "ratio", flops === null ? "steps/s" : "GFLOP/s"]
  const lines = compared.map(({ row, summary, ratio }) => [
    row.peer,
    digits(summary.median),
    `${digits(summary.least)}–${digits(summary.most)}`,
    percent(summary.spread),
    digits(ratio ?? NaN),
    digits(rate(summary.median)),
    digits(row.processor),
    digits(row.foreign),
    bytes(row.memory ?? NaN),
    row.check === null ? "–" : row.check.toPrecision(7),
  ])
  const notes = compared.flatMap(({ row }) => (row.note === null ? [] : [`- ${row.peer}: ${row.note}`]))
  const figures = table([...head, "processor/wall", "foreign cores", "memory", "check"], lines)
  return notes.length === 0 ? figures : `${figures}\n\n${notes.join("\n")}`
}

function compilePart(rows: readonly CompileRow[]): string {
  return [
    "## Compile time",
    "counterflow on its default backend, in a fresh process: from a training program, just built, to a step that is ready to run; " +
      "and that step, the first time.",
    compileTable(rows),
  ].join("\n\n")
}

export function compileTable(rows: readonly CompileRow[]): string {
  const lines = rows.map(({ workload, samples, firstSteps, failure }) => {
    if (failure !== null) return [`\`${workload}\``, failure, "–", "–"]
    const { median: middle, least, most } = summarize(samples)
    return [`\`${workload}\``, digits(middle), `${digits(least)}–${digits(most)}`, digits(median(firstSteps))]
  })
  return table(["program", "compile, ms", "least–most", "first step, ms"], lines)
}

function memoryPart(rows: readonly Row[]): string {
  return [
    "## Memory for time",
    "A training step of a GPT of 12 blocks, width 256, 8 heads, 256 tokens, batch 8, on the default backend: with all values kept for " +
      "the backward part, and with some computed again ([docs/recompute.md](recompute.md)). The planned peak is the most bytes of values at one time, without " +
      "state. The check is of the bits of all gradients.",
    memoryTable(rows),
  ].join("\n\n")
}

export function memoryTable(rows: readonly Row[]): string {
  const [first] = rows
  const lines = compare(rows, first?.workload ?? "", first?.peer ?? "").map(({ row, summary, ratio }) => [
    row.peer,
    bytes(row.planned ?? NaN),
    digits((row.planned ?? NaN) / (first?.planned ?? NaN)),
    digits(summary.median),
    `${digits(summary.least)}–${digits(summary.most)}`,
    digits(ratio ?? NaN),
    digits(row.foreign),
    bytes(row.memory ?? NaN),
    String(row.check),
  ])
  const head = ["way", "planned peak", "ratio", "median ms", "least–most", "ratio", "foreign cores", "process", "check"]
  return table(head, lines)
}

function coldPart({ rows, bundles }: ColdResult): string {
  const lines = rows.flatMap(({ program, form, samples, peaks, loss }) => {
    if (samples.length === 0) return []
    const { median: middle, least, most } = summarize(samples)
    const shown = program === "empty" ? "–" : (loss ?? NaN).toPrecision(6)
    return [[program, form, digits(middle), `${digits(least)}–${digits(most)}`, bytes(median(peaks)), shown]]
  })
  const sizes = bundles.map(({ program, bytes: size, zippedBytes, failure }) => [
    program,
    failure ?? "",
    bytes(size),
    bytes(zippedBytes),
  ])
  return [
    "## Cold start",
    "A whole process that trains the MLP 784-256-128-10, batch 64, for one step by Adam: from its start to the end of that step, and " +
      "the most memory it held. `empty` is Node doing nothing. `bundle` is the same program bundled into one file. " +
      "`counterflow-saved` loads steps that were compiled before and saved in a file.",
    table(["program", "form", "start to first step, ms", "least–most", "peak memory", "loss"], lines, 2),
    "The browser bundle of that program (Rolldown, minified, with the WebAssembly files, or the file of saved steps, it must load):",
    table(["program", "failure", "bundle", "gzip"], sizes, 2),
  ].join("\n\n")
}

function agreementPart(rows: readonly Row[]): string {
  const lines = measured(rows).flatMap(({ id, check, tolerance }) => {
    const found = agreementOn(rows, id)
    if (found === null) return []
    const verdict = found.disagreeing.length === 0 ? "all agree" : `off: ${found.disagreeing.join(", ")}`
    return [[`\`${id}\``, check, verdict, found.reference.toPrecision(7), sci(found.deviation), sci(tolerance)]]
  })
  if (lines.length === 0) return ""
  return [
    "## Agreement",
    "What each peer computed, compared with the median of all.",
    table(["workload", "check", "verdict", "median", "largest relative deviation", "tolerance"], lines, 3),
  ].join("\n\n")
}

function sci(x: number): string {
  return x.toExponential(1)
}

function missing({ rows, cold, absent }: Results): string {
  const lines = [
    ...Object.entries(absent).map(([peer, why]) => [peer, "everything", why]),
    ...rows.flatMap(({ peer, workload, failure }) => (failure === null ? [] : [[peer, `\`${workload}\``, failure]])),
    ...(cold?.rows ?? []).flatMap(({ program, form, failure }) =>
      failure === null ? [] : [[program, `cold start (${form})`, failure]],
    ),
  ]
  if (lines.length === 0) return ""
  return ["## What could not run", table(["peer", "workload", "in its own words"], lines, 3)].join("\n\n")
}

function versions(rows: readonly Row[]): string {
  const found = new Map(rows.flatMap(({ peer, version }) => (version === null ? [] : [[peer, version] as const])))
  if (found.size === 0) return ""
  return ["## Versions", [...found].map(([peer, version]) => `- ${peer}: ${version}`).join("\n")].join("\n\n")
}
