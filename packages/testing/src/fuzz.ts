// Random programs on backends, judged by kernels-cpu in float64. What fails is made small and printed, with the seed that
// makes it again.

import { passNames } from "@counterflow/compiler"
import type { Backend } from "@counterflow/executor"
import { type Description, catalogue } from "@counterflow/ops"
import { Generator } from "./fuzzgenerate.ts"
import { type Finding, Judge, type Tally, type Tested } from "./fuzzjudge.ts"
import { build, type Recipe } from "./fuzzrecipe.ts"
import { shrink } from "./fuzzshrink.ts"

export type { Finding, Tally, Tested }

export interface FuzzOptions {
  /** What is judged. */
  readonly tested: readonly Tested[]
  /** Of the first program; each further one has the next. */
  readonly seed?: number
  /** Stop after as many programs; there is no end unless this or `seconds` is given. */
  readonly programs?: number
  readonly seconds?: number
  /** Operators of the forward part, at most. */
  readonly size?: number
  /** The ops that programs are made of; every op of counterflow unless said. */
  readonly descriptions?: readonly Description[]
  /** Stop after as many findings: 1 unless said. */
  readonly findings?: number
  readonly onFinding?: (finding: Found) => void
}

export interface Found extends Finding {
  readonly seed: number
  readonly recipe: Recipe
  /** The smallest program found that fails alike, its feeds, and what is wrong. */
  readonly report: string
}

export interface FuzzResult {
  readonly found: readonly Found[]
  readonly tally: Tally
  /** How often each op was applied in a forward part. */
  readonly uses: ReadonlyMap<string, number>
}

/** The ways to run a program on a backend: as it is, with loops of their own for all operators, as it was written, in float64. */
export function variantsOf(makeBackend: () => Backend): Tested[] {
  const backend = makeBackend()
  return [
    { name: backend.name, backend },
    {
      name: `${backend.name} unfused`,
      backend: makeBackend(),
      options: { passes: { off: ["fuse", "absorb", "join"] } },
    },
    { name: `${backend.name} without passes`, backend: makeBackend(), options: { passes: { off: passNames } } },
    { name: `${backend.name} in float64`, backend: makeBackend(), float64: true },
  ]
}

/**
 * Makes random programs and judges backends by them, until something is found or the programs or seconds are over.
 *
 * @example
 * ```ts
 * const { found } = await fuzz({ tested: variantsOf(cpu), seed: 3, programs: 2 })
 * console.log(found.map(({ report }) => report).join("\n"))
 * ```
 */
export async function fuzz(options: FuzzOptions): Promise<FuzzResult> {
  const { tested, seed = 1, programs = Infinity, seconds = Infinity, descriptions = catalogue } = options
  const { findings: most = 1, onFinding, size = 10 } = options
  const generator = new Generator({ descriptions, size })
  const judge = new Judge(descriptions, tested)
  const uses = new Map(generator.ops.map((name) => [name, 0]))
  const found: Found[] = []
  const keep = async (own: number, recipe: Recipe, finding: Finding): Promise<void> => {
    const small = await shrink({ recipe, finding }, (smaller) => judge.judge(smaller, finding.where))
    const one = {
      ...small.finding,
      seed: own,
      recipe: small.recipe,
      report: reportOf(own, small.recipe, small.finding),
    }
    found.push(one)
    onFinding?.(one)
  }
  const end = Date.now() + 1000 * seconds
  try {
    for (let own = seed; own < seed + programs && Date.now() < end && found.length < most; own++) {
      const thrown: [string, Recipe][] = []
      const recipe = generator.recipe(own, (what, alone) => thrown.push([what, alone]))
      for (const [what, alone] of thrown) await keep(own, alone, { where: "cpu", kind: "fails", what })
      for (const { op } of recipe.steps) uses.set(op.name, (uses.get(op.name) ?? 0) + 1)
      if (recipe.steps.length === 0) continue
      const finding = await judge.judge(recipe)
      if (finding !== null) await keep(own, recipe, finding)
    }
  } finally {
    generator.close()
    judge.close()
  }
  return { found, tally: judge.tally, uses }
}

function reportOf(seed: number, recipe: Recipe, { where, kind, what }: Finding): string {
  const lines = [`seed ${seed}: ${where} ${kind}: ${what}`]
  try {
    const { program, feed, states, fetch } = build(recipe)
    lines.push(String(program), `fetch ${fetch.map(({ name }) => name).join(", ")}, run ${recipe.runs} times`)
    for (const [name, { dtype, shape, data }] of [...Object.entries(feed), ...states]) {
      const values = Array.from({ length: data.length }, (_, i) => Number(data[i]))
      const shown = values.length <= 64 ? values : values.slice(0, 64)
      const rest = values.length > shown.length ? `, … ${values.length - shown.length} more` : ""
      lines.push(`${name} = ${dtype}[${shape.join(", ")}] ${shown.join(", ")}${rest}`)
    }
  } catch (error) {
    lines.push(`the program cannot be built: ${String(error)}`)
    for (const { op, inputs, attrs } of recipe.steps) {
      lines.push(`${op.name} ${JSON.stringify(inputs)} ${JSON.stringify(attrs)}`)
    }
    for (const { id, dtype, shape } of recipe.inputs) lines.push(`${id}: ${dtype}[${shape.join(", ")}]`)
  }
  return lines.join("\n")
}
