// Packs every published package as the registry would get it and checks the tarballs: publint for the manifest, attw for
// what TypeScript resolves from it, and that nothing of the workspace (the source condition, build state) leaks out.
import { execFile } from "node:child_process"
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { promisify } from "node:util"
import { publint } from "publint"
import { formatMessage } from "publint/utils"

const root = join(import.meta.dirname, "..")
const exec = promisify(execFile)

async function packAll(destination: string): Promise<void> {
  const { packageManager } = JSON.parse(await readFile(join(root, "package.json"), "utf8")) as {
    packageManager: string
  }
  const pack = ["--recursive", "--filter", "./packages/*", "pack", "--pack-destination", destination]
  await exec("npx", ["--yes", packageManager, ...pack], { cwd: root })
}

async function lint(tarball: string): Promise<string[]> {
  // A copy, because the buffer behind what readFile returns may be larger than the file.
  const bytes = Uint8Array.from(await readFile(tarball)).buffer
  const { messages, pkg } = await publint({ pack: { tarball: bytes }, strict: true })
  return messages.map((message) => `publint: ${formatMessage(message, pkg, { color: false }) ?? message.code}`)
}

async function leaks(tarball: string): Promise<string[]> {
  const { stdout: listing } = await exec("tar", ["-tzf", tarball])
  const { stdout: manifest } = await exec("tar", ["-xzOf", tarball, "package/package.json"])
  const paths = listing.split("\n")
  const problems: string[] = []
  for (const path of ["package/LICENSE", "package/README.md", "package/dist/index.js", "package/dist/index.d.ts"]) {
    if (!paths.includes(path)) problems.push(`${path} is missing (dist comes from the build)`)
  }
  if (paths.some((path) => path.endsWith(".tsbuildinfo"))) problems.push("build state (.tsbuildinfo) is packed")
  if (manifest.includes('"source"')) problems.push("the packed manifest still has the source condition")
  if (manifest.includes('"workspace:')) problems.push("the packed manifest still has a workspace: version")
  return problems
}

/** attw prints what it finds on stdout and exits with 1. */
async function resolveTypes(tarball: string): Promise<string[]> {
  const attw = join(root, "node_modules", ".bin", "attw")
  try {
    await exec(attw, [tarball, "--profile", "esm-only", "--no-color", "--no-emoji"])
    return []
  } catch (error) {
    return [`attw: ${error instanceof Error && "stdout" in error ? String(error.stdout) : String(error)}`]
  }
}

const destination = await mkdtemp(join(tmpdir(), "counterflow-pack-"))
try {
  await packAll(destination)
  const published = (await readdir(join(root, "packages"))).length
  const tarballs = (await readdir(destination)).sort()
  if (tarballs.length !== published) {
    console.error(`${published} packages, but ${tarballs.length} tarballs: ${tarballs.join(", ")}`)
    process.exitCode = 1
  }
  const queue = tarballs.entries()
  const worker = async () => {
    for (const [, file] of queue) {
      const tarball = join(destination, file)
      const problems = [...(await lint(tarball)), ...(await leaks(tarball)), ...(await resolveTypes(tarball))]
      for (const problem of problems) console.error(`${file}: ${problem}`)
      if (problems.length > 0) process.exitCode = 1
    }
  }
  // attw is a process of its own, so two at a time use two cores.
  await Promise.all([worker(), worker()])
  if (process.exitCode !== 1) console.log(`${tarballs.length} packages are fit to publish`)
} finally {
  await rm(destination, { recursive: true })
}
