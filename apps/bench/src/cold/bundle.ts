// Bundles by esbuild, which is one of the peers' packages: what of a library is left once a bundler has taken what it can. For
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

/** What is used of esbuild. */
interface Esbuild {
  build(options: Readonly<Record<string, unknown>>): Promise<{ outputFiles: readonly { contents: Uint8Array }[] }>
}

/** Bundles a program for browsers, and into `file` for Node. */
export async function bundle(program: ColdProgram, file: string): Promise<Bundle> {
  try {
    const code = await build(program.file, forBrowsers)
    mkdirSync(dirname(file), { recursive: true })
    writeFileSync(file, await build(program.file, forNode))
    const parts = [code, ...(program.beside ?? []).map((path) => readFileSync(path))]
    const total = (size: (part: Uint8Array) => number) => parts.reduce((sum, part) => sum + size(part), 0)
    const zippedBytes = total((part) => gzipSync(part, { level: 9 }).length)
    return { program: program.name, bytes: total((part) => part.length), zippedBytes, failure: null }
  } catch (error) {
    const words = error instanceof Error ? error.message : String(error)
    return { program: program.name, bytes: NaN, zippedBytes: NaN, failure: words.split("\n").slice(0, 2).join(" ") }
  }
}

const forBrowsers = { platform: "browser" }
const forNode = {
  platform: "node",
  // As for browsers: two forms of one package would be two packages, with a registry each.
  mainFields: ["module", "main"],
  // What CommonJS parts of a module find around them.
  banner: {
    js: [
      'import { createRequire } from "node:module"',
      'import { dirname } from "node:path"',
      'import { fileURLToPath } from "node:url"',
      "const require = createRequire(import.meta.url)",
      "const __filename = fileURLToPath(import.meta.url)",
      "const __dirname = dirname(__filename)",
      "",
    ].join(";\n"),
  },
}

async function build(entry: string, target: Readonly<Record<string, unknown>>): Promise<Uint8Array> {
  const require = createRequire(join(peersFolder, "package.json"))
  const esbuild = (await import(pathToFileURL(require.resolve("esbuild")).href)) as Esbuild
  const { outputFiles } = await esbuild.build({
    entryPoints: [entry],
    bundle: true,
    minify: true,
    format: "esm",
    target: "es2022",
    write: false,
    logLevel: "silent",
    ...target,
  })
  const [output] = outputFiles
  if (output === undefined) throw new Error("esbuild made no bundle")
  return output.contents
}
