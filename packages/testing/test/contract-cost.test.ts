// What an op costs, counted in the sources: everything about it stands in one file of ops, and a primitive has one entry in the
// kernels of a complete backend. No other file lists ops, and no engine knows one by its name.

import { readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { kernels } from "@counterflow/kernels-cpu"
import { catalogue, registry } from "@counterflow/ops"
import { describe, expect, test } from "vitest"

const packages = join(import.meta.dirname, "../..")

interface Source {
  readonly file: string
  readonly text: string
}

function sourcesOf(name: string): Source[] {
  const root = join(packages, name, "src")
  return readdirSync(root, { recursive: true, encoding: "utf8" })
    .filter((file) => file.endsWith(".ts"))
    .map((file) => ({ file: `${name}/src/${file}`, text: readFileSync(join(root, file), "utf8") }))
}

const escaped = (name: string) => name.replace(/\./g, "\\.")

/** Files that say `name: "add"`, or a name that they hand to a function which makes records. */
const ops = sourcesOf("ops").filter(({ file }) => !/\/(families|index|registry|define|describe)\.ts$/.test(file))
const cpu = sourcesOf("kernels-cpu").filter(({ file }) => file.includes("/kernels/") && !file.endsWith("/index.ts"))
const records = Object.values(registry)

const definitionOf = (name: string) =>
  ops.filter(({ text }) => new RegExp(`\\bexport const ${escaped(name)}Op\\b`).test(text))
const kernelsOf = (name: string) =>
  cpu.filter(({ text }) => new RegExp(`^ {2}${escaped(name)}(:|\\(|,|$)`, "m").test(text))

describe("files that an op touches", () => {
  test("record, function and description stand in one file", () => {
    for (const { op } of catalogue) {
      const [own, ...others] = definitionOf(op.name)
      expect([op.name, own !== undefined, others.map(({ file }) => file)]).toEqual([op.name, true, []])
      expect([op.name, new RegExp(`\\bexport const ${escaped(op.name)}Doc\\b`).test(own?.text ?? "")]).toEqual([
        op.name,
        true,
      ])
    }
  })

  test("a primitive: two, its family and its family's kernels", () => {
    const counts = records
      .filter(({ kind }) => kind === "primitive")
      .map(({ name }) => [name, definitionOf(name).length + kernelsOf(name).length] as const)
    expect(counts.length).toBeGreaterThan(20)
    expect(counts.filter(([, files]) => files !== 2)).toEqual([])
  })

  test("an elementwise op or a composite: one", () => {
    const counts = records
      .filter(({ kind }) => kind !== "primitive")
      .map(({ name }) => [name, definitionOf(name).length + kernelsOf(name).length] as const)
    expect(counts.length).toBeGreaterThan(60)
    expect(counts.filter(([, files]) => files !== 1)).toEqual([])
  })

  test("the table of kernels holds exactly the primitives", () => {
    const primitives = records.filter(({ kind }) => kind === "primitive").map(({ name }) => name)
    expect(Object.keys(kernels).toSorted()).toEqual(primitives.toSorted())
  })
})

describe("engines know no op by its name", () => {
  const engines = ["ir", "autodiff", "compiler", "executor"].flatMap(sourcesOf)
  const names = records.map(({ name }) => name)

  test("no string in them is the name of an op", () => {
    const found = engines.flatMap(({ file, text }) => {
      const lines = text.replace(/\/\*[^]*?\*\/|\/\/.*$/gm, "").split("\n")
      return lines.flatMap((line) =>
        names.filter((name) => line.includes(`"${name}"`)).map((name) => `${file}: ${name} in ${line.trim()}`),
      )
    })
    // Scalar expressions, dimensions and kinds of facts have words of the same spelling.
    const others =
      /^(ir\/src\/(scalar|dim[a-z]+)|compiler\/src\/(4-algebra|4-evaluate|5-join|print))\.ts|compareDims\(.*"equal"|type FactKind/
    expect(found.filter((line) => !others.test(line))).toEqual([])
  })

  test("autodiff calls what it needs to seed, to add, to copy, to reshape and to weigh, and nothing else of ops", () => {
    // Micro-batches are a loop that is written around a program, by no rule of differentiation.
    const engine = sourcesOf("autodiff").filter(({ file }) => !/accumulate|microbatch/.test(file))
    const called = engine.flatMap(({ text }) => {
      const imports = /import \{([^}]*)\} from "@counterflow\/ops"/.exec(text)?.[1] ?? ""
      return imports
        .split(",")
        .map((name) => name.trim())
        .filter((name) => /^[a-z]/.test(name) && !name.startsWith("type "))
    })
    expect([...new Set(called)].toSorted()).toEqual(["assign", "fillConstant", "isOp", "reshapeTo", "sum", "workOf"])
  })
})
