// Where things are: this code runs from dist, or from src in tests.

import { fileURLToPath } from "node:url"

const at = (path: string) => fileURLToPath(new URL(path, import.meta.url))

/** The peers, with packages of their own. */
export const peersFolder: string = at("../peers")
/** Data, bundles and the last results; nothing in it is kept in version control. */
export const buildFolder: string = at("../build")
/** The page that a whole run writes. */
export const pageFile: string = at("../../../docs/benchmarks.md")

/** A module of this app beside this one. */
export function ownModule(name: string): string {
  return at(`./${name}${import.meta.url.endsWith(".ts") ? ".ts" : ".js"}`)
}
