// From a program that fails to a small one that fails alike: fewer fetches and operators, values in place of what computed
// them, smaller sizes, simpler numbers. Whatever still fails is kept.

import { isFloat } from "@counterflow/ir"
import { cpu } from "@counterflow/kernels-cpu"
import type { Finding } from "./fuzzjudge.ts"
import { build, type Id, type Recipe, type RecipeInput, type RecipeStep } from "./fuzzrecipe.ts"
import { Runner } from "./runner.ts"

export interface Failing {
  readonly recipe: Recipe
  readonly finding: Finding
}

type Judging = (recipe: Recipe) => Promise<Finding | null>

/** The smallest found. Another finding on the same backend of the same kind counts as the same. */
export async function shrink(failing: Failing, judge: Judging, budget = 300): Promise<Failing> {
  let now = failing
  let left = budget
  const fails = async (recipe: Recipe): Promise<boolean> => {
    if (left <= 0) return false
    left--
    const finding = await judge(recipe)
    if (finding === null || !isAlike(finding, now.finding)) return false
    now = { recipe, finding }
    return true
  }
  for (let before: Recipe | null = null; before !== now.recipe && left > 0;) {
    before = now.recipe
    for (const candidates of [alone, withFewerParts, withValues, withFewerUses, withSmallerSizes, withSimplerNumbers]) {
      // After each success the candidates are those of the new recipe.
      for (let hit = true; hit && left > 0;) {
        hit = false
        for (const candidate of candidates(now.recipe)) {
          if (size(candidate) < size(now.recipe) && (await fails(candidate))) {
            hit = true
            break
          }
        }
      }
    }
  }
  return now
}

/** Failures are told apart by their code. */
function isAlike(a: Finding, b: Finding): boolean {
  const code = ({ what }: Finding) => /CF_[A-Z_]+/.exec(what)?.[0]
  return a.where === b.where && a.kind === b.kind && (a.kind !== "fails" || code(a) === code(b))
}

/** What is to become less: operators first, then values and the numbers they hold. */
function size({ inputs, steps, fetches, backward, open, runs }: Recipe): number {
  const extras =
    fetches.length +
    open.length +
    runs +
    (backward === null ? 0 : 10 + (backward.kind === "minimize" ? 5 : backward.wrt.length + backward.order))
  const elements = inputs.reduce((sum, { values }) => sum + values.length + digits(values), 0)
  const roles = inputs.filter(({ role }) => role === "parameter").length
  const links = steps.reduce((sum, { inputs: slots }) => sum + Object.values(slots).flat().length, 0)
  return 1e6 * steps.length + 1e4 * (extras + links) + 1e2 * roles + elements
}

function digits(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + Math.min(String(value).length, 20) / 100, 0)
}

/** One step, on the values that it reads. */
function* alone(recipe: Recipe): Generator<Recipe> {
  for (const step of recipe.steps) {
    if (recipe.steps.length === 1) return
    const read = [...new Set(Object.values(step.inputs).flat())]
    const inputs = valuesOf(recipe, read)
    if (inputs === null) continue
    const own = inputs.map((input) => recipe.inputs.find(({ id }) => id === input.id) ?? input)
    yield { inputs: own, steps: [step], fetches: step.outputs, backward: null, open: [], runs: 1 }
  }
}

function* withFewerParts(recipe: Recipe): Generator<Recipe> {
  const { backward, fetches, open, runs } = recipe
  if (backward !== null) yield trimmed({ ...recipe, backward: null, fetches: [...fetches, backward.target], runs: 1 })
  for (const id of fetches) if (fetches.length > 1) yield trimmed({ ...recipe, fetches: [id] })
  for (const at of fetches.keys()) {
    if (fetches.length > 1 || backward !== null) yield trimmed({ ...recipe, fetches: fetches.toSpliced(at, 1) })
  }
  if (open.length > 0) yield { ...recipe, open: [] }
  for (const at of open.keys()) yield { ...recipe, open: open.toSpliced(at, 1) }
  if (runs > 1) yield { ...recipe, runs: 1 }
  if (backward?.kind === "gradients") {
    if (backward.order === 2) yield { ...recipe, backward: { ...backward, order: 1 } }
    for (const id of backward.wrt) {
      if (backward.wrt.length > 1) yield trimmed({ ...recipe, backward: { ...backward, wrt: [id] } })
    }
  }
  for (const input of recipe.inputs) {
    if (input.role === "parameter") yield withInput(recipe, { ...input, role: "data" })
  }
}

/** Each step gone, with the values that it computed in its place. */
function* withValues(recipe: Recipe): Generator<Recipe> {
  for (const [at, step] of recipe.steps.entries()) {
    const values = valuesOf(recipe, step.outputs)
    if (values === null) continue
    yield trimmed({ ...recipe, inputs: [...recipe.inputs, ...values], steps: recipe.steps.toSpliced(at, 1) })
  }
}

