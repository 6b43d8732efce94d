// The generated pages in docs/ say what the sources say.
import { readFile } from "node:fs/promises"
import { join } from "node:path"
import { describe, expect, test } from "vitest"
import { pages } from "../docs.ts"

describe("generated pages are up to date (pnpm run docs writes them)", () => {
  test.each(Object.entries(pages))("%s", async (name, page) => {
    expect(await readFile(join(import.meta.dirname, "../../docs", name), "utf8")).toBe(page())
  })
})
