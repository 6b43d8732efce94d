// What must be there before an op counts as described, and that it refuses what it says it refuses.

import { isCounterflowError } from "@counterflow/ir"
import type { AnyRegistry, Description } from "@counterflow/ops"
import { check } from "./case.ts"
import type { OpBench } from "./opforward.ts"
import { programOf } from "./sample.ts"

/** Every op of a registry is described, once; every description says what its op does, how, and by whom. */
export function checkRecords(descriptions: readonly Description[], registry: AnyRegistry): void {
  const described = new Set(descriptions.map(({ op }) => op.name))
  const missing = Object.keys(registry).filter((name) => !described.has(name))
  check(missing.length === 0, () => `ops without description: ${missing.join(", ")}`)
  check(described.size === descriptions.length, () => "an op is described twice")
  for (const { op, summary, formula, source, samples } of descriptions) {
    check(registry[op.name] === op, () => `${op.name}: the registry holds another record under this name`)
    check(summary.endsWith("."), () => `${op.name}: its summary must be a sentence, got "${summary}"`)
    check(formula.trim() !== "" && source.trim() !== "", () => `${op.name}: formula and source must be given`)
    check(samples.length > 0, () => `${op.name}: there must be at least one sample`)
  }
}

/** Every error sample fails with its code and text, and says which op refused it. */
export async function checkErrors({ op, errorSamples }: Description, { runner, tally }: OpBench): Promise<void> {
  for (const [index, sample] of errorSamples.entries()) {
    let refused: unknown = null
    try {
      programOf(op, sample, runner.prefix())
    } catch (error) {
      refused = error
    }
    check(
      isCounterflowError(refused) &&
        refused.code === sample.code &&
        sample.text.test(refused.message) &&
        refused.op === op.name,
      () =>
        `${op.name}, error sample ${index} must fail with ${sample.code} and ${String(sample.text)}, got ${String(refused)}`,
    )
    tally.add("error samples refused")
  }
}
