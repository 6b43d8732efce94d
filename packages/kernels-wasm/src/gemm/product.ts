// What the walks over a product share: the product that is being emitted, where lines begin, and loops over blocks of
// them.

import {
  type Expr,
  type FunctionBuilder,
  i32,
  type Local,
  type ModuleBuilder,
  type Operand,
  select,
} from "../assembler/index.ts"
import type { GemmSchedule } from "./schedule.ts"
import type { FullSpec } from "./spec.ts"
import type { Finish } from "./store.ts"

export interface Product {
  readonly module: ModuleBuilder
  readonly f: FunctionBuilder
  readonly spec: FullSpec
  readonly schedule: GemmSchedule
  /** Of the matrices of this round of the batch. */
  readonly at: Readonly<Record<"left" | "right" | "c" | "workspace", Local<"i32">>>
  readonly finish: Finish | undefined
}

/** Where some lines of an operand begin: their address, that of their entries of C, and their number. */
export interface Lines {
  readonly source: Expr<"i32">
  readonly c: Expr<"i32">
  readonly index: Expr<"i32">
}

/** Bytes from line to line. */
export interface LineSteps {
  readonly source: number
  readonly c: number
}

/** The lines behind the first `count`. */
export function behind({ source, c, index }: Lines, count: number, steps: LineSteps): Lines {
  return {
    source: ahead(source, count * steps.source),
    c: ahead(c, count * steps.c),
    index: ahead(index, count),
  }
}

/** base + bytes */
export function ahead(base: Expr<"i32">, bytes: number): Expr<"i32"> {
  return bytes === 0 ? base : i32.add(base, bytes)
}

/** Runs `body` on `count` groups of lines, at most `size` groups at a time; it is told how many. */
export function inBlocks(
  f: FunctionBuilder,
  { count, size, width }: { readonly count: number; readonly size: number; readonly width: number },
  lines: Lines,
  steps: LineSteps,
  body: (groups: number | Local<"i32">, lines: Lines) => void,
): void {
  if (count === 0) return
  if (count <= size) return body(count, lines)
  const [source, c, index] = [f.let(lines.source), f.let(lines.c), f.let(lines.index)]
  const block = size * width
  const advance = [[source, block * steps.source] as const, [c, block * steps.c] as const, [index, block] as const]
  f.forRange(
    count,
    (i) => {
      const left = f.let(i32.sub(count, i))
      body(f.let(select(i32.ltU(left, size), left, i32.const(size))), { source, c, index })
    },
    { step: size, advance },
  )
}

/**
 * What an epilogue wants behind the addresses of a tile function: the numbers of its first lines, and its own operands.
 */
export function finishOperands(
  finish: Finish | undefined,
  left: Operand<"i32">,
  right: Operand<"i32">,
): readonly Operand<"i32">[] {
  return finish === undefined ? [] : [left, right, ...finish.operands]
}

/** Rows of the left operand that go through tiles of one height. */
export interface Band {
  readonly first: number
  readonly rows: number
  readonly tiles: number
}

/** Tiles of full height, then what is left; five rows rather as 3 + 2 than as 4 + 1, which wastes most of a tile. */
export function bandsOf(lines: number, height: number): Band[] {
  const rest = lines % height
  const full = Math.floor(lines / height)
  const splits = rest === 1 && full > 0
  const tall = splits ? full - 1 : full
  const last = splits ? [Math.ceil((height + 1) / 2), Math.floor((height + 1) / 2)] : [rest]
  const bands: Band[] = [{ first: 0, rows: height, tiles: tall }]
  let first = tall * height
  for (const rows of last) {
    bands.push({ first, rows, tiles: 1 })
    first += rows
  }
  return bands.filter(({ rows, tiles }) => rows * tiles > 0)
}
