// The vector instructions of the 128-bit SIMD proposal, and the relaxed ones, whose results may differ between machines.

import type { ValueType } from "../expression.ts"
import { type Entry, group, mapped, simd, type Table } from "./table.ts"

const unary = <K extends string>(numbers: Readonly<Record<K, number>>) => group(["v128"], ["v128"], vector(numbers))
const binary = <K extends string>(numbers: Readonly<Record<K, number>>) =>
  group(["v128", "v128"], ["v128"], vector(numbers))
const shift = <K extends string>(numbers: Readonly<Record<K, number>>) =>
  group(["v128", "i32"], ["v128"], vector(numbers))
const test = <K extends string>(numbers: Readonly<Record<K, number>>) => group(["v128"], ["i32"], vector(numbers))

function vector<K extends string>(numbers: Readonly<Record<K, number>>): Record<K, number> {
  return mapped(numbers, simd)
}

export const v128Table = {
  ...unary({ not: 0x4d }),
  ...binary({ and: 0x4e, andnot: 0x4f, or: 0x50, xor: 0x51 }),
  ...group(["v128", "v128", "v128"], ["v128"], { bitselect: simd(0x52) }),
  ...test({ anyTrue: 0x53 }),
}

export const i8x16Table = {
  ...group(["i32"], ["v128"], { splat: simd(0x0f) }),
  ...unary({ abs: 0x60, neg: 0x61, popcnt: 0x62 }),
  ...test({ allTrue: 0x63, bitmask: 0x64 }),
  ...shift({ shl: 0x6b, shrS: 0x6c, shrU: 0x6d }),
  ...binary({
    swizzle: 0x0e,
    narrowI16x8S: 0x65,
    narrowI16x8U: 0x66,
    eq: 0x23,
    ne: 0x24,
    ltS: 0x25,
    ltU: 0x26,
    gtS: 0x27,
    gtU: 0x28,
  }),
  ...binary({
    leS: 0x29,
    leU: 0x2a,
    geS: 0x2b,
    geU: 0x2c,
    add: 0x6e,
    addSatS: 0x6f,
    addSatU: 0x70,
    sub: 0x71,
    subSatS: 0x72,
  }),
  ...binary({ subSatU: 0x73, minS: 0x76, minU: 0x77, maxS: 0x78, maxU: 0x79, avgrU: 0x7b }),
}

export const i16x8Table = {
  ...group(["i32"], ["v128"], { splat: simd(0x10) }),
  ...unary({ abs: 0x80, neg: 0x81, extaddPairwiseI8x16S: 0x7c, extaddPairwiseI8x16U: 0x7d }),
  ...unary({ extendLowI8x16S: 0x87, extendHighI8x16S: 0x88, extendLowI8x16U: 0x89, extendHighI8x16U: 0x8a }),
  ...test({ allTrue: 0x83, bitmask: 0x84 }),
  ...shift({ shl: 0x8b, shrS: 0x8c, shrU: 0x8d }),
  ...binary({
    eq: 0x2d,
    ne: 0x2e,
    ltS: 0x2f,
    ltU: 0x30,
    gtS: 0x31,
    gtU: 0x32,
    leS: 0x33,
    leU: 0x34,
    geS: 0x35,
    geU: 0x36,
  }),
  ...binary({
    q15mulrSatS: 0x82,
    narrowI32x4S: 0x85,
    narrowI32x4U: 0x86,
    add: 0x8e,
    addSatS: 0x8f,
    addSatU: 0x90,
    sub: 0x91,
  }),
  ...binary({ subSatS: 0x92, subSatU: 0x93, mul: 0x95, minS: 0x96, minU: 0x97, maxS: 0x98, maxU: 0x99, avgrU: 0x9b }),
  ...binary({ extmulLowI8x16S: 0x9c, extmulHighI8x16S: 0x9d, extmulLowI8x16U: 0x9e, extmulHighI8x16U: 0x9f }),
}

export const i32x4Table = {
  ...group(["i32"], ["v128"], { splat: simd(0x11) }),
  ...unary({ abs: 0xa0, neg: 0xa1, extaddPairwiseI16x8S: 0x7e, extaddPairwiseI16x8U: 0x7f }),
  ...unary({ extendLowI16x8S: 0xa7, extendHighI16x8S: 0xa8, extendLowI16x8U: 0xa9, extendHighI16x8U: 0xaa }),
  ...unary({ truncSatF32x4S: 0xf8, truncSatF32x4U: 0xf9, truncSatF64x2SZero: 0xfc, truncSatF64x2UZero: 0xfd }),
  ...test({ allTrue: 0xa3, bitmask: 0xa4 }),
  ...shift({ shl: 0xab, shrS: 0xac, shrU: 0xad }),
  ...binary({
    eq: 0x37,
    ne: 0x38,
    ltS: 0x39,
    ltU: 0x3a,
    gtS: 0x3b,
    gtU: 0x3c,
    leS: 0x3d,
    leU: 0x3e,
    geS: 0x3f,
    geU: 0x40,
  }),
  ...binary({ add: 0xae, sub: 0xb1, mul: 0xb5, minS: 0xb6, minU: 0xb7, maxS: 0xb8, maxU: 0xb9, dotI16x8S: 0xba }),
  ...binary({ extmulLowI16x8S: 0xbc, extmulHighI16x8S: 0xbd, extmulLowI16x8U: 0xbe, extmulHighI16x8U: 0xbf }),
}

