// Runs products as tests want them: operands lie at the very end of memory, so that reading past them traps; C, the
// scratch and what is between them begin as NaN, so that reading what nobody wrote shows; what must not be written is
// compared afterwards.

import { expect } from "vitest"
import { ModuleBuilder } from "../../src/assembler/index.ts"
import { emitGemm, type Epilogue, type GemmSpec, gemmWorkspaceBytes } from "../../src/gemm/index.ts"

export interface Operands {
  readonly a: Float32Array
  readonly b: Float32Array
  /** What C holds before: NaN unless said. */
  readonly c?: Float32Array
  /** Of the epilogue, one array each. */
  readonly more?: readonly Float32Array[]
}

/** One operand as it is stored: elements from row to row of op(A) or op(B), along the other axis, and in the batch. */
interface Layout {
  readonly row: number
  readonly column: number
  readonly batch: number
  /** From the first element to behind the last one. */
  readonly elements: number
}

export function layoutsOf(spec: GemmSpec): { readonly a: Layout; readonly b: Layout; readonly c: Layout } {
  const { m, n, k, form = "NN", batch = 1 } = spec
  const layout = (rows: number, columns: number, isTransposed: boolean, ld?: number, step?: number): Layout => {
    const [stored, width] = isTransposed ? [columns, rows] : [rows, columns]
    const line = ld ?? width
    const next = step ?? stored * line
    const elements = stored * width * batch === 0 ? 0 : (batch - 1) * next + (stored - 1) * line + width
    return { ...(isTransposed ? { row: 1, column: line } : { row: line, column: 1 }), batch: next, elements }
  }
  return {
    a: layout(m, k, form.startsWith("T"), spec.lda, spec.aStep),
    b: layout(k, n, form.endsWith("T"), spec.ldb, spec.bStep),
    c: layout(m, n, false, spec.ldc, spec.cStep),
  }
}

const pageBytes = 2 ** 16
const guardBytes = 64
/** One of each size: a memory reserves much address space, and garbage collection is in no hurry. */
const memories = new Map<number, WebAssembly.Memory>()

function memoryOf(pages: number): WebAssembly.Memory {
  const memory = memories.get(pages) ?? new WebAssembly.Memory({ initial: pages })
  memories.set(pages, memory)
  return memory
}

export interface MultiplyOptions {
  readonly epilogue?: Epilogue
  /** Every run must give the same bits. */
  readonly runs?: number
  /** Bytes by which all operands lie further to the front of memory. */
  readonly shift?: number
}

/** C after the product. The module must be valid. */
export function multiply(spec: GemmSpec, operands: Operands, options: MultiplyOptions = {}): Float32Array {
  const { epilogue, runs = 1, shift = 0 } = options
  const module = new ModuleBuilder({ relaxed: spec.relaxed ?? false })
  module.importMemory("host", "memory", { minPages: 1 })
  module.export("gemm", emitGemm(module, spec, epilogue))
  const bytes = module.finish()
  expect(WebAssembly.validate(bytes)).toBe(true)

  const scratch = gemmWorkspaceBytes(spec)
  const size = layoutsOf(spec).c.elements
  const inputs = [...(operands.more ?? []), operands.a, operands.b]
  const used = inputs.reduce((sum, input) => sum + input.byteLength + guardBytes, 4 * size + scratch + 4 * guardBytes)
  const memory = memoryOf(Math.ceil((used + shift) / pageBytes))
  const all = new Float32Array(memory.buffer).fill(NaN)

  let free = memory.buffer.byteLength - shift
  const reserve = (length: number) => (free -= length)
  const put = (values: Float32Array) => {
    const at = reserve(values.byteLength)
    all.set(values, at / 4)
    reserve(guardBytes)
    return at
  }
  const [b = 0, a = 0, ...more] = inputs.toReversed().map(put)
  const c = reserve(4 * size)
  const workspace = 16 * Math.floor((c - guardBytes - scratch) / 16)
  const before = operands.c ?? new Float32Array(size).fill(NaN)
  all.set(before, c / 4)
  const outside = bitsOf(all).slice()

  const instance = new WebAssembly.Instance(new WebAssembly.Module(bytes), { host: { memory } })
  const gemm = instance.exports["gemm"] as (...addresses: readonly number[]) => void
  let result: Float32Array | undefined
  for (let run = 0; run < runs; run++) {
    all.set(before, c / 4)
    gemm(a, b, c, workspace, ...more.toReversed())
    const now = all.slice(c / 4, c / 4 + size)
    if (result !== undefined) expectBits(now, result)
    result = now
  }
  const isOwn = (word: number) =>
    (word >= workspace / 4 && word < (workspace + scratch) / 4) || (word >= c / 4 && word < c / 4 + size)
  const changed = bitsOf(all).findIndex((word, i) => word !== outside[i] && !isOwn(i))
  expect({ spec, changed }).toEqual({ spec, changed: -1 })
  return result ?? new Float32Array(0)
}

