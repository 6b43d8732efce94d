// Everything by which several threads work on a step, as one value: who runs steps on one thread need not load it.

import type { HostMemory } from "../host.ts"
import { emitFork } from "./fork.ts"
import { Team } from "./team.ts"
import { canShare, cores } from "./worker.ts"

export interface Threading {
  canShare(): boolean
  cores(): number
  readonly emitFork: typeof emitFork
  /** For so many threads, the caller's among them. */
  openTeam(memory: HostMemory, threads: number): Team
}

/** A member of `families`: what `wasmOf` needs for the option `threads`. */
export interface ThreadFamily {
  readonly threading: Threading
}

export const threads: ThreadFamily = {
  threading: { canShare, cores, emitFork, openTeam: (memory, size) => new Team(memory, size) },
}
