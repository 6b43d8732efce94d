// The words of shared memory through which threads work together, by address. Those that are written in turn lie far enough
// apart that no two share a cache line.

export const words = {
  /** 64 bits: which part of which stage is next, and of how many; see fork.ts. */
  work: 128,
  /** Parts of the stage that are finished. */
  done: 256,
  /** Rises with every stage and every message: what idle threads wait for. */
  signal: 384,
  /** Threads that wait for it, or are about to. */
  sleepers: 388,
  /** The plan whose step runs. */
  plan: 512,
  /** Where its arena begins. */
  arena: 516,
  /** Whether others may take parts. */
  hasHelp: 520,
  /** Whether a thread has failed where none can. */
  isBroken: 524,
  /** Whether whoever waits for the step wants it no more. */
  isAborted: 528,
  /** Messages sent to each thread since the start. */
  mail: 532,
} as const

/** No tensor lies below this address of a shared memory. */
export const sharedControlBytes = 640
