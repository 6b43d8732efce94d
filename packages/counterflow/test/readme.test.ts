// The README of the repository and those of the packages, checked against what the code does.
import { existsSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { describe, expect, test } from "vitest"
import { pageAt, root, sessionsOf } from "./pages.ts"
import { testPages } from "./suite.ts"

const { references } = JSON.parse(readFileSync(join(root, "tsconfig.json"), "utf8")) as {
  references: { path: string }[]
}
const folders = references.flatMap(({ path }) => (/^(packages|apps)\//.test(path) ? [path] : []))
const readmes = folders.map((folder) => `${folder}/README.md`).filter((path) => existsSync(join(root, path)))

testPages(["README.md", ...readmes])

interface Manifest {
  name: string
  private?: boolean
  dependencies?: Record<string, string>
}

describe.each(folders)("%s", (folder) => {
  const manifest = JSON.parse(readFileSync(join(root, folder, "package.json"), "utf8")) as Manifest
  const shortName = (name: string) => name.replace("@counterflow/", "")

  test("the README of the repository lists it, with the packages it uses", () => {
    const row = pageAt("README.md")
      .text.split("\n")
      .find((line) => line.startsWith(`| [\`${manifest.name}\`](${folder}) |`))
    const uses = Object.keys(manifest.dependencies ?? {}).filter((name) => /^(@counterflow\/|counterflow$)/.test(name))
    expect(row?.split("|").at(-2)?.trim()).toBe(uses.map(shortName).sort().join(", ") || "–")
  })

  if (manifest.private === true) return

  test("its own README says how to install it and shows a program that runs", () => {
    const page = pageAt(`${folder}/README.md`)
    expect(page.text).toContain(`npm install ${manifest.name}\n`)
    expect(sessionsOf(page).length).toBeGreaterThan(0)
  })
})
