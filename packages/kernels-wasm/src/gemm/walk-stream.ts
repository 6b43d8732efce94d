// One row times a large matrix: what counts is how fast memory is read, so some rows of the right operand are run
// through from end to end at a time, and the sums stay in C. A tile would read a few entries of each row, a page
// further every time.

import { type Expr, f32x4, type FunctionBuilder, type Local, type ModuleBuilder, v128 } from "../assembler/index.ts"
import { loadLanes, storeLanes } from "./lanes.ts"
import { more, type Procedure, procedure } from "./procedure.ts"
import type { Product } from "./product.ts"
import { type Epilogue, finishOf, type ReadyFinish, storeTile } from "./store.ts"

interface StreamSpec {
  readonly k: number
  readonly columns: number
  readonly leftK: number
  readonly rightK: number
  readonly adds: boolean
  readonly relaxed: boolean
}

/** Rows at a time: as many splats and loads as there are registers, with the sum and one product. */
const rows = 6

export function multiplyByStream({ module, f, spec, schedule, at, finish }: Product): void {
  const { left, right, store } = schedule
  const { k, relaxed } = spec
  const stream = { k, columns: right.lines, leftK: left.kStep, rightK: right.kStep, adds: store.adds, relaxed }
  const multiply = streamFunction(module, stream, finish?.epilogue)
  f.run(multiply, at.left, at.right, at.c, ...(finish?.operands ?? []))
}

/** A function (left, right, c, …operands of the epilogue). */
function streamFunction(module: ModuleBuilder, spec: StreamSpec, epilogue?: Epilogue): Procedure {
  const { k, columns, leftK, rightK, adds } = spec
  const params = ["i32", "i32", "i32", ...more(epilogue?.operands ?? 0)] as const
  const key = { ...spec, epilogue: epilogue?.key }
  return procedure(module, `stream${k}x${columns}`, key, params, (f, left, right, c, ...operands) => {
    const first = k % rows === 0 ? Math.min(k, rows) : k % rows
    const groups = (k - first) / rows
    addRows(f, left, right, c, first, adds, spec)
    if (groups > 0) {
      f.increment(left, first * leftK)
      f.increment(right, first * rightK)
      const advance = [[left, rows * leftK] as const, [right, rows * rightK] as const]
      f.forRange(groups, () => addRows(f, left, right, c, rows, true, spec), { advance })
    }
    const finish = finishOf(f, epilogue, operands)
    if (finish !== undefined) finishRow(f, c, columns, finish)
  })
}

/** c = (c +) Σ x[i] · row i of the right operand */
function addRows(
  f: FunctionBuilder,
  left: Local<"i32">,
  right: Local<"i32">,
  c: Local<"i32">,
  count: number,
  adds: boolean,
  { columns, leftK, rightK, relaxed }: StreamSpec,
): void {
  const factors = Array.from({ length: count }, (_, i) => f.let(v128.load32Splat(left, i * leftK)))
  const [q, z] = [f.let(right), f.let(c)]
  const step = (lanes: number) => {
    let sum: Expr<"v128"> | undefined
    factors.forEach((x, i) => {
      const y = loadLanes(q, i * rightK, lanes)
      if (sum === undefined) sum = f32x4.mul(x, y)
      else sum = relaxed ? f32x4.relaxedMadd(x, y, sum) : f32x4.add(sum, f32x4.mul(x, y))
    })
    const fresh = sum ?? f32x4.const(0, 0, 0, 0)
    storeLanes(f, z, f.let(adds ? f32x4.add(loadLanes(z, 0, lanes), fresh) : fresh), 0, lanes)
  }
  const advance = [[q, 16] as const, [z, 16] as const]
  f.forRange(Math.floor(columns / 4), () => step(4), { advance })
  if (columns % 4 > 0) step(columns % 4)
}

function finishRow(f: FunctionBuilder, c: Local<"i32">, columns: number, finish: ReadyFinish): void {
  const store = { rowStep: 0, isTransposed: false, alpha: 1, adds: false }
  const row = f.local("i32", 0)
  const address = f.let(c)
  const column = f.local("i32", 0)
  const step = (lanes: number) => {
    const sum = f.let(loadLanes(address, 0, lanes))
    storeTile(f, store, { address, left: row, right: column }, [[sum]], lanes, finish)
  }
  const advance = [[address, 16] as const, [column, 4] as const]
  f.forRange(Math.floor(columns / 4), () => step(4), { advance })
  if (columns % 4 > 0) step(columns % 4)
}
