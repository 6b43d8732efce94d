// The most that 128-bit vectors can do on this machine: products of what lies in the first cache, and sums that do not wait for
// each other. What matrix products are measured against, in the same run. The module is written out by hand.

import type { Peer } from "./protocol.ts"
import { isWanted, workloads } from "./workloads.ts"

/** Sums side by side: enough to hide the latency of an addition, few enough for 16 registers. */
const sums = 10
/** Four lanes, a product and a sum each. */
const perRound = sums * 4 * 2

const [v128, f32, i32] = [0x7b, 0x7d, 0x7f]
const [get, set, constant, simd] = [0x20, 0x21, 0x41, 0xfd]
const [mul, add] = [
  [simd, 0xe6, 0x01],
  [simd, 0xe4, 0x01],
]

/** A length in two bytes, then the bytes. */
function sized(bytes: readonly number[]): number[] {
  return [(bytes.length & 0x7f) | 0x80, bytes.length >> 7, ...bytes]
}

function section(id: number, entry: readonly number[]): number[] {
  return [id, ...sized([1, ...entry])]
}

const header = [0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00]

/** (rounds: i32, factor: f32) → f32: the factor in all lanes is local 2, the sums are the locals behind it. */
function moduleBytes(): Uint8Array<ArrayBuffer> {
  const locals = Array.from({ length: sums }, (_, i) => 3 + i)
  const start = [get, 1, simd, 0x13, set, 2]
  const load = (i: number) => [constant, 0, simd, 0x00, 4, ((16 * i) & 0x7f) | 0x80, (16 * i) >> 7]
  const round = locals.flatMap((local, i) => [get, local, get, 2, ...load(i), ...mul, ...add, set, local])
  const next = [get, 0, constant, 1, 0x6b, 0x22, 0, 0x0d, 0]
  const total = [get, 2, ...locals.flatMap((local) => [get, local, ...add])]
  const body = [1, 1 + sums, v128, ...start, 0x03, 0x40, ...round, ...next, 0x0b, ...total, simd, 0x1f, 0, 0x0b]
  return Uint8Array.from([
    ...header,
    ...section(1, [0x60, 2, i32, f32, 1, f32]),
    ...section(3, [0]),
    ...section(5, [0, 1]),
    ...section(7, [4, ...new TextEncoder().encode("peak"), 0, 0]),
    ...section(10, sized(body)),
  ])
}

/** Work of this many floating point operations, products and sums in equal numbers, on one thread. */
export function peakWork(operations: number): () => number {
  const { exports } = new WebAssembly.Instance(new WebAssembly.Module(moduleBytes()))
  const run = exports["peak"] as (rounds: number, factor: number) => number
  const rounds = Math.max(1, Math.round(operations / perRound))
  return () => run(rounds, 1)
}

const note = "no product, but as much arithmetic as fast as it goes: its ratio is the share of the peak that is reached"

/** As a peer: what a product would take at the peak. */
export default function start(): Peer {
  const products = workloads.flatMap(({ id, flops }) =>
    isWanted(id, ["gemm"]) && flops !== null ? [{ id, flops }] : [],
  )
  const jobs = products.map(({ id, flops }) => [id, () => ({ step: peakWork(flops), check: null, note })] as const)
  return { version: "products and sums of f32x4", workloads: Object.fromEntries(jobs) }
}
