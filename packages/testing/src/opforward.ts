// What an op's samples say about its values: types, repeatability, float32 against float64, unknown sizes, and files.

import { gradients } from "@counterflow/autodiff"
import type { Tensor } from "@counterflow/executor"
import { isCounterflowError, isFloat, parseProgram, Program, type Variable, verify } from "@counterflow/ir"
import { type AnyRegistry, type Description, resolve, type Sample } from "@counterflow/ops"
import { check, checkClose, checkEqual } from "./case.ts"
import { toFloat64 } from "./float64.ts"
import type { Value } from "./point.ts"
import { Random } from "./random.ts"
import type { Runner } from "./runner.ts"
import { programOf, type SampleProgram } from "./sample.ts"
import type { Tally } from "./suite.ts"

export interface OpBench {
  readonly runner: Runner
  /** Expands all composites; null where the backend keeps none. */
  readonly expanding: Runner | null
  readonly registry: AnyRegistry
  readonly tally: Tally
}

export function labelOf({ op }: Description, sample: Sample, index: number): string {
  return `${op.name}, sample ${index}${sample.note === undefined ? "" : ` (${sample.note})`}`
}

/** Results have the types that the shape rule says, and a second run gives the same bits. */
export async function checkForward(description: Description, { runner, expanding, tally }: OpBench): Promise<void> {
  const { op, tolerance } = description
  for (const [index, sample] of description.samples.entries()) {
    const label = labelOf(description, sample, index)
    const prefix = runner.prefix()
    const built = programOf(op, sample, prefix)
    verify(built.program)
    const results = await runner.run(built, built.outputs)
    built.outputs.forEach(({ name, shape, dtype }, at) => {
      const { data } = results[at] ?? noValue
      checkShapeOf(results[at], { data, shape: shape.map(Number), dtype }, `${label}: ${name}`)
    })
    await checkRepeats(built, results, programOf(op, sample, { ...prefix, seed: 2 }), runner, label)
    if (op.facts.kind === "random") await checkDraws(built, results, runner, label)
    else await checkPrecision(description, sample, results, runner, label)
    if (expanding !== null && op.kind === "composite") {
      const expanded = await expanding.run(built, built.outputs)
      expanded.forEach((value, at) => checkClose(results[at] ?? noValue, value, tolerance, `${label}, kept whole`))
    }
    tally.add("samples run")
  }
}

const noValue: Value = { data: [], shape: [], dtype: "float32" }

function checkShapeOf(got: Tensor | undefined, expected: Value, what: string): void {
  const text = (value: Value) => `${value.dtype}[${value.shape.join(", ")}]`
  const length = expected.shape.reduce((product, size) => product * size, 1)
  check(
    got !== undefined && text(got) === text(expected),
    () => `${what} is ${got && text(got)}, inferred ${text(expected)}`,
  )
  check(got.data.length === length, () => `${what} has ${got.data.length} elements, inferred ${length}`)
}

/** What an earlier run left in memory must not show: other values are run in between. */
async function checkRepeats(
  built: SampleProgram,
  results: readonly Tensor[],
  other: SampleProgram,
  runner: Runner,
  label: string,
): Promise<void> {
  const { program, states } = built
  await runner.run({ program, states, feed: other.feed }, built.outputs)
  const again = await runner.run(built, built.outputs)
  results.forEach((value, at) => checkEqual(again[at] ?? noValue, value, `${label}, run again`))
}

/** The next step draws other numbers, where there is anything to draw. */
async function checkDraws(
  built: SampleProgram,
  results: readonly Tensor[],
  runner: Runner,
  label: string,
): Promise<void> {
  const next = ({ data, shape, dtype }: Value): Value => {
    return { data: Array.from({ length: data.length }, (_, i) => Number(data[i]) + 1), shape, dtype }
  }
  const states = new Map([...built.states].map(([name, value]) => [name, next(value)]))
  const others = await runner.run({ ...built, states }, built.outputs)
  results.forEach(({ data }, at) => {
    const values = Array.from({ length: data.length }, (_, i) => data[i])
    const isConstant = values.every((value) => value === data[0])
    const isSame = values.every((value, i) => value === others[at]?.data[i])
    check(isConstant || !isSame, () => `${label}: two steps drew the same numbers`)
  })
}

async function checkPrecision(
  { op, tolerance }: Description,
  sample: Sample,
  results: readonly Tensor[],
  runner: Runner,
  label: string,
): Promise<void> {
  const exact = inFloat64(programOf(op, sample, runner.prefix()))
  const values = await runner.run(exact, exact.outputs)
  values.forEach((value, at) => checkClose(results[at] ?? noValue, value, tolerance, `${label}, against float64`))
}

