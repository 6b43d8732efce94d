// Phase 3: the feeds' shapes give every symbol its size; recorded constraints are checked; shapes and attributes become numbers.

import {
  bindDim,
  CounterflowError,
  type Dim,
  DimExpr,
  fail,
  formatDim,
  formatShape,
  type LoweredBlock,
  type LoweredOp,
  type LoweredProgram,
  type LoweredVar,
  type Shape,
  symbolsOf,
} from "@counterflow/ir"
import { bindOpen, hasOpenSize, isOpenSize, openSymbols, refuseOpen } from "./3-open.ts"
import type { BoundBlock, BoundOp, BoundProgram, BoundVar } from "./bound.ts"

const noSymbols: ReadonlySet<string> = new Set()

/** Sizes of symbols by name. */
export type Bindings = ReadonlyMap<string, number>

/**
 * Sizes of symbols from the shapes of what is fed, by data variable name. Throws CF_FEED_SHAPE for a shape that does not fit its
 * variable and CF_SYMBOL_CONFLICT where two feeds give one symbol two sizes.
 *
 * @example
 * ```ts
 * const bindings = bindSymbols(lowered, new Map([["x", [64, 2]], ["y", [64, 1]]]))
 * console.log(bindings.get("batch")) // 64
 * ```
 */
export function bindSymbols(program: LoweredProgram, feeds: ReadonlyMap<string, readonly number[]>): Bindings {
  const bindings = new Map<string, number>()
  const givenBy = new Map<string, string>()
  for (const variable of program.vars) {
    const shape = feeds.get(variable.name)
    if (variable.kind === "data" && shape !== undefined) bindFeed(variable, shape, bindings, givenBy)
  }
  for (const variable of program.vars) {
    const shape = feeds.get(variable.name)
    if (variable.kind === "data" && shape !== undefined) checkFeed(variable, shape, bindings, givenBy)
  }
  return bindings
}

function bindFeed(
  variable: LoweredVar,
  shape: readonly number[],
  bindings: Map<string, number>,
  givenBy: Map<string, string>,
): void {
  if (shape.length !== variable.shape.length) refuseShape(variable, shape, "ranks differ")
  variable.shape.forEach((dim, axis) => {
    const size = shape[axis] ?? 0
    // A plain symbol is its own normal form; sizes behind an expression are checked once all symbols are known.
    if (typeof dim === "number" || symbolsOf(dim)[0] !== dim.key) return
    const known = bindings.get(dim.key)
    if (known === undefined) {
      bindings.set(dim.key, size)
      givenBy.set(dim.key, variable.name)
    } else if (known !== size) {
      const first = givenBy.get(dim.key) ?? "another feed"
      fail(
        "CF_SYMBOL_CONFLICT",
        `${dim.key} is ${known} in the feed of ${first} and ${size} in the feed of ${variable.name}`,
        {
          notes: [`${variable.name} is ${variable.dtype}${formatShape(variable.shape)}, fed ${formatShape(shape)}`],
          fix: `feed both with the same ${dim.key}`,
        },
      )
    }
  })
}

function checkFeed(
  variable: LoweredVar,
  shape: readonly number[],
  bindings: Bindings,
  givenBy: ReadonlyMap<string, string>,
): void {
  variable.shape.forEach((dim, axis) => {
    const wanted = boundDim(dim, { bindings, open: noSymbols }, () => variable.name)
    if (wanted !== shape[axis]) {
      const symbols = symbolsOf(dim).map((name) => `${name} = ${bindings.get(name)} from ${givenBy.get(name)}`)
      refuseShape(
        variable,
        shape,
        `axis ${axis} must be ${formatDim(dim)}${symbols.length === 0 ? "" : ` with ${symbols.join(", ")}`}`,
      )
    }
  })
}

function refuseShape(variable: LoweredVar, shape: readonly number[], why: string): never {
  return fail(
    "CF_FEED_SHAPE",
    `${variable.name} is ${variable.dtype}${formatShape(variable.shape)} but was fed ${formatShape(shape)}: ${why}`,
    {
      fix: `feed an array of shape ${formatShape(variable.shape)}`,
    },
  )
}

/**
 * The whole program under these sizes, for these fetches (names): every shape and attribute is a number. Throws CF_SYMBOL_CONFLICT
 * where an equality that a shape rule recorded does not hold or a size would be negative, CF_SYMBOL_UNBOUND for a symbol without size.
 *
 * @example
 * ```ts
 * const program = bindProgram(lowered, [loss.name], new Map([["batch", 64]]))
 * console.log(program.vars.map(({ name, shape }) => `${name} ${shape.join(" × ")}`))
 * ```
 */
