// Atomic accesses to shared memory. Alignment must be the natural one. Read-modify-write instructions leave the old value.

import type { ValueType } from "../expression.ts"
import { atomic, group, mapped } from "./table.ts"

type Numbers<K extends string> = Readonly<Record<K, number>>

const load = <T extends ValueType, K extends string>(type: T, bytes: number, numbers: Numbers<K>) =>
  group(["i32"], [type], mapped(numbers, atomic), { bytes })
const modify = <T extends ValueType, K extends string>(type: T, bytes: number, numbers: Numbers<K>) =>
  group(["i32", type], [type], mapped(numbers, atomic), { bytes })
const exchange = <T extends ValueType, K extends string>(type: T, bytes: number, numbers: Numbers<K>) =>
  group(["i32", type, type], [type], mapped(numbers, atomic), { bytes })
const store = <T extends ValueType, K extends string>(type: T, bytes: number, numbers: Numbers<K>) =>
  group(["i32", type], [], mapped(numbers, atomic), { bytes })

export const atomicI32Table = {
  ...load("i32", 4, { load: 0x10 }),
  ...load("i32", 1, { load8U: 0x12 }),
  ...load("i32", 2, { load16U: 0x13 }),
  ...modify("i32", 4, { rmwAdd: 0x1e, rmwSub: 0x25, rmwAnd: 0x2c, rmwOr: 0x33, rmwXor: 0x3a, rmwXchg: 0x41 }),
  ...modify("i32", 1, { rmw8AddU: 0x20, rmw8SubU: 0x27, rmw8AndU: 0x2e }),
  ...modify("i32", 1, { rmw8OrU: 0x35, rmw8XorU: 0x3c, rmw8XchgU: 0x43 }),
  ...modify("i32", 2, { rmw16AddU: 0x21, rmw16SubU: 0x28, rmw16AndU: 0x2f }),
  ...modify("i32", 2, { rmw16OrU: 0x36, rmw16XorU: 0x3d, rmw16XchgU: 0x44 }),
  ...exchange("i32", 4, { rmwCmpxchg: 0x48 }),
  ...exchange("i32", 1, { rmw8CmpxchgU: 0x4a }),
  ...exchange("i32", 2, { rmw16CmpxchgU: 0x4b }),
}

export const atomicI64Table = {
  ...load("i64", 8, { load: 0x11 }),
  ...load("i64", 1, { load8U: 0x14 }),
  ...load("i64", 2, { load16U: 0x15 }),
  ...load("i64", 4, { load32U: 0x16 }),
  ...modify("i64", 8, { rmwAdd: 0x1f, rmwSub: 0x26, rmwAnd: 0x2d, rmwOr: 0x34, rmwXor: 0x3b, rmwXchg: 0x42 }),
  ...modify("i64", 1, { rmw8AddU: 0x22, rmw8SubU: 0x29, rmw8AndU: 0x30 }),
  ...modify("i64", 1, { rmw8OrU: 0x37, rmw8XorU: 0x3e, rmw8XchgU: 0x45 }),
  ...modify("i64", 2, { rmw16AddU: 0x23, rmw16SubU: 0x2a, rmw16AndU: 0x31 }),
  ...modify("i64", 2, { rmw16OrU: 0x38, rmw16XorU: 0x3f, rmw16XchgU: 0x46 }),
  ...modify("i64", 4, { rmw32AddU: 0x24, rmw32SubU: 0x2b, rmw32AndU: 0x32 }),
  ...modify("i64", 4, { rmw32OrU: 0x39, rmw32XorU: 0x40, rmw32XchgU: 0x47 }),
  ...exchange("i64", 8, { rmwCmpxchg: 0x49 }),
  ...exchange("i64", 1, { rmw8CmpxchgU: 0x4c }),
  ...exchange("i64", 2, { rmw16CmpxchgU: 0x4d }),
  ...exchange("i64", 4, { rmw32CmpxchgU: 0x4e }),
}

/** Sleep while memory holds a value, for at most so many nanoseconds; wake so many sleepers. */
export const waitTable = {
  ...group(["i32", "i32"], ["i32"], { notify: atomic(0x00) }, { bytes: 4 }),
  ...group(["i32", "i32", "i64"], ["i32"], { wait32: atomic(0x01) }, { bytes: 4 }),
  ...group(["i32", "i64", "i64"], ["i32"], { wait64: atomic(0x02) }, { bytes: 8 }),
}

export const atomicStores = {
  ...store("i32", 4, { "i32.atomic": 0x17 }),
  ...store("i32", 1, { "i32.atomic8": 0x19 }),
  ...store("i32", 2, { "i32.atomic16": 0x1a }),
  ...store("i64", 8, { "i64.atomic": 0x18 }),
  ...store("i64", 1, { "i64.atomic8": 0x1b }),
  ...store("i64", 2, { "i64.atomic16": 0x1c }),
  ...store("i64", 4, { "i64.atomic32": 0x1d }),
}
