// A point in the space of a program's inputs: what is fed and what its state holds, and how to evaluate the program there or
// at a small distance. State that a run changes is put back, so that every evaluation sees the same statistics and draws.

import type { Executor, Feeds, Step, Tensor } from "@counterflow/executor"
import type { Program, Variable } from "@counterflow/ir"
import { type AnyRegistry, registry as ops, resolve } from "@counterflow/ops"
import { type Shift, toFloat64 } from "./float64.ts"

/** A value with its type. */
export interface Value {
  readonly data: ArrayLike<number> | ArrayLike<bigint>
  readonly shape: readonly number[]
  readonly dtype: Tensor["dtype"]
}

/** An executor's scope, or a map from names to values. */
export interface StateSource {
  entries(): Iterable<[string, Value]>
}

export interface PointOptions {
  feed: Feeds
  scope?: StateSource | undefined
  startup?: Program | undefined
  registry?: AnyRegistry | undefined
}

export class Point {
  readonly #executor: Executor
  readonly #program: Program
  readonly #feed: Record<string, Value> = {}
  readonly #states: Map<string, Tensor> = new Map()
  readonly #written: Set<string> = new Set()

  private constructor(executor: Executor, program: Program) {
    this.#executor = executor
    this.#program = program
  }

  /** `shifts` are 0 at this point. */
  static async at(
    executor: Executor,
    program: Program,
    options: PointOptions,
    shifts: readonly Shift[],
  ): Promise<Point> {
    const { feed, scope, startup, registry } = options
    const point = new Point(executor, program)
    if (startup !== undefined)
      await executor.run(toFloat64(startup.isResolved ? startup : resolve(startup, registry ?? ops)))
    for (const [name, value] of scope?.entries() ?? []) {
      if (program.globalBlock().vars.get(name)?.persistable === true) executor.scope.set(name, wide(value))
    }
    await point.#read(feed)
    for (const { base, by } of shifts) {
      // Shapes of what is computed are known only after a run.
      const [value] = await point.run([base])
      if (value !== undefined)
        point.#feed[by.name] = { data: new Float64Array(value.data.length), shape: value.shape, dtype: "float64" }
    }
    return point
  }

  /** Feeds in all their forms become values with shape and dtype: a program answers what it was fed. */
  async #read(feed: Feeds): Promise<void> {
    const data = Object.keys(feed).filter((name) => this.#program.globalBlock().vars.get(name)?.isData === true)
    const own = Object.fromEntries(Object.entries(feed).filter(([name]) => data.includes(name)))
    const values = await this.#executor.run(this.#program, { feed: own, fetch: data })
    data.forEach((name, index) => {
      const value = values[index]
      if (value !== undefined) this.#feed[name] = value
    })
  }

  /** The value here of an input that can be varied: a data or state variable. */
  valueOf({ name, isData }: Variable): Value | undefined {
    return isData ? this.#feed[name] : this.#states.get(name)
  }

  /** A new data variable shaped like `output`, of which `like` is a value, fed with `weights`. It can be varied as well. */
  addCotangent(output: Variable, like: Tensor, weights: Float64Array): Variable {
    const program = this.#program
    const name = program.uniqueName(`${output.name}@COTANGENT`)
    const { shape, dtype } = output
    this.#feed[name] = { data: weights, shape: like.shape, dtype: "float64" }
    return program.globalBlock().createVar({ name, shape, dtype, isData: true, stopGradient: false })
  }

  /** The program as it is now, for the shapes of this point. */
  async compile(fetch: readonly Variable[]): Promise<Step> {
    const step = await this.#executor.compile(this.#program, { feed: this.#feed, fetch })
    const nameOf = (id: number) => step.plan.vars[id]?.name ?? ""
    for (const name of step.plan.states.map(nameOf)) {
      if (!this.#states.has(name) && this.#executor.scope.has(name))
        this.#states.set(name, this.#executor.scope.get(name))
    }
    for (const name of step.plan.writes.map(nameOf)) this.#written.add(name)
    return step
  }

  async run(fetch: readonly Variable[]): Promise<Tensor[]> {
    const step = await this.compile(fetch)
    try {
      return await step.run(this.#feedOf(step))
    } finally {
      this.#restore()
      step.close()
    }
  }

  /** Evaluates while `variable` has `data` for its value. */
  async evaluate(step: Step, variable: Variable, data: Float64Array): Promise<Tensor[]> {
    const here = this.valueOf(variable)
    const { name, isData } = variable
    const place = (value: Value) => {
      if (isData) this.#feed[name] = value
      else this.#executor.scope.set(name, value)
    }
    if (here === undefined) return step.run(this.#feedOf(step))
    try {
      place({ ...here, data })
      return await step.run(this.#feedOf(step))
    } finally {
      this.#restore()
      place(here)
    }
  }

  /** Without the cotangents that came after the step was compiled. */
  #feedOf({ plan }: Step): Feeds {
    const known = new Set(plan.vars.flatMap(({ name, kind }) => (kind === "data" ? [name] : [])))
    return Object.fromEntries(Object.entries(this.#feed).filter(([name]) => known.has(name)))
  }

  #restore(): void {
    for (const name of this.#written) {
      const value = this.#states.get(name)
      if (value !== undefined) this.#executor.scope.set(name, value)
    }
  }
}

function wide({ data, shape, dtype }: Value): Value {
  return dtype === "float32"
    ? { data: Float64Array.from(data as ArrayLike<number>), shape, dtype: "float64" }
    : { data, shape, dtype }
}