/** What reads an operator's result reads one of its inputs instead, or a list gets shorter. */
function* withFewerUses(recipe: Recipe): Generator<Recipe> {
  for (const [at, step] of recipe.steps.entries()) {
    for (const input of Object.values(step.inputs).flat()) {
      const [output] = step.outputs
      if (output !== undefined)
        yield trimmed(renamed({ ...recipe, steps: recipe.steps.toSpliced(at, 1) }, output, input))
    }
    for (const [slot, list] of Object.entries(step.inputs)) {
      for (const place of list.keys()) {
        const shorter = { ...step, inputs: { ...step.inputs, [slot]: list.toSpliced(place, 1) } }
        if (list.length > 1) yield trimmed({ ...recipe, steps: recipe.steps.with(at, shorter) })
      }
    }
  }
}

function* withSmallerSizes(recipe: Recipe): Generator<Recipe> {
  const sizes = [...new Set(recipe.inputs.flatMap(({ shape }) => shape))].sort((a, b) => b - a)
  for (const size of sizes) {
    for (const other of new Set([1, 2, 3, Math.floor(size / 2), size - 1])) {
      if (other < size && other > 0) yield withSize(recipe, size, other)
    }
  }
  // One axis alone, where no other size depends on it.
  for (const input of recipe.inputs) {
    for (const [axis, size] of input.shape.entries()) {
      if (size > 1) yield withInput(recipe, withShape(input, input.shape.with(axis, Math.floor(size / 2))))
    }
  }
}

function withShape(input: RecipeInput, shape: readonly number[]): RecipeInput {
  const length = shape.reduce((product, size) => product * size, 1)
  const values = Array.from({ length }, (_, i) => input.values[i % input.values.length] ?? 0)
  return { ...input, shape, values }
}

function withSize(recipe: Recipe, from: number, to: number): Recipe {
  const other = (size: unknown) => (size === from ? to : size)
  return {
    ...recipe,
    open: recipe.open.filter((size) => size !== from),
    inputs: recipe.inputs.map((input) => {
      return withShape(
        input,
        input.shape.map((size) => (size === from ? to : size)),
      )
    }),
    steps: recipe.steps.map((step) => {
      const attrs = Object.entries(step.attrs).map(([name, value]) => {
        const kind = step.op.attrs[name]
        if (kind === "dim") return [name, other(value)]
        return [name, kind === "dims" && Array.isArray(value) ? value.map(other) : value]
      })
      return { ...step, attrs: Object.fromEntries(attrs) as RecipeStep["attrs"] }
    }),
  }
}

function* withSimplerNumbers(recipe: Recipe): Generator<Recipe> {
  for (const input of recipe.inputs) {
    const { values, dtype } = input
    if (!isFloat(dtype)) continue
    for (const simpler of [values.map(() => 1), values.map(Math.round), values.map((v) => Math.round(8 * v) / 8)]) {
      yield withInput(recipe, { ...input, values: simpler })
    }
  }
}

function withInput(recipe: Recipe, input: RecipeInput): Recipe {
  return { ...recipe, inputs: recipe.inputs.map((each) => (each.id === input.id ? input : each)) }
}

function renamed(recipe: Recipe, from: Id, to: Id): Recipe {
  const other = (id: Id) => (id === from ? to : id)
  const { backward } = recipe
  return {
    ...recipe,
    steps: recipe.steps.map((step) => ({
      ...step,
      inputs: Object.fromEntries(Object.entries(step.inputs).map(([slot, list]) => [slot, list.map(other)])),
    })),
    fetches: [...new Set(recipe.fetches.map(other))],
    backward:
      backward === null
        ? null
        : backward.kind === "minimize"
          ? { ...backward, target: other(backward.target) }
          : { ...backward, target: other(backward.target), wrt: [...new Set(backward.wrt.map(other))] },
  }
}

/** Without steps and inputs that nothing needs. */
export function trimmed(recipe: Recipe): Recipe {
  const { backward, fetches } = recipe
  const needed = new Set<Id>(fetches)
  if (backward !== null) needed.add(backward.target)
  if (backward?.kind === "gradients") for (const id of backward.wrt) needed.add(id)
  const steps: RecipeStep[] = []
  for (const step of recipe.steps.toReversed()) {
    if (!step.outputs.some((id) => needed.has(id))) continue
    steps.unshift(step)
    for (const id of Object.values(step.inputs).flat()) needed.add(id)
  }
  return { ...recipe, steps, inputs: recipe.inputs.filter(({ id }) => needed.has(id)) }
}

/** What values hold, as inputs of the same ids; null if that cannot be run. */
function valuesOf(recipe: Recipe, ids: readonly Id[]): RecipeInput[] | null {
  const runner = new Runner(cpu())
  try {
    const { program, feed, states, fetch } = build(trimmed({ ...recipe, fetches: ids, backward: null, open: [] }))
    for (const [name, value] of states) runner.executor.scope.set(name, value)
    return runner.executor.runSync(program, { feed, fetch }).map(({ data, shape, dtype }, at) => {
      const values = Array.from({ length: data.length }, (_, i) => Number(data[i]))
      return { id: ids[at] ?? 0, role: "data", dtype, shape, values }
    })
  } catch {
    // The program fails, perhaps just here.
    return null
  } finally {
    runner.close()
  }
}
