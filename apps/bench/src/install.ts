// The peers' packages: several hundred megabytes, so they are installed only when somebody measures.

import { spawnSync } from "node:child_process"
import { existsSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"

/** Installs what the lockfile says, unless that is what is there; answers what went wrong, or null. */
export function installPackages(folder: string): string | null {
  const lock = readFileSync(join(folder, "package-lock.json"), "utf8")
  const mark = join(folder, "node_modules", ".installed-from.json")
  if (existsSync(mark) && readFileSync(mark, "utf8") === lock) return null
  const { status, error, stderr } = spawnSync("npm", ["ci"], {
    cwd: folder,
    encoding: "utf8",
    stdio: ["ignore", "ignore", "pipe"],
    // npm is a script on Windows.
    shell: process.platform === "win32",
  })
  if (status !== 0) return error?.message ?? (stderr.trim().split("\n")[0] || `npm ci ended with ${status}`)
  writeFileSync(mark, lock)
  return null
}
