// The harness's end of a peer's process: asks, waits, and says in the process's own words what went wrong.

import { type ChildProcessByStdio, spawn } from "node:child_process"
import { createInterface } from "node:readline"
import type { Readable, Writable } from "node:stream"
import type { Failure, Reply, Request } from "./protocol.ts"

/** How a process is started. */
export interface Command {
  readonly program: string
  readonly args: readonly string[]
  readonly env?: Readonly<Record<string, string>>
}

/** Somebody who answers requests: a process, or in tests an object. */
export interface Runner {
  ask<R extends Request>(request: R, limit?: number): Promise<Reply<R["op"]>>
  end(): void
}

const defaultLimit = 120_000
const keptWords = 8192

/** Starts a process that speaks the protocol. */
export function startProcess({ program, args, env }: Command): Runner {
  const child = spawn(program, args, { env: { ...process.env, ...env }, stdio: ["pipe", "pipe", "pipe"] })
  const pending = new Pending(child)
  return {
    ask: (request, limit = defaultLimit) => pending.ask(request, limit),
    end: () => {
      child.kill("SIGKILL")
    },
  }
}

type Child = ChildProcessByStdio<Writable, Readable, Readable>

/** The one request that may be open, and what the process wrote to standard error. */
class Pending {
  readonly #child: Child
  #settle: ((reply: object) => void) | null = null
  #words = ""
  #ended: Failure | null = null

  constructor(child: Child) {
    this.#child = child
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      this.#words = (this.#words + text).slice(-keptWords)
    })
    createInterface({ input: child.stdout }).on("line", (line) => {
      if (line.startsWith("@")) this.#settle?.(JSON.parse(line.slice(1)) as object)
    })
    // A process that is gone takes no requests; its end is what is reported.
    child.stdin.on("error", () => undefined)
    child.on("error", (error) => this.#end(error.message))
    child.on("close", (code, signal) => this.#end(lastWords(this.#words) ?? `ended with ${signal ?? code}`))
  }

  ask<R extends Request>(request: R, limit: number): Promise<Reply<R["op"]>> {
    if (this.#ended !== null) return Promise.resolve(this.#ended)
    return new Promise((resolve) => {
      const timer = setTimeout(() => {
        this.#end(`took over ${limit / 1000} s`)
        this.#child.kill("SIGKILL")
      }, limit)
      this.#settle = (reply) => {
        clearTimeout(timer)
        this.#settle = null
        resolve(reply as Reply<R["op"]>)
      }
      this.#child.stdin.write(`${JSON.stringify(request)}\n`)
    })
  }

  #end(failure: string): void {
    this.#ended ??= { failure }
    this.#settle?.(this.#ended)
  }
}

/** The line that says what went wrong: the last that names an error, else the last. */
export function lastWords(text: string): string | null {
  const lines = text
    .split("\n")
    .map((line) => line.trim())
    .filter((line) => line !== "")
  return lines.findLast((line) => /\w*(Error|Exception)\b.*:/.test(line)) ?? lines.at(-1) ?? null
}
