// Bundles by Rolldown, which is one of the peers' packages: what of a library is left once a bundler has taken what it can. For
// browsers, whose size is measured, and for Node, to be run.

import { mkdirSync, readFileSync, writeFileSync } from "node:fs"
import { createRequire } from "node:module"
import { dirname, join } from "node:path"
import { pathToFileURL } from "node:url"
import { gzipSync } from "node:zlib"
import { peersFolder } from "../folders.ts"
import type { ColdProgram } from "./programs.ts"

export interface Bundle {
  readonly program: string
  /** Minified, with what is delivered beside it. */
  readonly bytes: number
  readonly zippedBytes: number
  readonly failure: string | null
}

type Settings = Readonly<Record<string, unknown>>

/** What is used of Rolldown. */
interface Rolldown {
  readonly rolldown: (options: Settings) => Promise<{
    generate(options: Settings): Promise<{ output: readonly { readonly code?: string }[] }>
  }>
}

/** Bundles a program for browsers, and into `file` for Node. */
export async function bundle(program: ColdProgram, file: string): Promise<Bundle> {
  try {
    const code = Buffer.from(await build(program.file, "browser"))
    mkdirSync(dirname(file), { recursive: true })
    writeFileSync(file, await build(program.file, "node"))
    const parts = [code, ...(program.beside ?? []).map((path) => readFileSync(path))]
    const total = (size: (part: Uint8Array) => number) => parts.reduce((sum, part) => sum + size(part), 0)
    const zippedBytes = total((part) => gzipSync(part, { level: 9 }).length)
    return { program: program.name, bytes: total((part) => part.length), zippedBytes, failure: null }
  } catch (error) {
    const words = error instanceof Error ? error.message : String(error)
    return { program: program.name, bytes: NaN, zippedBytes: NaN, failure: words.split("\n").slice(0, 2).join(" ") }
  }
}

/** What CommonJS parts of a module find around them in Node. */
const around = [
  'import { createRequire } from "node:module"',
  'import { dirname } from "node:path"',
  'import { fileURLToPath } from "node:url"',
  "const require = createRequire(import.meta.url)",
  "const __filename = fileURLToPath(import.meta.url)",
  "const __dirname = dirname(__filename)",
  "",
].join(";\n")

async function build(input: string, platform: "browser" | "node"): Promise<string> {
  const require = createRequire(join(peersFolder, "package.json"))
  const { rolldown } = (await import(pathToFileURL(require.resolve("rolldown")).href)) as Rolldown
  // For Node as for browsers: two forms of one package would be two packages, with a registry each.
  const made = await rolldown({ input, platform, logLevel: "silent", resolve: { mainFields: ["module", "main"] } })
  const banner = platform === "node" ? around : ""
  const { output } = await made.generate({ format: "esm", minify: true, codeSplitting: false, postBanner: banner })
  return output.map(({ code }) => code ?? "").join("")
}
