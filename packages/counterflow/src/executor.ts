// The Executor with its defaults: legalize and advice on memory injected, the fast backend.

import { recomputeSavings } from "@counterflow/autodiff"
import {
  type Backend,
  Executor as Driver,
  type ExecutorOptions as DriverOptions,
  waysDown,
} from "@counterflow/executor"
import { wasm } from "@counterflow/kernels-wasm"
import { legalize } from "@counterflow/ops"

export type ExecutorOptions = Partial<DriverOptions>

/**
 * Runs programs; without a backend on `wasm()`. A host that does not compile WebAssembly, or knows no vector instructions, is
 * refused at once (CF_HOST_UNFIT): `new Executor(cpu())` runs everywhere. A program read from a file needs the records of its
 * ops: `new Executor(wasm(), { registry })`, or `resolve(program, registry)` before.
 */
export class Executor extends Driver {
  constructor(backend: Backend = wasm(), options: ExecutorOptions = {}) {
    super(backend, { legalize, waysDown, advise: recomputeSavings, ...options })
  }
}
