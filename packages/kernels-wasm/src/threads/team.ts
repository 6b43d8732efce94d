// The threads that work on one memory. Workers are started when the first plan that has work for them is loaded, and are told
// of every such plan. A step never waits for one to be ready: who is not there yet takes no part, and no bit differs.
//
// Who runs a step must be able to sleep until parts that others have begun are done. The main thread of a page is not: there
// one more worker leads, runs the whole step, and says when it is done; until it is ready, and for runs that cannot be waited
// for, the page's thread works alone.

import type { RunLimits } from "@counterflow/executor"
import { fail } from "@counterflow/ir"
import type { HostMemory, HostModule } from "../host.ts"
import type { FromWorker, ToWorker } from "./script.ts"
import { type HostWorker, maySleep, startWorker } from "./worker.ts"
import { words } from "./words.ts"

const at = (address: number) => address / Int32Array.BYTES_PER_ELEMENT

const abandoned = /* @__PURE__ */ new FinalizationRegistry<Team>((team) => team.close())

interface Waiting {
  readonly resolve: (failed: number) => void
  readonly reject: (error: unknown) => void
}

/** A plan that all threads know. */
export interface TeamPlan {
  /** Whether there is a worker that leads, and it knows the plan. */
  readonly hasLeader: boolean
  /** Before a step that the calling thread runs. */
  prepare(arena: number): void
  /** A step in the worker that leads: what the step answers. */
  lead(arena: number, limits?: RunLimits): Promise<number>
  close(): void
}

export class Team {
  readonly #memory: HostMemory
  readonly #control: Int32Array
  readonly #size: number
  /** Whether the caller's thread cannot take part, and a worker runs steps instead where they are waited for. */
  readonly isLed: boolean
  #helpers: readonly HostWorker[] = []
  #leader: HostWorker | null = null
  /** Plans that the leader can run. */
  readonly #ready = new Set<number>()
  #waiting: Waiting | null = null
  #plans = 0

  /** For `size` threads, the caller's or the leader's among them. */
  constructor(memory: HostMemory, size: number) {
    this.#memory = memory
    this.#control = new Int32Array(memory.buffer)
    this.#size = size
    this.isLed = !maySleep()
  }

  /** Gives the module of a plan to all. */
  load(module: HostModule): TeamPlan {
    if (this.#plans === 0) this.#start()
    const plan = ++this.#plans
    this.#send({ kind: "load", plan, module })
    const ready = this.#ready
    return {
      get hasLeader() {
        return ready.has(plan)
      },
      prepare: (arena) => this.#prepare(plan, arena),
      lead: (arena, limits) => this.#lead(plan, arena, limits),
      close: () => {
        ready.delete(plan)
        this.#send({ kind: "drop", plan })
      },
    }
  }

  /** Closes with the object that it serves, if nobody closes it before. */
  endWith(owner: object): void {
    abandoned.register(owner, this)
  }

  #prepare(plan: number, arena: number): void {
    const control = this.#control
    Atomics.store(control, at(words.plan), plan)
    Atomics.store(control, at(words.arena), arena)
    Atomics.store(control, at(words.hasHelp), this.isLed || this.#helpers.length === 0 ? 0 : 1)
  }

  /** A signal that only this thread sees is passed on through shared memory. */
  async #lead(
    plan: number,
    arena: number,
    { timeBudget = Infinity, signal }: Partial<RunLimits> = {},
  ): Promise<number> {
    const control = this.#control
    Atomics.store(control, at(words.isAborted), 0)
    const [word, own] = signal instanceof Int32Array ? [signal, undefined] : [undefined, signal]
    const abort = () => void Atomics.store(control, at(words.isAborted), 1)
    if (own?.aborted === true) abort()
    own?.addEventListener("abort", abort)
    try {
      return await new Promise((resolve, reject) => {
        this.#waiting = { resolve, reject }
        this.#leader?.post({ kind: "run", plan, arena, timeBudget, word } satisfies ToWorker)
      })
    } finally {
      own?.removeEventListener("abort", abort)
    }
  }

  close(): void {
    for (const worker of this.#all()) worker.close()
    this.#helpers = []
    this.#leader = null
    this.#ready.clear()
    const waiting = this.#waiting
    this.#waiting = null
    if (waiting === null) return
    try {
      fail("CF_CLOSED", "the executor was closed while a step ran", { fix: "await the run first" })
    } catch (error) {
      waiting.reject(error)
    }
  }

  #start(): void {
    if (this.isLed) this.#leader = startWorker((message) => this.#hear(message as FromWorker))
    const helpers = Array.from({ length: this.#size - 1 }, () => startWorker(() => {}))
    this.#helpers = helpers.filter((worker) => worker !== null)
    this.#leader?.post({ kind: "begin", memory: this.#memory, lead: true } satisfies ToWorker)
    this.#tell({ kind: "begin", memory: this.#memory, lead: false })
  }

  #send(message: ToWorker): void {
    this.#leader?.post(message)
    this.#tell(message)
  }

  /** Helpers that wait for work hear no message: they leave for their mail when its count says that there is some. */
  #tell(message: ToWorker): void {
    const control = this.#control
    Atomics.add(control, at(words.mail), 1)
    for (const helper of this.#helpers) helper.post(message)
    Atomics.add(control, at(words.signal), 1)
    Atomics.notify(control, at(words.signal))
  }

  #hear(message: FromWorker): void {
    if (message.kind === "ready") {
      this.#ready.add(message.plan)
      return
    }
    const waiting = this.#waiting
    this.#waiting = null
    if (message.error === undefined) waiting?.resolve(message.failed)
    else waiting?.reject(new Error(message.error))
  }

  #all(): readonly HostWorker[] {
    return this.#leader === null ? this.#helpers : [this.#leader, ...this.#helpers]
  }
}
