// The tape: what the runs of loops save when nobody knows beforehand how many there are. It lies behind everything else in memory,
// is empty when a step begins, and memory grows with it. Words of the control area say where it is.
//
//   chain    | first, last, records, 0 | chain, offset | …      one pair per stack: a stack is the address of its pair
//   record   | next, previous | value | value | …               see tapeRecord; the ends link to the chain

import { allOps, type BoundOp, type BoundVar, stackedRows, tapeRecord } from "@counterflow/compiler"
import { fail } from "@counterflow/ir"
import { type FunctionBuilder, growMemory, i32, i64, type Local, memorySize, select } from "../../assembler/index.ts"
import { lastEnd, reportTape, tapeWords } from "../control.ts"
import { copyRun } from "../movement/copy.ts"
import { bytesOf } from "../expression/element.ts"
import type { Kernel } from "../kernel.ts"
import type { Emit, Place, PlacedTensor } from "../signature.ts"
import { addressOf } from "../step.ts"

const pageBits = 16
const chainBytes = 16
/** Of a chain or a record, and of a pair. */
const [next, previous, records] = [0, 4, 8]
const [chainAt, offsetAt] = [0, 4]

/** The address of so many more bytes; leaves the kernel if there is no memory for them. */
function take(f: FunctionBuilder, bytes: number): Local<"i32"> {
  const at = f.let(i32.load(0, tapeWords.top), "at")
  const end = f.let(i32.add(at, bytes), "end")
  const isBeyond = (limit: number) => i32.or(i32.gtU(end, i32.load(0, limit)), i32.ltU(end, at))
  f.if(isBeyond(tapeWords.end), () => {
    const base = f.let(i32.load(0, tapeWords.base), "base")
    const limit = f.let(i32.load(0, tapeWords.limit), "limit")
    f.if(isBeyond(tapeWords.limit), () => reportTape(f, "limit", i64.extendI32U(i32.sub(limit, base))))
    // Twice what is there, where that can be had.
    const wanted = f.let(i32.add(end, i32.sub(at, base)), "wanted")
    f.if(i32.or(i32.gtU(wanted, limit), i32.ltU(wanted, end)), () => f.set(wanted, limit))
    // Another thread's step may have let memory grow already, of which who has said where it ends need not have heard.
    const unlessGrown = (to: Local<"i32">, refused: () => void) => {
      const missing = f.let(i32.sub(pages(to), memorySize()), "missing")
      f.if(i32.gtS(missing, 0), () => f.if(i32.eq(growMemory(missing), -1), refused))
    }
    unlessGrown(wanted, () => unlessGrown(end, () => reportTape(f, "host", i64.extendI32U(i32.sub(end, base)))))
    const there = f.let(select(i32.eq(memorySize(), 2 ** 16), i32.const(lastEnd), i32.shl(memorySize(), pageBits)))
    f.store("i32", 0, select(i32.ltU(there, limit), there, limit), tapeWords.end)
  })
  f.store("i32", 0, end, tapeWords.top)
  return at
}

function pages(address: Local<"i32">) {
  return i32.shrU(i32.add(address, 2 ** pageBits - 1), pageBits)
}

/** A pointer each: a function has not many parameters. */
const stacksPerKernel = 100

interface ChainSpec {
  /** How many stacks the chain has. */
  readonly stacks: number
  /** The first of those that are begun here, and where their values lie in a record. */
  readonly first: number
  readonly offsets: readonly number[]
}

/** Pairs of a chain, which is made if they are the first. */
const beginPairs: Kernel<string, ChainSpec> = {
  name: "beginStacks",
  canFail: true,
  build: ({ f }, at, { stacks, first, offsets }) => {
    const chain = first === 0 ? take(f, chainBytes + 8 * stacks) : f.let(i32.load(i32.load(at["chain"]!), chainAt))
    if (first === 0) {
      f.store("i32", chain, chain, next)
      f.store("i32", chain, chain, previous)
      f.store("i32", chain, 0, records)
    }
    offsets.forEach((offset, i) => {
      const pair = chainBytes + 8 * (first + i)
      f.store("i32", chain, chain, pair + chainAt)
      f.store("i32", chain, offset, pair + offsetAt)
      f.store("i32", at[`stack${i}`]!, i32.add(chain, pair))
    })
    f.return(0)
  },
}

interface RecordSpec {
  /** Of the whole record; 0 if it is there already. */
  readonly bytes: number
  readonly offsets: readonly number[]
  readonly sizes: readonly number[]
  readonly isReverse: boolean
}

