// Call sites: the user's line that built a variable or operator. Captured always, formatted only when an error needs it.
//
// A public function marks itself with `site(fn, body)`: the engine drops every frame above and including `fn`, so the top
// frame left is the caller's, also in a bundle where file names say nothing. Only the outermost mark counts: the `mul`
// inside `fc` was built where the user called `fc`.

import { isCounterflowError } from "./errors.ts"

type AnyFunction = (...args: never[]) => unknown

interface StackHolder {
  stack?: string
}

// Not every engine has these, whatever the type library says.
interface TraceHost {
  captureStackTrace?: (holder: StackHolder, above?: AnyFunction) => void
  stackTraceLimit?: number
}

export class Site {
  readonly #holder: StackHolder
  readonly #hasOwnFrames: boolean

  constructor(holder: StackHolder, hasOwnFrames: boolean) {
    this.#holder = holder
    this.#hasOwnFrames = hasOwnFrames
  }

  /** "train.ts:18:12", relative to the working directory where there is one; "an unknown place" if the host tells nothing. */
  toString(): string {
    const lines = (this.#holder.stack ?? "").split("\n").filter((line) => frame.test(line))
    const own = this.#hasOwnFrames ? lines.findIndex((line) => !ownFrame.test(line)) : 0
    const line = lines[Math.max(own, 0)]
    const place = line === undefined ? undefined : frame.exec(line)?.[1]
    return place === undefined ? "an unknown place" : relative(place)
  }
}

// "    at fn (file:///a/b.ts:1:2)", "    at /a/b.ts:1:2" (V8) and "fn@http://host/a.js:1:2" (others)
const frame = /(?:\(|@|at (?:async )?)((?:[a-z]+:\/\/|\/|[A-Za-z]:\\|node:)?[^\s()@]+:\d+:\d+)\)?$/
const ownFrame = /@?counterflow\/[a-z-]+\/(?:dist|src)\//

let current: Site | null = null

/** The site that operators built right now belong to, captured below `above` when no public function marked one. */
export function currentSite(above: AnyFunction): Site {
  return current ?? capture(above)
}

/** What to do when the outermost public function is left, by the program it concerns. */
type Ending = (failed: boolean) => void
let endings: Map<object, Ending> | null = null

/**
 * Runs `body` with the caller of `fn` as call site, unless an outer function has marked one already. When the outermost one
 * throws, the programs it changed are as before and the error names the caller's line.
 */
export function site<T>(fn: AnyFunction, body: () => T): T {
  if (current !== null) return body()
  const at = capture(fn)
  const opened = new Map<object, Ending>()
  endings = opened
  try {
    const result = withSite(at, body)
    endings = null
    for (const end of opened.values()) end(false)
    return result
  } catch (error) {
    endings = null
    for (const end of [...opened.values()].reverse()) end(true)
    throw isCounterflowError(error) && error.where === undefined ? error.with({ where: `called at ${at}` }) : error
  }
}

/** Opens something that the outermost public function running now will end, once per key; nothing outside of one. */
export function openUntilReturn(key: object, open: () => Ending): void {
  if (endings !== null && !endings.has(key)) endings.set(key, open())
}

/** Runs `body` with a given site: a gradient rule builds its operators where the forward one was built. */
export function withSite<T>(at: Site, body: () => T): T {
  const outer = current
  current = at
  try {
    return body()
  } finally {
    current = outer
  }
}

export const unknownSite: Site = new Site({}, false)

// Four frames are enough: the first is the one that counts, and a short trace costs about 2 µs to capture.
const framesKept = 4

function capture(above: AnyFunction): Site {
  const host: TraceHost = Error as ErrorConstructor & TraceHost
  if (host.captureStackTrace === undefined) return new Site(new Error("call site"), true)
  const limit = host.stackTraceLimit
  host.stackTraceLimit = framesKept
  const holder: StackHolder = {}
  host.captureStackTrace(holder, above)
  if (limit !== undefined) host.stackTraceLimit = limit
  return new Site(holder, false)
}

function relative(place: string): string {
  const host = globalThis as typeof globalThis & { process?: { cwd?(): string } }
  const path = place.startsWith("file://") ? decodeURI(place.slice("file://".length)) : place
  const root = host.process?.cwd?.()
  return root !== undefined && path.startsWith(`${root}/`) ? path.slice(root.length + 1) : path
}
