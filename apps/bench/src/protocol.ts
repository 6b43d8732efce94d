// What the harness and a peer's process say to each other, one JSON text a line; and what a peer's module must offer. The
// process's lines begin with "@", since libraries write to standard output as well.

import type { Source } from "./data.ts"

export type Request =
  | { readonly op: "start" }
  | { readonly op: "setUp"; readonly workload: string }
  | { readonly op: "run"; readonly steps: number }
  | { readonly op: "memory" }

export interface Replies {
  /** The library with its version. */
  start: { readonly version: string }
  /** Ready to run, and what the results come to. */
  setUp: { readonly check: number | null; readonly note: string | null; readonly peakBytes?: number }
  /** Time on the clock and on all processors. */
  run: { readonly milliseconds: number; readonly processorMilliseconds: number }
  /** Resident memory. */
  memory: { readonly bytes: number }
}

export type Failure = { readonly failure: string }
export type Reply<Op extends Request["op"]> = Replies[Op] | Failure

export function isFailure(reply: object): reply is Failure {
  return "failure" in reply
}

/** A workload, ready to run. */
export interface Job<Check extends number | null = number> {
  /** One step; what it computes has been computed when it returns, or when its promise resolves. */
  readonly step: () => unknown
  /** From the first steps, which are not timed: see the workload. null if nothing is computed that could be compared. */
  readonly check: Check
  /** What a reader should know of how it is done. */
  readonly note?: string
  /** The most bytes of values at one time, as planned. */
  readonly peakBytes?: number
}

/** What a peer's module makes when it starts. */
export interface Peer {
  readonly version: string
  readonly workloads: Readonly<Record<string, () => Job<number | null> | Promise<Job<number | null>>>>
  /** Why a workload, or a group of them, is missing. */
  readonly cannot?: Readonly<Record<string, string>>
}

/** What every peer is given, so that all have the same data and the same check. */
export interface Given {
  readonly load: Source
  readonly probe: (values: ArrayLike<number>) => number
  readonly oneHot: (labels: ArrayLike<number>, classes: number) => Float32Array
}

/** The default export of a peer's module. */
export type StartPeer = (variant: string, given: Given) => Peer | Promise<Peer>
