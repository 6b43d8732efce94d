// Bundles a user's TypeScript the way a web build does, with Vite: minified ES modules with source maps, over the package
// sources.
import { join } from "node:path"
import { gzipSync } from "node:zlib"
import { build, type Rollup } from "vite"

export interface Bundle {
  readonly code: string
  readonly map: string
  readonly gzipBytes: number
}

const userFile = "user.ts"

export async function bundle(source: string): Promise<Bundle> {
  const output = await build({
    root: join(import.meta.dirname, ".."),
    configFile: false,
    logLevel: "silent",
    resolve: { conditions: ["source", "module", "browser", "development|production"] },
    plugins: [
      {
        name: "user's source",
        resolveId: (id) => (id.endsWith(userFile) ? join(import.meta.dirname, userFile) : null),
        load: (id) => (id.endsWith(userFile) ? source : null),
      },
    ],
    build: {
      write: false,
      minify: true,
      sourcemap: true,
      target: "es2022",
      modulePreload: false,
      rolldownOptions: { input: userFile, preserveEntrySignatures: "strict", external: /^node:/ },
    },
  })
  const chunks = (output as Rollup.RollupOutput).output.filter((file) => file.type === "chunk")
  const [entry] = chunks
  if (entry === undefined) throw new Error("the bundler made no file")
  const code = chunks.map((chunk) => chunk.code).join("\n")
  return { code, map: JSON.stringify(entry.map), gzipBytes: gzipSync(code, { level: 9 }).length }
}
