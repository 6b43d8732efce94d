// What `recompute` asks for: the partition of the joint graph that a backward part is to be built by, and what one would save.

import {
  type Block,
  describeValue,
  fail,
  nearest,
  type Operator,
  type Program,
  symbolsOf,
  type Variable,
} from "@counterflow/ir"
import { countAtLeast } from "./checkpoints.ts"
import { jointGraph } from "./joint.ts"
import { type Partition, partitions, refined } from "./partition.ts"
import { operatorPath } from "./path.ts"
import type { Keeping } from "./repetition.ts"

/** What may be computed again to save memory. */
export type Recompute =
  /** As little memory as a quarter more work buys. */
  | "auto"
  /** As little work as fits: the peak of values alive at one time, without state, as estimated for these sizes. */
  | { readonly budgetBytes: number; readonly symbols?: Readonly<Record<string, number>> }

/** How much more work "auto" may make of a step. */
const share = 0.25
/** What "auto" takes a size to be that is not known yet: what counts is which values grow with it. */
const usual = 32
/** Less memory than this part of the least that was found is not worth more work. */
const slack = 1.05

/** Refuses what is no `Recompute` for this program; answers the sizes to decide with. */
export function checkRecompute(
  program: Program,
  recompute: Recompute,
  op: string,
  parts: number,
): ReadonlyMap<string, number> {
  const names = new Set([...program.variables.values()].flatMap(({ shape }) => symbolsOf(shape)))
  if (recompute === "auto") return new Map([...names].map((name) => [name, usual * parts]))
  const { budgetBytes, symbols = {} } =
    typeof recompute === "object" && recompute !== null ? recompute : { budgetBytes: undefined }
  if (typeof budgetBytes !== "number" || !(budgetBytes > 0)) {
    fail("CF_BAD_ARGUMENT", `recompute must be "auto" or { budgetBytes, symbols }, got ${describeValue(recompute)}`, {
      op,
    })
  }
  for (const [name, size] of Object.entries(symbols)) {
    const near = nearest(name, names)
    const fix = near === undefined ? "leave it out" : `did you mean "${near}"?`
    if (!names.has(name))
      fail("CF_UNKNOWN_NAME", `recompute gives ${name} a size, which the program does not have`, { op, fix })
    if (!Number.isSafeInteger(size) || size < 0) {
      fail("CF_BAD_ARGUMENT", `recompute: ${name} must be a size, got ${describeValue(size)}`, { op })
    }
  }
  const open = [...names].filter((name) => !Object.hasOwn(symbols, name))
  if (open.length > 0) {
    fail("CF_SYMBOL_UNBOUND", `recompute: a budget in bytes needs the size of ${open.join(", ")}`, {
      op,
      fix: `give it: recompute: { budgetBytes: ${budgetBytes}, symbols: { ${open.map((name) => `${name}: 32`).join(", ")} } }`,
    })
  }
  return new Map(Object.entries(symbols))
}

/** What to keep for a backward part in `block`; null for everything. `append` appends that part, which is undone again. */
export function keepingFor(
  recompute: Recompute,
  loss: Variable,
  block: Block,
  sizes: ReadonlyMap<string, number>,
  append: () => Iterable<Variable>,
): Keeping | null {
  const count = block.ops.length
  return block.program.scratch(() => {
    const ops = operatorPath([block], [loss, ...append()])
    const found = partitionsOf(ops, ops.filter(({ position }) => position < count).length, sizes)
    const chosen = recompute === "auto" ? found.best() : found.within(recompute.budgetBytes)
    return chosen.isAgain.includes(true) ? keepingOf(ops, chosen) : null
  })
}

/** Bytes that recomputation would take off the peak of a step, and what it would cost. */
export interface RecomputeSavings {
  readonly savedBytes: number
  readonly extraFlops: number
}

/**
 * What `recompute: "auto"` would save of the memory of a training program, estimated for these sizes of its symbols; null where it
 * would save nothing, or where the program recomputes already or takes its batch in micro-batches.
 *
 * @example
 * ```ts
 * appendBackward(loss)
 * const savings = recomputeSavings(main, new Map([["batch", 64]]))
 * console.log(savings === null ? "nothing to save" : `${savings.savedBytes} bytes less, ${savings.extraFlops} FLOPs more`)
 * ```
 */
export function recomputeSavings(program: Program, bindings: ReadonlyMap<string, number>): RecomputeSavings | null {
  const block = program.globalBlock()
  const neededFor = (wanted: (op: Operator) => boolean) =>
    operatorPath(
      [block],
      block.ops.filter(wanted).flatMap((op) => op.outputList()),
    )
  const forward = neededFor(({ isLoss }) => isLoss)
  const isPlain =
    block.ops.every(({ segment }) => segment === 0) &&
    [...block.vars.values()].every(({ insteadOf }) => insteadOf === null)
  if (forward.length === 0 || !isPlain) return null
  const isForward = new Set(forward)
  const rest = neededFor(({ writes }) => writes.length > 0).filter((op) => !isForward.has(op))
  const found = partitionsOf([...forward, ...rest], forward.length, bindings)
  const best = found.best()
  const savedBytes = found.all.peak - best.peak
  return savedBytes > 0 ? { savedBytes, extraFlops: best.flops } : null
}

function partitionsOf(ops: readonly Operator[], forward: number, sizes: ReadonlyMap<string, number>) {
  const joint = jointGraph(ops, forward, sizes)
  const [all, ...others] = partitions(joint)
  if (all === undefined) return fail("CF_INTERNAL", "a joint graph has no partition")
  const cheapestFirst = [all, ...others].sort((a, b) => a.cost - b.cost)
  const least = (list: readonly Partition[]) => Math.min(...list.map(({ peak }) => peak))
  const firstBelow = (list: readonly Partition[], bytes: number) => list.findIndex(({ peak }) => peak <= bytes)
  return {
    all,
    best(): Partition {
      const limit = share * joint.ops.reduce((total, { cost }) => total + cost, 0)
      const affordable = cheapestFirst.filter(({ cost }) => cost <= limit)
      return affordable[firstBelow(affordable, slack * least(affordable))] ?? all
    },
    within(bytes: number): Partition {
      const at = firstBelow(cheapestFirst, bytes)
      const fitting = cheapestFirst[at]
      if (fitting === undefined) return refuse(bytes, least(cheapestFirst), all.peak)
      const cheaper = cheapestFirst[at - 1]
      return cheaper === undefined ? fitting : refined(joint, cheaper, fitting, bytes)
    },
  }
}

function refuse(budget: number, least: number, all: number): never {
  return fail(
    "CF_MEMORY_LIMIT",
    `recompute: the values of a step take at least ${least} bytes, ${budget} are allowed`,
    {
      op: "appendBackward",
      notes: [`${all} bytes with nothing computed again`, `${least} bytes with as much computed again as helps`],
      fix: "use a smaller batch, or allow more",
    },
  )
}

function keepingOf(ops: readonly Operator[], { isAgain, places }: Partition): Keeping {
  const again = new Set(ops.filter((_, index) => isAgain[index] === true))
  const ends = places.map((index) => ops[index]?.position ?? 0).toReversed()
  return {
    isKept: ({ producer }) => producer === null || !again.has(producer),
    partOf: ({ position }) => countAtLeast(ends, position),
  }
}