export function bindProgram(program: LoweredProgram, fetches: readonly string[], bindings: Bindings): BoundProgram {
  const open = openSymbols(program)
  const sizes: Sizes = { bindings, open }
  for (const { left, right, why, origin } of program.constraints) {
    const where = () => `${origin.type} built at ${String(origin.site)}`
    const [a, b] = [boundDim(left, sizes, where), boundDim(right, sizes, where)]
    if (a !== b) {
      fail("CF_SYMBOL_CONFLICT", `${sized(left, a)} and ${sized(right, b)} must be equal`, {
        op: origin.type,
        notes: [...(why === undefined ? [] : [why()]), ...[...bindings].map(([name, size]) => `${name} = ${size}`)],
        where: `this ${origin.type} was built at ${String(origin.site)}`,
        fix: "feed sizes for which both are equal",
      })
    }
  }
  const vars = program.vars.map((variable) => bindVar(variable, sizes))
  const ids = fetches.map(
    (name) => program.names.get(name) ?? fail("CF_INTERNAL", `the lowered program lost the fetch ${name}`),
  )
  for (const id of ids) {
    const { name, shape } = program.vars[id] ?? fail("CF_INTERNAL", `there is no variable ${id}`)
    if (hasOpenSize(shape, open)) refuseOpen(formatShape(shape), `a fetch of ${name}`)
  }
  return { vars, block: bindBlock(program.block, program.vars, sizes), fetches: ids, commits: program.commits }
}

function sized(dim: Dim, size: number): string {
  return typeof dim === "number" ? String(dim) : `${formatDim(dim)} = ${size}`
}

/** What is known of sizes, and the symbols of which nothing can be. */
interface Sizes {
  readonly bindings: Bindings
  readonly open: ReadonlySet<string>
}

function bindVar(variable: LoweredVar, sizes: Sizes): BoundVar {
  const { bindings } = sizes
  const sizeOf = (dim: Dim) => boundDim(dim, sizes, () => variable.name)
  if (hasOpenSize(variable.shape, sizes.open)) return bindOpen(variable, sizes.open, sizeOf)
  // A data variable that is neither fed nor needed may keep an unknown size.
  const isOpen = variable.kind === "data" && symbolsOf(variable.shape).some((name) => !bindings.has(name))
  const shape = isOpen ? variable.shape.map(() => 0) : variable.shape.map(sizeOf)
  const negative = shape.find((size) => size < 0)
  if (negative !== undefined) {
    fail(
      "CF_SYMBOL_CONFLICT",
      `${variable.name} of shape ${formatShape(variable.shape)} would have a size of ${negative}`,
      {
        notes: [...bindings].map(([name, size]) => `${name} = ${size}`),
        fix: "feed larger inputs",
      },
    )
  }
  return { ...variable, shape, elements: shape.reduce((product, size) => product * size, 1) }
}

function bindBlock(block: LoweredBlock, vars: readonly LoweredVar[], sizes: Sizes): BoundBlock {
  return { ...block, ops: block.ops.map((op) => bindOp(op, vars, sizes)) }
}

function bindOp(op: LoweredOp, vars: readonly LoweredVar[], sizes: Sizes): BoundOp {
  const where = () => `${op.origin.type} built at ${String(op.origin.site)}`
  const blocks = Object.entries(op.blocks).map(([name, block]) => [name, bindBlock(block, vars, sizes)] as const)
  const { constant, repeats, opens: _opens, ...facts } = op.facts
  const open = ({ inputs, outputs }: Partial<LoweredOp>) =>
    [...Object.values(inputs ?? {}), ...Object.values(outputs ?? {})]
      .flat()
      .find((id) => hasOpenSize(vars[id]?.shape ?? [], sizes.open))
  const found = sizes.open.size === 0 ? undefined : open(op)
  if (blocks.length === 0 && found !== undefined) refuseOpen(formatShape(vars[found]?.shape ?? []), where())
  return {
    ...op,
    attrs: Object.fromEntries(Object.entries(op.attrs).map(([name, value]) => [name, bindAttr(value, sizes, where)])),
    facts: {
      ...facts,
      flops: boundDim(facts.flops, sizes, where),
      ...(constant === undefined ? {} : { constant: boundDim(constant, sizes, where) }),
      ...(repeats === undefined || isOpenSize(repeats, sizes.open) ? {} : { repeats: boundDim(repeats, sizes, where) }),
      // Memory for what it adds to the tape may not be there.
      canFail: facts.canFail || (found !== undefined && open({ outputs: op.outputs }) !== undefined),
    },
    blocks: Object.fromEntries(blocks),
  }
}

function bindAttr(value: unknown, sizes: Sizes, where: () => string): unknown {
  if (isOpenSize(value, sizes.open)) return Infinity
  if (value instanceof DimExpr) return boundDim(value, sizes, where)
  return Array.isArray(value) ? (value as Shape).map((entry) => bindAttr(entry, sizes, where)) : value
}

function boundDim(dim: Dim, { bindings, open }: Sizes, where: () => string): number {
  if (typeof dim === "number") return dim
  if (symbolsOf(dim).some((name) => open.has(name))) return refuseOpen(formatDim(dim), where())
  try {
    return bindDim(dim, bindings)
  } catch (error) {
    if (error instanceof CounterflowError) throw error
    const open = symbolsOf(dim).filter((name) => !bindings.has(name))
    if (open.length === 0)
      return fail("CF_SYMBOL_CONFLICT", `${formatDim(dim)} cannot be computed (${where()})`, { cause: error })
    return fail("CF_SYMBOL_UNBOUND", `${open.join(", ")} has no size, needed for ${where()}`, {
      fix: "feed a data variable whose shape has it; a feed the run does not need still gives the size",
      cause: error,
    })
  }
}
