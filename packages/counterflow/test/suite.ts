// The tests of a page of documentation: its programs run and print what it says, its modules compile, its links lead somewhere.
//
// `WRITE_DOCS=1 npx vitest run packages/counterflow/test` writes what programs print into the pages instead.
import { execFile } from "node:child_process"
import { existsSync, readFileSync } from "node:fs"
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { promisify } from "node:util"
import { afterAll, beforeAll, describe, expect, test } from "vitest"
import {
  type Fence,
  outputsOf,
  type Page,
  pageAt,
  root,
  type Session,
  sessionsOf,
  sourceOf,
  withTexts,
} from "./pages.ts"
import { bundleScripts, type Scripts } from "./scripts.ts"

const exec = promisify(execFile)
const isWriting = process.env["WRITE_DOCS"] === "1"

// For processes of their own, on a machine that may be busy with other tests.
export const patience = 60_000

interface Script {
  readonly name: string
  readonly page: Page
  readonly session: Session
}

/** Registers the tests of some pages, given by their paths from the root. */
export function testPages(paths: readonly string[]): void {
  const pages = paths.map(pageAt)
  const scripts = pages.flatMap((page) =>
    sessionsOf(page).map((session): Script => ({ name: `${slugOf(page.path)}/${session.line}`, page, session })),
  )
  const changes = new Map<Page, Map<Fence, string>>(pages.map((page) => [page, new Map()]))
  let folder: string
  let bundled: Scripts

  /** What a block shows; while pages are written, what it is going to show. */
  const shownIn = (page: Page, fence: Fence, actual: string): string => {
    if (!isWriting) return fence.text
    changes.get(page)?.set(fence, actual)
    return actual
  }

  beforeAll(async () => {
    folder = await writeModules(pages, scripts)
    bundled = await bundleScripts(
      Object.fromEntries(scripts.map(({ name }) => [name, join(folder, name, "example.ts")])),
    )
  })
  afterAll(async () => {
    for (const [page, texts] of changes) {
      if (texts.size > 0) await writeFile(join(root, page.path), withTexts(page, texts))
    }
    await bundled.close()
    await rm(folder, { recursive: true })
  })

  describe.each(pages)("$path", (page) => {
    for (const { name, session } of scripts.filter((script) => script.page === page)) {
      test(`the program in line ${session.line} prints what the page says`, { timeout: patience }, async () => {
        const outputs = outputsOf(await bundled.run(name))
        expect(outputs).toHaveLength(session.blocks.length)
        session.blocks.forEach(({ source, output }, index) => {
          const printed = outputs[index] ?? ""
          const shown = output === null ? "" : shownIn(page, output, printed)
          expect(printed, `what the block in line ${source.line} prints`).toBe(shown)
        })
      })
    }

    test("every TypeScript block says what it is", () => {
      const marks = page.fences.flatMap(({ language, mark }) => (language === "ts" ? [mark.replace(/=.*/, "")] : []))
      expect(marks.filter((mark) => !["run", "more", "check", "fragment", "file"].includes(mark))).toEqual([])
    })

    test("files that it shows are as they are", () => {
      for (const fence of page.fences.filter(({ mark }) => mark.startsWith("file="))) {
        const text = readFileSync(join(root, fence.mark.slice("file=".length)), "utf8").trimEnd()
        expect(text, `the file in line ${fence.line}`).toBe(shownIn(page, fence, text))
      }
    })

    test("its links lead somewhere", () => {
      expect(linksOf(page).filter((link) => !leadsSomewhere(page, link))).toEqual([])
    })
  })

  test("what is marked as a program or a module compiles", { timeout: patience }, async () => {
    expect(await typeErrors(folder)).toEqual([])
  })
}

function slugOf(path: string): string {
  return path.replace(/\.md$/, "").replaceAll("/", "-").toLowerCase()
}

/** One folder per program or module, so that each is called example.ts in the errors it prints. */
async function writeModules(pages: readonly Page[], scripts: readonly Script[]): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "counterflow-pages-"))
  const write = async (name: string, text: string) => {
    await mkdir(join(folder, name), { recursive: true })
    await writeFile(join(folder, name, "example.ts"), text)
  }
  for (const { name, session } of scripts) await write(name, sourceOf(session))
  for (const page of pages) {
    for (const { language, mark, line, text } of page.fences) {
      if (language === "ts" && mark === "check") await write(`${slugOf(page.path)}/${line}`, `${text}\nexport {}\n`)
    }
  }
  await writeFile(join(folder, "package.json"), JSON.stringify({ type: "module" }))
  await writeFile(join(folder, "tsconfig.json"), JSON.stringify(configuration))
  return folder
}

export const configuration = {
  extends: join(root, "tsconfig.test.json"),
  compilerOptions: {
    paths: {
      counterflow: [join(root, "packages/counterflow/src/index.ts")],
      "counterflow/*": [join(root, "packages/counterflow/src/*.ts")],
      "@counterflow/kernels-wasm/*": [join(root, "packages/kernels-wasm/src/*.ts")],
      "@counterflow/*": [join(root, "packages/*/src/index.ts")],
    },
    typeRoots: [join(root, "node_modules/@types")],
  },
  include: ["**/*.ts"],
}

/** What the compiler says of the modules in a folder; errors elsewhere are other tests' affair. */
export async function typeErrors(folder: string): Promise<string[]> {
  const tsc = join(root, "node_modules/typescript/bin/tsc")
  const found = await exec(process.execPath, [tsc, "-p", folder, "--pretty", "false"], { cwd: folder }).then(
    ({ stdout }) => stdout,
    (error: unknown) => (error instanceof Error && "stdout" in error ? String(error.stdout) : String(error)),
  )
  return found.split("\n").filter((line) => line !== "" && !/^\.\.\/|^ /.test(line))
}

function linksOf({ text }: Page): string[] {
  const prose = text.replaceAll(/^```[\s\S]*?^```$/gm, "").replaceAll(/`[^`]*`/g, "")
  return [...prose.matchAll(/\]\(([^)\s]+)\)/g)].flatMap(([, link = ""]) => (/^[a-z]+:/.test(link) ? [] : [link]))
}

function leadsSomewhere(page: Page, link: string): boolean {
  const [path = "", anchor] = link.split("#")
  const target = path === "" ? join(root, page.path) : join(root, dirname(page.path), path)
  if (!existsSync(target)) return false
  if (anchor === undefined) return true
  const headings = [...readFileSync(target, "utf8").matchAll(/^#+ (.*)$/gm)]
  return headings.some(([, heading = ""]) => anchorOf(heading) === anchor)
}

/** As GitHub makes them. */
function anchorOf(heading: string): string {
  return heading
    .toLowerCase()
    .replaceAll(/[^\p{Letter}\p{Number} _-]/gu, "")
    .replaceAll(" ", "-")
}
