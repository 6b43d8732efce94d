// Runs scripts as a user would, each in a process of its own: bundled over the package sources, so that no build is needed.
import { execFile } from "node:child_process"
import { mkdtemp, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { pathToFileURL } from "node:url"
import { promisify } from "node:util"
import { build, type Plugin } from "vite"
import { root } from "./pages.ts"

const exec = promisify(execFile)

export interface Scripts {
  /** What the script prints. Rejects when it fails, with what it printed on stderr. */
  run(name: string): Promise<string>
  close(): Promise<void>
}

/** Bundles scripts, by name; what they share is bundled once. */
export async function bundleScripts(files: Readonly<Record<string, string>>): Promise<Scripts> {
  const folder = await mkdtemp(join(tmpdir(), "counterflow-scripts-"))
  await build({
    root,
    configFile: false,
    logLevel: "silent",
    plugins: [packages],
    ssr: { noExternal: true, resolve: { conditions: ["source", "module", "node", "development|production"] } },
    build: {
      ssr: true,
      outDir: folder,
      sourcemap: true,
      target: "node20",
      rolldownOptions: {
        input: files,
        output: { entryFileNames: "[name].mjs", chunkFileNames: "shared/[name]-[hash].mjs" },
      },
    },
  })
  return {
    run: async (name) => {
      const cwd = dirname(files[name] ?? folder)
      const { stdout } = await exec(process.execPath, ["--enable-source-maps", join(folder, `${name}.mjs`)], { cwd })
      return stdout
    },
    close: () => rm(folder, { recursive: true }),
  }
}

/** Scripts import packages by name, wherever they lie; and a source that looks for files beside it finds them. */
const packages: Plugin = {
  name: "packages",
  enforce: "pre",
  resolveId: (id) => {
    const [, name, entry = "index"] = /^(?:@counterflow\/)?([a-z-]+)(?:\/([a-z-]+))?$/.exec(id) ?? []
    const isPackage = name !== undefined && /^(counterflow(\/|$)|@counterflow\/)/.test(id)
    return isPackage ? { id: join(root, "packages", name, `src/${entry}.ts`), moduleSideEffects: false } : null
  },
  transform: (code, id) =>
    id.includes("/packages/data/src/")
      ? code.replaceAll("import.meta.url", JSON.stringify(pathToFileURL(id).href))
      : null,
}
