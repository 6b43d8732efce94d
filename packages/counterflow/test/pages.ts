// The pages of the documentation, and what a test can do with them: fenced blocks say by their first line what they are.
//
//   ts run         a program, run in a process of its own; the `text output` block behind it is what it prints
//   ts more        goes on with the program of the block before
//   ts check       a module that must compile
//   ts fragment    part of something: neither
//   ts file=path   a file of the repository, whole
import { readFileSync } from "node:fs"
import { join } from "node:path"

export const root: string = join(import.meta.dirname, "../../..")

export interface Fence {
  /** "ts", "text", "sh" … */
  readonly language: string
  /** What follows the language. */
  readonly mark: string
  readonly text: string
  /** Of its first line of text, counted from 1. */
  readonly line: number
  readonly lines: number
}

export interface Page {
  /** Relative to the root. */
  readonly path: string
  readonly text: string
  readonly fences: readonly Fence[]
}

/** A program of a page: its blocks in order, each with what the page says it prints. */
export interface Session {
  readonly blocks: readonly { readonly source: Fence; readonly output: Fence | null }[]
  readonly line: number
}

export function pageAt(path: string): Page {
  const text = readFileSync(join(root, path), "utf8")
  return { path, text, fences: fencesOf(text) }
}

function fencesOf(text: string): Fence[] {
  const fences: Fence[] = []
  const lines = text.split("\n")
  for (let at = 0; at < lines.length; at++) {
    const open = /^```(\S+)\s*(.*)$/.exec(lines[at] ?? "")
    if (open === null) continue
    const end = lines.indexOf("```", at + 1)
    if (end < 0) throw new Error(`the block that opens in line ${at + 1} is never closed`)
    const [, language = "", mark = ""] = open
    const inside = lines.slice(at + 1, end)
    fences.push({ language, mark, text: inside.join("\n"), line: at + 2, lines: inside.length })
    at = end
  }
  return fences
}

export function sessionsOf({ fences }: Page): Session[] {
  const sessions: { blocks: { source: Fence; output: Fence | null }[]; line: number }[] = []
  for (const [index, fence] of fences.entries()) {
    if (fence.language !== "ts" || (fence.mark !== "run" && fence.mark !== "more")) continue
    const next = fences[index + 1]
    const output = next?.language === "text" && next.mark === "output" ? next : null
    const block = { source: fence, output }
    if (fence.mark === "run") sessions.push({ blocks: [block], line: fence.line })
    else sessions.at(-1)?.blocks.push(block)
  }
  return sessions
}

// What no program prints by itself.
const separator = "\u241e"

/** One module: the blocks, and between them a line that tells their outputs apart. */
export function sourceOf({ blocks }: Session): string {
  return `${blocks.map(({ source }) => source.text).join(`\nconsole.log("${separator}")\n`)}\n`
}

/** What each block of a session printed. */
export function outputsOf(stdout: string): string[] {
  return stdout.split(`${separator}\n`).map((part) => part.trimEnd())
}

/** The page with other texts in some of its blocks. */
export function withTexts({ text }: Page, changes: ReadonlyMap<Fence, string>): string {
  const lines = text.split("\n")
  for (const [fence, by] of [...changes].sort(([a], [b]) => b.line - a.line)) {
    lines.splice(fence.line - 1, fence.lines, ...by.split("\n"))
  }
  return lines.join("\n")
}