export const i64x2Table = {
  ...group(["i64"], ["v128"], { splat: simd(0x12) }),
  ...unary({ abs: 0xc0, neg: 0xc1 }),
  ...unary({ extendLowI32x4S: 0xc7, extendHighI32x4S: 0xc8, extendLowI32x4U: 0xc9, extendHighI32x4U: 0xca }),
  ...test({ allTrue: 0xc3, bitmask: 0xc4 }),
  ...shift({ shl: 0xcb, shrS: 0xcc, shrU: 0xcd }),
  ...binary({ add: 0xce, sub: 0xd1, mul: 0xd5, eq: 0xd6, ne: 0xd7, ltS: 0xd8, gtS: 0xd9, leS: 0xda, geS: 0xdb }),
  ...binary({ extmulLowI32x4S: 0xdc, extmulHighI32x4S: 0xdd, extmulLowI32x4U: 0xde, extmulHighI32x4U: 0xdf }),
}

export const f32x4Table = {
  ...group(["f32"], ["v128"], { splat: simd(0x13) }),
  ...unary({ ceil: 0x67, floor: 0x68, trunc: 0x69, nearest: 0x6a, abs: 0xe0, neg: 0xe1, sqrt: 0xe3 }),
  ...unary({ demoteF64x2Zero: 0x5e, convertI32x4S: 0xfa, convertI32x4U: 0xfb }),
  ...binary({ eq: 0x41, ne: 0x42, lt: 0x43, gt: 0x44, le: 0x45, ge: 0x46 }),
  ...binary({ add: 0xe4, sub: 0xe5, mul: 0xe6, div: 0xe7, min: 0xe8, max: 0xe9, pmin: 0xea, pmax: 0xeb }),
}

export const f64x2Table = {
  ...group(["f64"], ["v128"], { splat: simd(0x14) }),
  ...unary({ ceil: 0x74, floor: 0x75, trunc: 0x7a, nearest: 0x94, abs: 0xec, neg: 0xed, sqrt: 0xef }),
  ...unary({ promoteLowF32x4: 0x5f, convertLowI32x4S: 0xfe, convertLowI32x4U: 0xff }),
  ...binary({ eq: 0x47, ne: 0x48, lt: 0x49, gt: 0x4a, le: 0x4b, ge: 0x4c }),
  ...binary({ add: 0xf0, sub: 0xf1, mul: 0xf2, div: 0xf3, min: 0xf4, max: 0xf5, pmin: 0xf6, pmax: 0xf7 }),
}

const extract = <T extends ValueType, K extends string>(type: T, lanes: number, numbers: Readonly<Record<K, number>>) =>
  group(["v128"], [type], vector(numbers), { lanes })
const replace = <T extends ValueType>(type: T, lanes: number, number: number) =>
  group(["v128", type], ["v128"], { replaceLane: simd(number) }, { lanes })

/** By shape, as (lane, vector) or (lane, vector, value). */
export const laneTables = {
  i8x16: { ...extract("i32", 16, { extractLaneS: 0x15, extractLaneU: 0x16 }), ...replace("i32", 16, 0x17) },
  i16x8: { ...extract("i32", 8, { extractLaneS: 0x18, extractLaneU: 0x19 }), ...replace("i32", 8, 0x1a) },
  i32x4: { ...extract("i32", 4, { extractLane: 0x1b }), ...replace("i32", 4, 0x1c) },
  i64x2: { ...extract("i64", 2, { extractLane: 0x1d }), ...replace("i64", 2, 0x1e) },
  f32x4: { ...extract("f32", 4, { extractLane: 0x1f }), ...replace("f32", 4, 0x20) },
  f64x2: { ...extract("f64", 2, { extractLane: 0x21 }), ...replace("f64", 2, 0x22) },
} satisfies Record<string, Table>

/** Sixteen lane numbers below 32, which count through both operands. */
export const shuffleEntry: Entry<readonly ["v128", "v128"], readonly ["v128"]> = {
  opcode: simd(0x0d),
  params: ["v128", "v128"],
  results: ["v128"],
  bytes: 0,
  lanes: 32,
  isRelaxed: false,
}

const relaxed = <const P extends readonly ValueType[], K extends string>(
  params: P,
  numbers: Readonly<Record<K, number>>,
) => group(params, ["v128"], vector(numbers), { isRelaxed: true })
const three = ["v128", "v128", "v128"] as const

/** Accepted only by a module built with `relaxed: true`. */
export const relaxedTables = {
  i8x16: {
    ...relaxed(["v128", "v128"], { relaxedSwizzle: 0x100 }),
    ...relaxed(three, { relaxedLaneselect: 0x109 }),
  },
  i16x8: {
    ...relaxed(["v128", "v128"], { relaxedQ15mulrS: 0x111, relaxedDotI8x16I7x16S: 0x112 }),
    ...relaxed(three, { relaxedLaneselect: 0x10a }),
  },
  i32x4: {
    ...relaxed(["v128"], { relaxedTruncF32x4S: 0x101, relaxedTruncF32x4U: 0x102 }),
    ...relaxed(["v128"], { relaxedTruncF64x2SZero: 0x103, relaxedTruncF64x2UZero: 0x104 }),
    ...relaxed(three, { relaxedLaneselect: 0x10b, relaxedDotI8x16I7x16AddS: 0x113 }),
  },
  i64x2: relaxed(three, { relaxedLaneselect: 0x10c }),
  f32x4: {
    ...relaxed(["v128", "v128"], { relaxedMin: 0x10d, relaxedMax: 0x10e }),
    ...relaxed(three, { relaxedMadd: 0x105, relaxedNmadd: 0x106 }),
  },
  f64x2: {
    ...relaxed(["v128", "v128"], { relaxedMin: 0x10f, relaxedMax: 0x110 }),
    ...relaxed(three, { relaxedMadd: 0x107, relaxedNmadd: 0x108 }),
  },
} satisfies Record<string, Table>
