// Writes the generated pages: docs/ops.md from the op registry, docs/errors.md from the error catalogue. `pnpm docs` writes
// them, a test compares them with what the sources say now.
import { writeFile } from "node:fs/promises"
import { join } from "node:path"
import { errorCatalogue } from "../packages/ir/src/index.ts"
import { catalogue, type Op } from "../packages/ops/src/index.ts"
import { gradientOf, opSection } from "../packages/testing/src/opdoc.ts"

export const pages: Readonly<Record<string, () => string>> = { "ops.md": opsPage, "errors.md": errorsPage }

function opsPage(): string {
  const entries = catalogue.toSorted((a, b) => a.op.name.localeCompare(b.op.name, "en"))
  const count = (kind: Op["kind"]) => entries.filter(({ op }) => op.kind === kind).length
  return [
    "# Ops",
    "",
    "Generated from the op records; `pnpm run docs` writes this page anew.",
    "",
    `${entries.length} ops: ${count("elementwise")} elementwise primitives (every backend reads their scalar expression), ` +
      `${count("primitive")} further primitives (one kernel per backend), ${count("composite")} composites (their meaning is other ops; ` +
      "a backend may keep one whole).",
    "",
    "In a signature `x?` may be absent, `...xs` is a list; *index* and *state* inputs never receive gradients.",
    "",
    "| op | kind | gradient |",
    "| --- | --- | --- |",
    ...entries.map(({ op }) => `| [${op.name}](#${op.name.toLowerCase()}) | ${op.kind} | ${gradientOf(op)} |`),
    "",
    ...entries.flatMap(opSection),
  ].join("\n")
}

export function errorsPage(): string {
  return [
    "# Errors",
    "",
    "Generated from the catalogue of codes; `pnpm run docs` writes this page anew.",
    "",
    "Every error is a `CounterflowError`: `code` is stable, `message` is the whole text: what, the variables involved with the lines that",
    "built them, where, and how to fix it. Bad input is refused before any state changes.",
    "",
    "| code | meaning |",
    "| --- | --- |",
    ...Object.entries(errorCatalogue).map(([name, meaning]) => `| \`${name}\` | ${meaning} |`),
    "",
  ].join("\n")
}

if (process.argv[1] === import.meta.filename) {
  for (const [name, page] of Object.entries(pages)) await writeFile(join(import.meta.dirname, "../docs", name), page())
}