/** The same operator on the same values, in float64. */
export function inFloat64(
  built: SampleProgram,
): Pick<SampleProgram, "program" | "feed" | "states"> & { outputs: string[] } {
  const widened = ({ data, shape, dtype }: Value): Value => ({
    data,
    shape,
    dtype: dtype === "float32" ? "float64" : dtype,
  })
  return {
    program: toFloat64(built.program),
    feed: built.feed,
    states: new Map([...built.states].map(([name, value]) => [name, widened(value)])),
    outputs: built.outputs.map(({ name }) => name),
  }
}

/** Values and gradients are the same when the leading axes are not known while the program is built. */
export async function checkSymbolic(description: Description, { runner, tally }: OpBench): Promise<void> {
  const { op } = description
  for (const [index, sample] of description.samples.entries()) {
    const label = labelOf(description, sample, index)
    const built = programOf(op, sample, runner.prefix())
    const open = openProgram(description, sample, runner)
    if (open === null) tally.add(`sample of ${op.name} that needs known sizes`)
    else if (Object.values(open.feed).some(({ shape }) => (shape[0] ?? 0) > 1)) {
      verify(open.program)
      const expected = await runner.run(built, built.outputs)
      const values = await runner.run(open, open.outputs)
      expected.forEach((value, at) => checkEqual(values[at] ?? noValue, value, `${label}, leading axes unknown`))
      await checkSymbolicGradients(built, open, expected, runner, label)
      tally.add("samples run with unknown sizes")
    }
  }
}

function openProgram({ op }: Description, sample: Sample, runner: Runner): SampleProgram | null {
  try {
    return programOf(op, sample, { ...runner.prefix(), isSymbolic: true })
  } catch (error) {
    if (isCounterflowError(error)) return null
    throw error
  }
}

async function checkSymbolicGradients(
  built: SampleProgram,
  open: SampleProgram,
  values: readonly Tensor[],
  runner: Runner,
  label: string,
): Promise<void> {
  if (!isDifferentiable(built)) return
  const random = new Random(3)
  const cotangents = values.flatMap(({ data, shape, dtype }): Value[] =>
    isFloat(dtype) ? [{ data: Array.from(random.factors(data.length), Math.fround), shape, dtype }] : [],
  )
  const [expected, got] = [await gradientsOf(built, cotangents, runner), await gradientsOf(open, cotangents, runner)]
  expected.forEach((value, at) => checkEqual(got[at] ?? noValue, value, `${label}, gradient with leading axes unknown`))
}

export function isDifferentiable({ op, differentiable, outputs }: SampleProgram): boolean {
  const { gradient } = op.record as { gradient?: unknown }
  const refuses =
    typeof gradient === "object" && gradient !== null && "answer" in gradient && gradient.answer !== "byDecomposition"
  return !refuses && differentiable.length > 0 && outputs.some(({ dtype }) => isFloat(dtype))
}

async function gradientsOf(built: SampleProgram, cotangents: readonly Value[], runner: Runner): Promise<Tensor[]> {
  const { program, feed, states, differentiable } = built
  const targets = built.outputs.filter(({ dtype }) => isFloat(dtype))
  const fed: Record<string, Value> = { ...feed }
  const targetGradients = targets.map(({ name, shape, dtype }, at): Variable => {
    const given = `${name}@COTANGENT`
    fed[given] = cotangents[at] ?? noValue
    return program.globalBlock().createVar({ name: given, shape, dtype, isData: true })
  })
  const found = gradients(targets, differentiable, { targetGradients })
  return runner.run(
    { program, states, feed: fed },
    found.filter((gradient) => gradient !== null),
  )
}

/** Text and JSON give the same program back, and it runs to the same bits. */
export async function checkRoundTrip(description: Description, { runner, registry, tally }: OpBench): Promise<void> {
  const { op } = description
  for (const [index, sample] of description.samples.entries()) {
    const label = labelOf(description, sample, index)
    const built = programOf(op, sample, runner.prefix())
    const { program, feed, states } = built
    const expected = await runner.run(built, built.outputs)
    const text = String(program)
    const json = JSON.stringify(program)
    for (const read of [parseProgram(text), Program.fromJSON(JSON.parse(json))]) {
      const again = resolve(read, registry)
      check(String(again) === text, () => `${label}: text differs after a round trip:\n${text}\n${String(again)}`)
      check(
        JSON.stringify(again) === json,
        () => `${label}: JSON differs after a round trip:\n${json}\n${JSON.stringify(again)}`,
      )
      const values = await runner.run(
        { program: again, feed, states },
        built.outputs.map(({ name }) => name),
      )
      expected.forEach((value, at) => checkEqual(values[at] ?? noValue, value, `${label}, read from a file`))
    }
    tally.add("round trips", 2)
  }
}
