// The numeric instructions of i32, i64, f32 and f64. The name of a conversion says its source: f64.convertI32S(i32).

import type { ValueType } from "../expression.ts"
import { group, misc } from "./table.ts"

type Numbers<K extends string> = Readonly<Record<K, number>>

const unary = <A extends ValueType, R extends ValueType, K extends string>(from: A, to: R, numbers: Numbers<K>) =>
  group([from], [to], numbers)
const binary = <A extends ValueType, R extends ValueType, K extends string>(from: A, to: R, numbers: Numbers<K>) =>
  group([from, from], [to], numbers)

export const i32Table = {
  ...unary("i32", "i32", { eqz: 0x45, clz: 0x67, ctz: 0x68, popcnt: 0x69, extend8S: 0xc0, extend16S: 0xc1 }),
  ...binary("i32", "i32", { eq: 0x46, ne: 0x47, ltS: 0x48, ltU: 0x49, gtS: 0x4a, gtU: 0x4b }),
  ...binary("i32", "i32", { leS: 0x4c, leU: 0x4d, geS: 0x4e, geU: 0x4f }),
  ...binary("i32", "i32", { add: 0x6a, sub: 0x6b, mul: 0x6c, divS: 0x6d, divU: 0x6e, remS: 0x6f, remU: 0x70 }),
  ...binary("i32", "i32", {
    and: 0x71,
    or: 0x72,
    xor: 0x73,
    shl: 0x74,
    shrS: 0x75,
    shrU: 0x76,
    rotl: 0x77,
    rotr: 0x78,
  }),
  ...unary("i64", "i32", { wrapI64: 0xa7 }),
  ...unary("f32", "i32", { truncF32S: 0xa8, truncF32U: 0xa9, reinterpretF32: 0xbc }),
  ...unary("f32", "i32", { truncSatF32S: misc(0), truncSatF32U: misc(1) }),
  ...unary("f64", "i32", { truncF64S: 0xaa, truncF64U: 0xab, truncSatF64S: misc(2), truncSatF64U: misc(3) }),
}

export const i64Table = {
  ...unary("i64", "i32", { eqz: 0x50 }),
  ...unary("i64", "i64", { clz: 0x79, ctz: 0x7a, popcnt: 0x7b, extend8S: 0xc2, extend16S: 0xc3, extend32S: 0xc4 }),
  ...binary("i64", "i32", { eq: 0x51, ne: 0x52, ltS: 0x53, ltU: 0x54, gtS: 0x55, gtU: 0x56 }),
  ...binary("i64", "i32", { leS: 0x57, leU: 0x58, geS: 0x59, geU: 0x5a }),
  ...binary("i64", "i64", { add: 0x7c, sub: 0x7d, mul: 0x7e, divS: 0x7f, divU: 0x80, remS: 0x81, remU: 0x82 }),
  ...binary("i64", "i64", {
    and: 0x83,
    or: 0x84,
    xor: 0x85,
    shl: 0x86,
    shrS: 0x87,
    shrU: 0x88,
    rotl: 0x89,
    rotr: 0x8a,
  }),
  ...unary("i32", "i64", { extendI32S: 0xac, extendI32U: 0xad }),
  ...unary("f32", "i64", { truncF32S: 0xae, truncF32U: 0xaf, truncSatF32S: misc(4), truncSatF32U: misc(5) }),
  ...unary("f64", "i64", { truncF64S: 0xb0, truncF64U: 0xb1, reinterpretF64: 0xbd }),
  ...unary("f64", "i64", { truncSatF64S: misc(6), truncSatF64U: misc(7) }),
}

export const f32Table = {
  ...binary("f32", "i32", { eq: 0x5b, ne: 0x5c, lt: 0x5d, gt: 0x5e, le: 0x5f, ge: 0x60 }),
  ...unary("f32", "f32", { abs: 0x8b, neg: 0x8c, ceil: 0x8d, floor: 0x8e, trunc: 0x8f, nearest: 0x90, sqrt: 0x91 }),
  ...binary("f32", "f32", { add: 0x92, sub: 0x93, mul: 0x94, div: 0x95, min: 0x96, max: 0x97, copysign: 0x98 }),
  ...unary("i32", "f32", { convertI32S: 0xb2, convertI32U: 0xb3, reinterpretI32: 0xbe }),
  ...unary("i64", "f32", { convertI64S: 0xb4, convertI64U: 0xb5 }),
  ...unary("f64", "f32", { demoteF64: 0xb6 }),
}

export const f64Table = {
  ...binary("f64", "i32", { eq: 0x61, ne: 0x62, lt: 0x63, gt: 0x64, le: 0x65, ge: 0x66 }),
  ...unary("f64", "f64", { abs: 0x99, neg: 0x9a, ceil: 0x9b, floor: 0x9c, trunc: 0x9d, nearest: 0x9e, sqrt: 0x9f }),
  ...binary("f64", "f64", { add: 0xa0, sub: 0xa1, mul: 0xa2, div: 0xa3, min: 0xa4, max: 0xa5, copysign: 0xa6 }),
  ...unary("i32", "f64", { convertI32S: 0xb7, convertI32U: 0xb8 }),
  ...unary("i64", "f64", { convertI64S: 0xb9, convertI64U: 0xba, reinterpretI64: 0xbf }),
  ...unary("f32", "f64", { promoteF32: 0xbb }),
}
