// The machine that the figures are from, and how much of it others used meanwhile.

import { arch, cpus, platform, release, totalmem } from "node:os"

export interface Machine {
  readonly processor: string
  readonly cores: number
  readonly memoryBytes: number
  readonly system: string
  readonly node: string
}

export function machine(): Machine {
  const cores = cpus()
  return {
    processor: cores[0]?.model.trim() ?? "unknown",
    cores: cores.length,
    memoryBytes: totalmem(),
    system: `${platform()} ${release()} ${arch()}`,
    node: process.version,
  }
}

/** Milliseconds all cores together have been at work since the machine started. */
export function busyMilliseconds(): number {
  return cpus().reduce((total, { times }) => total + times.user + times.nice + times.sys + times.irq, 0)
}

export function coreCount(): number {
  return cpus().length
}
