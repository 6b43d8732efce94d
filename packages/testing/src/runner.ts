// One executor for many small programs: state gets names of its own for each, and values before each run.

import { type Backend, Executor, type Tensor } from "@counterflow/executor"
import type { Program, Variable } from "@counterflow/ir"
import { legalize } from "@counterflow/ops"
import type { Value } from "./point.ts"
import { type SampleOptions } from "./sample.ts"

export interface Runnable {
  readonly program: Program
  readonly feed: Readonly<Record<string, Value>>
  readonly states: ReadonlyMap<string, Value>
}

export class Runner {
  readonly executor: Executor
  #programs = 0

  /** `expands`: composites are expanded even if the backend could keep them. */
  constructor(backend: Backend, options: { expands?: boolean } = {}) {
    const expanding: typeof legalize = (program, { fetches }) => legalize(program, { fetches, keep: new Set() })
    this.executor = new Executor(backend, { legalize: options.expands === true ? expanding : legalize, maxPlans: 2 })
  }

  /** For a program's state. */
  prefix(): Required<Pick<SampleOptions, "prefix">> {
    return { prefix: `p${this.#programs++}_` }
  }

  async run({ program, feed, states }: Runnable, fetch: readonly (Variable | string)[]): Promise<Tensor[]> {
    for (const [name, value] of states) this.executor.scope.set(name, value)
    return this.executor.run(program, { feed, fetch })
  }

  close(): void {
    this.executor.close()
  }
}
