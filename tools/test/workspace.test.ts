// What the tools do not check by themselves: that the lists kept per package agree with each other, and the size of files.
import { readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { describe, expect, test } from "vitest"

interface Manifest {
  name: string
  version: string
  private?: boolean
  license?: string
  description?: string
  type?: string
  sideEffects?: boolean
  files?: string[]
  engines?: { node?: string }
  exports?: Record<string, string | Record<string, string>>
  publishConfig?: { access?: string; exports?: Record<string, string | Record<string, string>> }
  dependencies?: Record<string, string>
  devDependencies?: Record<string, string>
}
interface ProjectConfig {
  extends?: string
  references?: { path: string }[]
}
interface TurboConfig {
  tags?: string[]
  boundaries?: { tags: Record<string, { dependencies: { allow: string[] } }> }
}

const root = join(import.meta.dirname, "../..")
const read = <T>(path: string): T => JSON.parse(readFileSync(join(root, path), "utf8")) as T

const folders = ["packages", "apps"].flatMap((parent) =>
  readdirSync(join(root, parent)).map((name) => `${parent}/${name}`),
)
const workspace = folders.map((folder) => ({ folder, manifest: read<Manifest>(`${folder}/package.json`) }))
const folderOf = new Map(workspace.map(({ folder, manifest }) => [manifest.name, folder]))
const published = workspace.filter(({ manifest }) => manifest.private !== true)

const allDependencies = (manifest: Manifest) => ({ ...manifest.dependencies, ...manifest.devDependencies })
const foldersUsed = (manifest: Manifest) =>
  Object.keys(allDependencies(manifest))
    .map((name) => folderOf.get(name))
    .filter((folder) => folder !== undefined)

describe.each(workspace)("$folder", ({ folder, manifest }) => {
  test("its TypeScript references are its workspace dependencies", () => {
    const { references = [], extends: base } = read<ProjectConfig>(`${folder}/tsconfig.json`)
    expect(base).toBe("../../tsconfig.base.json")
    expect(references.map(({ path }) => join(folder, path)).sort()).toEqual(foldersUsed(manifest).sort())
  })

  test("it has one tag, known to the root, whose allow list holds the tags of its dependencies", () => {
    const tagOf = (of: string) => read<TurboConfig>(`${of}/turbo.json`).tags
    const tags = tagOf(folder)
    expect(tags).toHaveLength(1)
    const allowed = read<TurboConfig>("turbo.json").boundaries?.tags[tags?.[0] ?? ""]?.dependencies.allow
    expect(allowed).toEqual(expect.arrayContaining(foldersUsed(manifest).flatMap((of) => tagOf(of) ?? [])))
  })

  test("workspace dependencies are workspace:*, all others pinned", () => {
    const versions = Object.entries(allDependencies(manifest))
    const wrong = versions.filter(
      ([name, version]) => !(folderOf.has(name) ? /^workspace:\*$/ : /^\d+\.\d+\.\d+$/).test(version),
    )
    expect(wrong).toEqual([])
  })

  test("its manifest states licence, engines and module type", () => {
    expect(manifest).toMatchObject({ license: "MIT", engines: { node: ">=20" }, type: "module", sideEffects: false })
  })
})

describe.each(published)("$folder, published", ({ manifest }) => {
  test("it is described and names what it ships", () => {
    expect(manifest.description).toMatch(/\w/)
    expect(manifest.publishConfig?.access).toBe("public")
    expect(manifest.files).toEqual(expect.arrayContaining(["dist", "src", "!dist/**/*.tsbuildinfo"]))
  })

  test("its exports put `source` first, and what is published is the same without it", () => {
    const targets = Object.entries(manifest.exports ?? {})
    const code = targets.filter((entry): entry is [string, Record<string, string>] => typeof entry[1] === "object")
    expect(code.map(([entry]) => entry)).toContain(".")
    for (const [entry, target] of code) {
      const stem = /^\.\/dist\/(.*)\.js$/.exec(target["default"] ?? "")?.[1]
      const wanted = { source: `./src/${stem}.ts`, types: `./dist/${stem}.d.ts`, default: `./dist/${stem}.js` }
      // The first condition that holds wins, so their order matters as well.
      expect(Object.entries(target), entry).toEqual(Object.entries(wanted))
    }
    const withoutSource: unknown = Object.fromEntries([
      ...targets,
      ...code.map(([entry, { source: _source, ...rest }]) => [entry, rest]),
    ])
    expect(manifest.publishConfig?.exports).toEqual(withoutSource)
  })
})

describe("the root", () => {
  test("builds every package, and checks their tests", () => {
    const { references = [] } = read<ProjectConfig>("tsconfig.json")
    expect(references.map(({ path }) => path).sort()).toEqual([...folders, "./tsconfig.test.json"].sort())
  })

  test("lets the packages that know ops as a development dependency import its types only", () => {
    const { overrides } = read<{ overrides: { files: string[]; rules: Record<string, unknown> }[] }>(".oxlintrc.json")
    const restricted = overrides.find(({ rules }) => "eslint/no-restricted-imports" in rules)
    const typesOnly = workspace.filter(({ manifest }) => "@counterflow/ops" in (manifest.devDependencies ?? {}))
    expect(restricted?.files.sort()).toEqual(typesOnly.map(({ folder }) => `${folder}/src/**`).sort())
  })
})

describe("source files", () => {
  const files = folders
    .flatMap((folder) =>
      readdirSync(join(root, folder, "src"), { recursive: true, encoding: "utf8" }).map(
        (file) => `${folder}/src/${file}`,
      ),
    )
    .filter((file) => file.endsWith(".ts"))
    .map((file) => ({ file, text: readFileSync(join(root, file), "utf8") }))
  const lengths = files.map(({ text }) => text.trimEnd().split("\n").length)

  test("none is over 400 lines without saying why", () => {
    const tooLong = files.filter(
      ({ text }, i) => (lengths[i] ?? 0) > 400 && !text.slice(0, 600).includes("over 400 lines:"),
    )
    expect(tooLong.map(({ file }) => file)).toEqual([])
  })

  test("the median is at most 150 lines", () => {
    const ascending = lengths.toSorted((a, b) => a - b)
    expect(ascending[ascending.length >> 1]).toBeLessThanOrEqual(150)
  })

  test("no cast goes through unknown, but the one in ops/src/define.ts that types every record", () => {
    const casting = files.filter(({ text }) => /\bas unknown as\b/.test(text)).map(({ file }) => file)
    expect(casting.filter((file) => file !== "packages/ops/src/define.ts")).toEqual([])
  })
})
