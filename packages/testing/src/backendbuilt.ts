// What the programs of the conformance suite are built and looked at with.

import { type Backend, Executor } from "@counterflow/executor"
import { type DType, Program, programGuard, type Variable } from "@counterflow/ir"
import { legalize } from "@counterflow/ops"
import { check } from "./case.ts"

export function built<T extends object>(
  body: (main: Program, startup: Program) => T,
): T & { main: Program; startup: Program } {
  const [main, startup] = [new Program(), new Program()]
  return { ...programGuard(main, startup, () => body(main, startup)), main, startup }
}

export async function on<T>(backend: Backend, body: (executor: Executor) => Promise<T>): Promise<T> {
  const executor = new Executor(backend, { legalize })
  try {
    return await body(executor)
  } finally {
    executor.close()
  }
}

export function state(
  main: Program,
  name: string,
  shape: readonly number[],
  initialValue: number,
  dtype: DType = "float32",
): Variable {
  return main.globalBlock().createVar({ name, shape, dtype, persistable: true, initialValue })
}

export function numbers(values: { data: ArrayLike<number | bigint> } | undefined): number[] {
  const { data: list = [] } = values ?? {}
  return Array.from({ length: list.length }, (_, i) => Number(list[i]))
}

export function expectNumbers(
  got: { data: ArrayLike<number | bigint> } | undefined,
  expected: readonly number[],
  what: string,
): void {
  const found = numbers(got)
  check(
    found.length === expected.length && found.every((value, i) => value === expected[i]),
    () => `${what}: got ${found.join(", ")}, expected ${expected.join(", ")}`,
  )
}
