// The conformance suite of backends: every sample of every op, and programs that need more than one op to go wrong, against
// kernels-cpu in float64. Integers, draws and what only moves elements must agree bit for bit.

import type { Backend } from "@counterflow/executor"
import { fail, isFloat, nearest } from "@counterflow/ir"
import { cpu } from "@counterflow/kernels-cpu"
import { catalogue, type Description, type Registry } from "@counterflow/ops"
import { backendPrograms } from "./backendprograms.ts"
import { type Case, check, checkClose, checkEqual } from "./case.ts"
import { inFloat64, labelOf } from "./opforward.ts"
import { Runner } from "./runner.ts"
import { programOf } from "./sample.ts"
import { type Suite, Tally } from "./suite.ts"

/** An op that a backend does not run, or not well enough, and why. It is printed with the results. */
export interface Skip<Name extends string = keyof Registry> {
  readonly op: Name
  readonly why: string
}

export interface BackendCasesOptions<Name extends string = keyof Registry> {
  /** Accept at least this relative error in float32, for backends that say so. */
  tolerance?: number
  skip?: readonly Skip<Name>[]
  /** Run float64 copies of the float32 samples as well: true unless said. */
  float64?: boolean
  /** What is to be run; every op of counterflow unless said. */
  descriptions?: readonly Description[]
  /** What to compare with; kernels-cpu unless said. Ops from outside need its kernels. */
  reference?: () => Backend
}

/** Relative error allowed in float64: sums may be ordered differently. */
const exactEnough = 1e-11

/** All that a backend must pass. Each case makes its own backend or shares one of a kind. */
export function backendCases<Name extends string = keyof Registry>(
  makeBackend: () => Backend,
  options: BackendCasesOptions<Name> = {},
): Suite {
  const { tolerance = 0, skip = [], descriptions = catalogue, float64 = true, reference: makeReference = cpu } = options
  refuseUnknownSkips(skip, descriptions)
  const skipped = new Set<string>(skip.map(({ op }) => op))
  const tally = new Tally()
  const [reference, tested] = [new Runner(makeReference()), new Runner(makeBackend())]
  const run = descriptions.filter(({ op }) => !skipped.has(op.name))
  const cases = run.map((description): Case => {
    return {
      name: description.op.name,
      run: () => checkOp(description, { reference, tested, tally, tolerance, float64 }),
    }
  })
  const programs = backendPrograms(makeBackend).map(({ name, run: runProgram }): Case => {
    return { name: `program: ${name}`, run: () => runProgram().then(() => tally.add("programs")) }
  })
  const left = skip.map(({ op, why }) => `${op} (${why})`)
  return {
    cases: [...cases, ...programs],
    close: () => {
      reference.close()
      tested.close()
    },
    summary: () => {
      const skips = left.length === 0 ? "" : `; skipped: ${left.join(", ")}`
      return `${run.length} ops on ${tested.executor.backend}: ${tally.toString()}${skips}`
    },
  }
}

function refuseUnknownSkips(skip: readonly Skip<string>[], descriptions: readonly Description[]): void {
  const known = new Set(descriptions.map(({ op }) => op.name))
  for (const { op, why } of skip) {
    if (why.trim() === "") fail("CF_BAD_ARGUMENT", `the skip of ${op} gives no reason`, { op: "backendCases" })
    if (known.has(op)) continue
    const suggestion = nearest(op, known)
    fail("CF_UNKNOWN_NAME", `there is no op "${op}" to skip`, {
      op: "backendCases",
      fix: suggestion === undefined ? "name an op that is run" : `did you mean "${suggestion}"?`,
    })
  }
}

interface Comparison {
  readonly reference: Runner
  readonly tested: Runner
  readonly tally: Tally
  readonly tolerance: number
  readonly float64: boolean
}

async function checkOp(
  description: Description,
  { reference, tested, tally, tolerance, float64 }: Comparison,
): Promise<void> {
  const { op } = description
  const isDraw = op.facts.kind === "random"
  for (const [index, sample] of description.samples.entries()) {
    const label = labelOf(description, sample, index)
    const build = (runner: Runner) => programOf(op, sample, runner.prefix())
    const [own, exact] = [build(tested), inFloat64(build(reference))]
    // A draw is defined by its dtype: it is compared with the same draw, not with its float64 copy.
    const same = build(reference)
    const expected = isDraw ? await reference.run(same, same.outputs) : await reference.run(exact, exact.outputs)
    const got = await tested.run(own, own.outputs)
    expected.forEach((value, at) => {
      const [result, output] = [got[at], own.outputs[at]]
      check(result !== undefined && output !== undefined, () => `${label}: output ${at} is missing`)
      check(
        result.dtype === output.dtype,
        () => `${label}: ${output.name} has dtype ${result.dtype}, inferred ${output.dtype}`,
      )
      if (isDraw || !isFloat(output.dtype)) checkEqual(result, value, `${label}: ${output.name}`)
      else checkClose(result, value, allowed(description, output.dtype, tolerance), `${label}: ${output.name}`)
    })
    tally.add("samples")
    if (!float64 || isDraw || !own.outputs.some(({ dtype }) => dtype === "float32")) continue
    const wide = inFloat64(build(tested))
    const results = await tested.run(wide, wide.outputs)
    expected.forEach((value, at) => {
      const result = results[at] ?? { data: [], shape: [], dtype: "nothing" }
      const what = `${label}, in float64`
      if (value.dtype === "float64") checkClose(result, value, allowed(description, "float64", 0), what)
      else checkEqual(result, value, what)
    })
    tally.add("samples in float64")
  }
}

function allowed({ tolerance }: Description, dtype: string, atLeast: number): number {
  if (tolerance === 0) return 0
  return dtype === "float64" ? Math.min(tolerance, exactEnough) : Math.max(tolerance, atLeast)
}