export function bitsOf(values: Float32Array): Uint32Array {
  return new Uint32Array(values.buffer, values.byteOffset, values.length)
}

export function expectBits(got: Float32Array, wanted: Float32Array): void {
  const [x, y] = [bitsOf(got), bitsOf(wanted)]
  expect(x.length).toBe(y.length)
  expect(x.findIndex((word, i) => word !== y[i])).toBe(-1)
}

/** Calls `visit` with every entry of C: its place, its exact value, and the sum of magnitudes that bounds its error. */
export function forEachExact(
  spec: GemmSpec,
  { a, b, c }: Operands,
  visit: (at: number, value: number, magnitude: number, row: number, column: number) => void,
): void {
  const { m, n, k, batch = 1, alpha = 1, accumulate = false } = spec
  const layouts = layoutsOf(spec)
  for (let z = 0; z < batch; z++) {
    for (let i = 0; i < m; i++) {
      for (let j = 0; j < n; j++) {
        let sum = 0
        let magnitude = 0
        let x = z * layouts.a.batch + i * layouts.a.row
        let y = z * layouts.b.batch + j * layouts.b.column
        for (let p = 0; p < k; p++) {
          const product = (a[x] ?? NaN) * (b[y] ?? NaN)
          sum += product
          magnitude += Math.abs(product)
          x += layouts.a.column
          y += layouts.b.row
        }
        const at = z * layouts.c.batch + i * layouts.c.row + j
        const old = accumulate ? (c?.[at] ?? NaN) : 0
        visit(at, alpha * sum + old, Math.abs(alpha) * magnitude + Math.abs(old), i, j)
      }
    }
  }
}

/** The error that an entry may have, in units of 2^-24 times its magnitude; a little more than the first order. */
export function allowedRoundings({ k }: GemmSpec): number {
  const roundings = Math.max(Math.min(k, 512) + k / 512, k / 4 + 4, Math.min(k, 6) + k / 6) + 3
  return roundings * (1 + roundings * 2 ** -23)
}

/** Numbers in [-1, 1) from a linear congruential generator. */
export function numbers(count: number, seed: number): Float32Array {
  const values = new Float32Array(count)
  let state = seed >>> 0
  for (let i = 0; i < count; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    values[i] = state / 2 ** 31 - 1
  }
  return values
}

export function operandsOf(spec: GemmSpec, seed: number): Operands & { readonly c: Float32Array } {
  const { a, b, c } = layoutsOf(spec)
  return { a: numbers(a.elements, seed), b: numbers(b.elements, seed + 1), c: numbers(c.elements, seed + 2) }
}

/** Multiplies random matrices and compares every entry with the exact product. */
export function expectAccuracy(spec: GemmSpec, seed: number): void {
  const operands = operandsOf(spec, seed)
  const given = spec.accumulate === true ? operands : { a: operands.a, b: operands.b }
  const result = multiply(spec, given)
  const unit = allowedRoundings(spec) * 2 ** -24
  let wrong: unknown
  let entries = 0
  forEachExact(spec, operands, (at, value, magnitude, row, column) => {
    entries++
    const got = result[at] ?? NaN
    if (!(Math.abs(got - value) <= unit * magnitude)) wrong ??= { row, column, got, value }
  })
  expect({ spec, wrong }).toEqual({ spec, wrong: undefined })
  if (spec.accumulate === true) return
  // With gaps between rows or matrices there is more in C than entries: it must be as it was, NaN.
  expect(result.reduce((count, entry) => (Number.isNaN(entry) ? count : count + 1), 0)).toBe(entries)
}
