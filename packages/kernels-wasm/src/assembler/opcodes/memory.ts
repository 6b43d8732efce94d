// Loads, by the type of the value they leave, and stores, by the name a statement gives them.

import { group, simd } from "./table.ts"

export const i32Loads = {
  ...group(["i32"], ["i32"], { load: 0x28 }, { bytes: 4 }),
  ...group(["i32"], ["i32"], { load8S: 0x2c, load8U: 0x2d }, { bytes: 1 }),
  ...group(["i32"], ["i32"], { load16S: 0x2e, load16U: 0x2f }, { bytes: 2 }),
}

export const i64Loads = {
  ...group(["i32"], ["i64"], { load: 0x29 }, { bytes: 8 }),
  ...group(["i32"], ["i64"], { load8S: 0x30, load8U: 0x31 }, { bytes: 1 }),
  ...group(["i32"], ["i64"], { load16S: 0x32, load16U: 0x33 }, { bytes: 2 }),
  ...group(["i32"], ["i64"], { load32S: 0x34, load32U: 0x35 }, { bytes: 4 }),
}

export const f32Loads = group(["i32"], ["f32"], { load: 0x2a }, { bytes: 4 })
export const f64Loads = group(["i32"], ["f64"], { load: 0x2b }, { bytes: 8 })

export const v128Loads = {
  ...group(["i32"], ["v128"], { load: simd(0x00) }, { bytes: 16 }),
  ...group(
    ["i32"],
    ["v128"],
    { load8x8S: simd(0x01), load8x8U: simd(0x02), load16x4S: simd(0x03), load16x4U: simd(0x04) },
    { bytes: 8 },
  ),
  ...group(
    ["i32"],
    ["v128"],
    { load32x2S: simd(0x05), load32x2U: simd(0x06), load64Splat: simd(0x0a), load64Zero: simd(0x5d) },
    { bytes: 8 },
  ),
  ...group(["i32"], ["v128"], { load8Splat: simd(0x07) }, { bytes: 1 }),
  ...group(["i32"], ["v128"], { load16Splat: simd(0x08) }, { bytes: 2 }),
  ...group(["i32"], ["v128"], { load32Splat: simd(0x09), load32Zero: simd(0x5c) }, { bytes: 4 }),
}

/** Load into one lane: (lane, address, vector, offset). */
export const v128LaneLoads = {
  ...group(["i32", "v128"], ["v128"], { load8Lane: simd(0x54) }, { bytes: 1, lanes: 16 }),
  ...group(["i32", "v128"], ["v128"], { load16Lane: simd(0x55) }, { bytes: 2, lanes: 8 }),
  ...group(["i32", "v128"], ["v128"], { load32Lane: simd(0x56) }, { bytes: 4, lanes: 4 }),
  ...group(["i32", "v128"], ["v128"], { load64Lane: simd(0x57) }, { bytes: 8, lanes: 2 }),
}

/** What a stored value is called: its type, and the width where only the low bits go to memory. */
export const stores = {
  ...group(["i32", "i32"], [], { i32: 0x36 }, { bytes: 4 }),
  ...group(["i32", "i32"], [], { "i32.8": 0x3a }, { bytes: 1 }),
  ...group(["i32", "i32"], [], { "i32.16": 0x3b }, { bytes: 2 }),
  ...group(["i32", "i64"], [], { i64: 0x37 }, { bytes: 8 }),
  ...group(["i32", "i64"], [], { "i64.8": 0x3c }, { bytes: 1 }),
  ...group(["i32", "i64"], [], { "i64.16": 0x3d }, { bytes: 2 }),
  ...group(["i32", "i64"], [], { "i64.32": 0x3e }, { bytes: 4 }),
  ...group(["i32", "f32"], [], { f32: 0x38 }, { bytes: 4 }),
  ...group(["i32", "f64"], [], { f64: 0x39 }, { bytes: 8 }),
  ...group(["i32", "v128"], [], { v128: simd(0x0b) }, { bytes: 16 }),
}

export const laneStores = {
  ...group(["i32", "v128"], [], { lane8: simd(0x58) }, { bytes: 1, lanes: 16 }),
  ...group(["i32", "v128"], [], { lane16: simd(0x59) }, { bytes: 2, lanes: 8 }),
  ...group(["i32", "v128"], [], { lane32: simd(0x5a) }, { bytes: 4, lanes: 4 }),
  ...group(["i32", "v128"], [], { lane64: simd(0x5b) }, { bytes: 8, lanes: 2 }),
}
