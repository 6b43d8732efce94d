// Values of a program on the reference backend; the fast one must agree.

import { type Backend, Executor } from "@counterflow/executor"
import type { Program, Variable } from "@counterflow/ir"
import { cpu } from "@counterflow/kernels-cpu"
import { wasm } from "@counterflow/kernels-wasm"
import { legalize } from "@counterflow/ops"
import { expect } from "vitest"

export type Feed = Readonly<Record<string, number | readonly number[]>>

/** What is fetched, in the first step after the startup program. */
export function run(
  program: Program,
  feed: Feed,
  fetch: readonly (Variable | string)[],
  startup?: Program,
): number[][] {
  const values = runOn(cpu(), program, feed, fetch, startup)
  const others = runOn(wasm(), program, feed, fetch, startup)
  const largest = Math.max(1, ...values.flat().map(Math.abs).filter(Number.isFinite))
  values.forEach((list, i) => {
    expect(others[i]?.length).toBe(list.length)
    list.forEach((value, j) => expect(others[i]![j]! / largest).toBeCloseTo(value / largest, 5))
  })
  return values
}

export function runOn(
  backend: Backend,
  program: Program,
  feed: Feed,
  fetch: readonly (Variable | string)[],
  startup?: Program,
): number[][] {
  const executor = new Executor(backend, { legalize })
  if (startup !== undefined) executor.runSync(startup, {})
  const given = Object.fromEntries(
    Object.entries(feed).map(([name, value]) => [name, typeof value === "number" ? value : [...value]]),
  )
  const values = executor.runSync(program, { feed: given, fetch }).map(({ data }) => Array.from(data, Number))
  executor.close()
  return values
}
