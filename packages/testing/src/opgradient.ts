// What an op's samples say about its gradient: it is right at order 1 and 2, or it is refused for the reason declared.

import { gradients } from "@counterflow/autodiff"
import { isCounterflowError, isFloat } from "@counterflow/ir"
import type { Description, Op } from "@counterflow/ops"
import { check } from "./case.ts"
import { gradCheckOn } from "./gradcheck.ts"
import { isDifferentiable, labelOf, type OpBench } from "./opforward.ts"
import { programOf } from "./sample.ts"

/** Orders 1 and 2, for every float input that may have a gradient, with random cotangents for all float outputs. */
export async function checkGradients(description: Description, { runner, tally }: OpBench): Promise<void> {
  const { op } = description
  for (const [index, sample] of description.samples.entries()) {
    const built = programOf(op, sample, runner.prefix())
    if (!isDifferentiable(built)) continue
    const report = await gradCheckOn(runner.executor, built.program, {
      targets: built.outputs.filter(({ dtype }) => isFloat(dtype)),
      wrt: built.differentiable,
      feed: built.feed,
      scope: built.states,
      order: 2,
      seed: index + 1,
    })
    check(report.ok, () => `${labelOf(description, sample, index)}\n${report.toString()}`)
    tally.add("(op, input, order) gradient checks", report.checks.length)
  }
}

/** The reason why an op has no gradient, if it says so. */
export function refusalOf({ gradient }: Op): string | null {
  return typeof gradient === "object" && gradient.answer !== "byDecomposition" ? gradient.why : null
}

/** Asking for a gradient that the op declares not to have fails with its reason, or finds no path where outputs are integers. */
export async function checkRefusal(description: Description, { runner, tally }: OpBench): Promise<void> {
  const { op } = description
  const why = refusalOf(op)
  if (why === null) return
  for (const [index, sample] of description.samples.entries()) {
    const { differentiable, outputs } = programOf(op, sample, runner.prefix())
    const targets = outputs.filter(({ dtype }) => isFloat(dtype))
    if (differentiable.length === 0 || targets.length === 0) continue
    const label = labelOf(description, sample, index)
    let refused: unknown = null
    try {
      gradients(targets, differentiable)
    } catch (error) {
      refused = error
    }
    check(
      isCounterflowError(refused) &&
        refused.code === "CF_NO_GRADIENT" &&
        refused.message.includes(why) &&
        refused.op === op.name,
      () => `${label}: its gradient must be refused with CF_NO_GRADIENT and "${why}", got ${String(refused)}`,
    )
    tally.add("gradients refused")
  }
}
