// Registries: plain objects from op name to record, derived from the families. A value to pass on, never a global to mutate.

import { fail } from "@counterflow/ir"
import type { Op, OpKind } from "./define.ts"
import { type Description, isDescription } from "./describe.ts"
import * as families from "./families.ts"

type Families = typeof families

type RecordOf<T> = T extends Op<string, infer _I, infer _O, infer _A, OpKind> ? T : never

const exported: readonly unknown[] = /*#__PURE__*/ Object.values(families)

/** Name → record of every op of this package, as types: backends derive their kernel tables from it. */
export type Registry = {
  readonly [K in keyof Families as Families[K] extends Op ? RecordOf<Families[K]>["name"] : never]: RecordOf<
    Families[K]
  >
}

export type AnyRegistry = Readonly<Record<string, Op>>

/** Every op of this package by name. Importing it pulls in all of them: for files, docs and tests, not for building programs. */
export const registry: Registry = /*#__PURE__*/ collect()

function collect(): Registry {
  const ops = exported.filter(
    (value): value is Op => typeof value === "object" && value !== null && "inferTypes" in value,
  )
  return Object.fromEntries(ops.map((op) => [op.name, op])) as object as Registry
}

/** A new registry with more ops. Outside ops are named `vendor.name`; a name that is taken is refused. */
export function extend<R extends AnyRegistry, M extends AnyRegistry>(base: R, more: M): R & M {
  for (const op of Object.values(more)) {
    if (Object.hasOwn(base, op.name))
      fail("CF_BAD_ARGUMENT", `the registry has an op "${op.name}" already`, { op: "extend" })
  }
  const byName = Object.fromEntries(Object.values(more).map((op) => [op.name, op]))
  return { ...base, ...byName } as R & M
}

/** Documentation and samples of every op, in order of definition. */
export const catalogue: readonly Description[] = /*#__PURE__*/ exported.filter(isDescription)
