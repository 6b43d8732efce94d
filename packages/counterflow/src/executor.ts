// The Executor with its defaults: legalize injected, the best backend of the host.

import { type Backend, Executor as Driver, type ExecutorOptions as DriverOptions } from "@counterflow/executor"
import { cpu } from "@counterflow/kernels-cpu"
import { legalize } from "@counterflow/ops"

export type ExecutorOptions = Partial<DriverOptions>

/**
 * Runs programs; without a backend on the best one the host has. A program read from a file needs the records of its ops:
 * `new Executor(cpu(), { registry })`, or `resolve(program, registry)` before.
 */
export class Executor extends Driver {
  constructor(backend: Backend = cpu(), options: ExecutorOptions = {}) {
    super(backend, { legalize, ...options })
  }
}
