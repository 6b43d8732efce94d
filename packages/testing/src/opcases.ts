// Tests derived from descriptions: nothing here names an op, so what is added tomorrow is tested tomorrow.

import type { Backend } from "@counterflow/executor"
import { cpu } from "@counterflow/kernels-cpu"
import { type AnyRegistry, type Description, extend, registry as ops } from "@counterflow/ops"
import type { Case } from "./case.ts"
import { checkForward, checkRoundTrip, checkSymbolic, type OpBench } from "./opforward.ts"
import { checkGradients, checkRefusal, refusalOf } from "./opgradient.ts"
import { checkErrors, checkRecords } from "./oprecord.ts"
import { Runner } from "./runner.ts"
import { type Suite, Tally } from "./suite.ts"

export interface OpCasesOptions {
  /** Ops that must all be described; those of the descriptions unless said. */
  registry?: AnyRegistry
  /** kernels-cpu unless said. Ops from outside need its kernels. */
  backend?: Backend
}

/** Every check that follows from the records of these ops and their samples. */
export function opCases(descriptions: readonly Description[], options: OpCasesOptions = {}): Suite {
  const own = Object.fromEntries(descriptions.map(({ op }) => [op.name, op]))
  const { registry = own, backend = cpu() } = options
  const runner = new Runner(backend)
  const expanding = backend.keeps.length === 0 ? null : new Runner(backend, { expands: true })
  const outside = Object.fromEntries(Object.entries(own).filter(([name]) => !Object.hasOwn(ops, name)))
  const tally = new Tally()
  const bench: OpBench = { runner, expanding, registry: extend(ops as AnyRegistry, outside), tally }
  const derived = (
    name: string,
    run: (description: Description, bench: OpBench) => Promise<void>,
    which = descriptions,
  ): Case[] =>
    which.map((description) => ({ name: `${description.op.name}: ${name}`, run: () => run(description, bench) }))

  return {
    cases: [
      { name: "every op is described", run: async () => checkRecords(descriptions, registry) },
      ...derived("values", checkForward),
      ...derived(
        "gradients",
        checkGradients,
        descriptions.filter(({ op }) => refusalOf(op) === null),
      ),
      ...derived(
        "refused gradients",
        checkRefusal,
        descriptions.filter(({ op }) => refusalOf(op) !== null),
      ),
      ...derived(
        "errors",
        checkErrors,
        descriptions.filter(({ errorSamples }) => errorSamples.length > 0),
      ),
      ...derived("unknown sizes", checkSymbolic),
      ...derived("files", checkRoundTrip),
    ],
    close: () => {
      runner.close()
      expanding?.close()
    },
    summary: () => `${descriptions.length} ops on ${backend.name}: ${tally.toString()}`,
  }
}