/** Values of a record, which is added to the chain if they are the first. */
const addRows: Kernel<string, RecordSpec> = {
  name: "addToStacks",
  canFail: true,
  build: ({ f }, at, { bytes, offsets, sizes, isReverse }) => {
    const [inner, outer] = isReverse ? [next, previous] : [previous, next]
    const added = bytes === 0 ? undefined : take(f, bytes)
    const chain = f.let(i32.load(i32.load(at["chain"]!), chainAt), "chain")
    const neighbour = f.let(i32.load(chain, inner), "neighbour")
    if (added !== undefined) {
      f.store("i32", added, neighbour, inner)
      f.store("i32", added, chain, outer)
      f.store("i32", neighbour, added, outer)
      f.store("i32", chain, added, inner)
      f.store("i32", chain, i32.add(i32.load(chain, records), 1), records)
    }
    const record = added ?? neighbour
    sizes.forEach((size, i) => copyRun(f, f.let(i32.add(record, offsets[i]!)), at[`row${i}`]!, size))
    f.return(0)
  },
}

/** Runs a block, and takes off the tape what it has put there: for one that hands out no stack that lies there. */
export function releasing(f: FunctionBuilder, run: () => void): void {
  const top = f.let(i32.load(0, tapeWords.top), "top")
  run()
  const now = f.let(i32.load(0, tapeWords.top), "now")
  f.if(i32.gtU(now, i32.load(0, tapeWords.most)), () => f.store("i32", 0, now, tapeWords.most))
  f.store("i32", 0, top, tapeWords.top)
}

/** A kernel in JavaScript has views of memory, which end where memory grows: its blocks must not let it. */
export function refuseTape(op: BoundOp, vars: readonly BoundVar[]): void {
  const inner = Object.values(op.blocks).flatMap((block) => [...allOps(block)])
  const loop = inner.find((each) => stackedRows(each, vars).length > 0)
  if (loop === undefined) return
  fail("CF_KERNEL_MISSING", `its kernel looks at memory, which must not grow while a ${loop.type} in its block runs`, {
    op: op.origin.type,
    notes: [`${loop.origin.type} built at ${String(loop.origin.site)}`],
    where: `this ${op.origin.type} was built at ${String(op.origin.site)}`,
    fix: "give that loop maxTrips, so that its memory is planned; or run on cpu()",
  })
}

/** A stack that lies on the tape, and what one run has of it. */
export interface TapedStack {
  readonly stack: Place
  readonly row: Place
  readonly bytes: number
}

/** Those of some stacks that lie on the tape. */
export function tapedStacks(stacks: readonly PlacedTensor[], rows: readonly PlacedTensor[]): TapedStack[] {
  return stacks.flatMap(({ place, row }, i) =>
    row === undefined ? [] : [{ stack: place, row: rows[i]!.place, bytes: row.elements * bytesOf(row.dtype) }],
  )
}

/** A chain without records for stacks that a loop is about to write. */
export function beginStacks(stacks: readonly TapedStack[], emit: Emit): void {
  const { offsets } = tapeRecord(stacks.map(({ bytes }) => bytes))
  inGroups(stacks, (group, first, chain) => {
    const places = Object.fromEntries(group.map(({ stack }, i) => [`stack${i}`, stack]))
    const spec = { stacks: stacks.length, first, offsets: offsets.slice(first, first + group.length) }
    emit.run(beginPairs, first === 0 ? places : { chain, ...places }, spec)
  })
}

/** What a run adds: the last record of the chain, or, of a loop that runs in reverse, the first. */
export function addToStacks(stacks: readonly TapedStack[], isReverse: boolean, emit: Emit): void {
  const { bytes, offsets } = tapeRecord(stacks.map((stack) => stack.bytes))
  inGroups(stacks, (group, first, chain) => {
    const rows = Object.fromEntries(group.map(({ row }, i) => [`row${i}`, row]))
    const sizes = group.map((stack) => stack.bytes)
    const spec = {
      bytes: first === 0 ? bytes : 0,
      offsets: offsets.slice(first, first + sizes.length),
      sizes,
      isReverse,
    }
    emit.run(addRows, { chain, ...rows }, spec)
  })
}

function inGroups(
  stacks: readonly TapedStack[],
  each: (group: readonly TapedStack[], first: number, chain: Place) => void,
): void {
  const [one] = stacks
  for (let first = 0; one !== undefined && first < stacks.length; first += stacksPerKernel)
    each(stacks.slice(first, first + stacksPerKernel), first, one.stack)
}

/** A stack that is read run by run. */
export interface Walk {
  /** How many rows it has. */
  readonly records: Local<"i32">
  /** Reads the next row. */
  readonly advance: (isReverse: boolean) => void
}

export function startWalk(f: FunctionBuilder, arena: Local<"i32">, { stack, row, bytes }: TapedStack): Walk {
  const pair = f.let(i32.load(addressOf(stack, arena)))
  const record = f.let(i32.load(pair, chainAt))
  const offset = f.let(i32.load(pair, offsetAt))
  return {
    records: f.let(i32.load(record, records)),
    advance: (isReverse) => {
      f.set(record, i32.load(record, isReverse ? previous : next))
      copyRun(f, f.let(addressOf(row, arena)), f.let(i32.add(record, offset)), bytes)
    },
  }
}
