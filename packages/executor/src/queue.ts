// The order of runs: those that are waited for are served one after the other, and nothing runs at once while they are.

import { fail } from "@counterflow/ir"

export interface RunQueueOptions {
  /** The name of the backend. */
  readonly backend: string
  readonly canRunSync: boolean
  /** What `CF_CLOSED` says after `close`. */
  readonly closed: { readonly why: string; readonly fix: string }
  /** Milliseconds for the loops of runs that say nothing themselves. */
  readonly timeBudget?: number | undefined
}

/** What a step needs of its owner: order and life time. */
export class RunQueue {
  readonly #options: RunQueueOptions
  #last: Promise<unknown> = Promise.resolve()
  #waiting = 0
  #isClosed = false

  constructor(options: RunQueueOptions) {
    this.#options = options
  }

  get isClosed(): boolean {
    return this.#isClosed
  }

  get timeBudget(): number | undefined {
    return this.#options.timeBudget
  }

  /** Throws unless a run may begin and end right now. */
  requireIdle(): void {
    this.requireOpen()
    const { backend, canRunSync } = this.#options
    if (!canRunSync) {
      fail("CF_ASYNC_ONLY", `the backend ${backend} cannot run synchronously`, { op: "runSync", fix: "await run(…)" })
    }
    if (this.#waiting > 0) {
      fail("CF_BUSY", `${this.#waiting} asynchronous runs are queued`, {
        op: "runSync",
        fix: "await them first, or use run",
      })
    }
  }

  requireOpen(): void {
    const { why, fix } = this.#options.closed
    if (this.#isClosed) fail("CF_CLOSED", why, { fix })
  }

  enqueue<T>(job: () => T | Promise<T>): Promise<T> {
    this.#waiting++
    const result = this.#last.then(() => {
      this.requireOpen()
      return job()
    })
    const leave = () => {
      this.#waiting--
    }
    // The queue goes on whatever becomes of one run; its caller hears of it through `result`.
    this.#last = result.then(leave, leave)
    return result
  }

  close(): void {
    this.#isClosed = true
  }
}
