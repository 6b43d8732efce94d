// The form of the opcode tables: groups of instructions of one signature, from a name in camel case to a number. The text
// name follows from the camel-case one ("truncSatF64S" is trunc_sat_f64_s), so no name is written twice.

import type { ValueType } from "../expression.ts"

export interface Entry<
  P extends readonly ValueType[] = readonly ValueType[],
  R extends readonly ValueType[] = readonly ValueType[],
> {
  readonly opcode: number
  readonly params: P
  /** One type, or none for an instruction that leaves no value. */
  readonly results: R
  /** Accesses memory: takes a memarg whose natural alignment is this many bytes; 0 for no access. */
  readonly bytes: number
  /** Takes lane numbers as immediates, each below this bound; 0 for none. */
  readonly lanes: number
  readonly isRelaxed: boolean
}

export type Table = Readonly<Record<string, Entry>>

/** 0xfc: saturating conversions and bulk memory. */
export const misc = (number: number): number => (0xfc << 12) | number
/** 0xfd: vectors. */
export const simd = (number: number): number => (0xfd << 12) | number
/** 0xfe: atomics. */
export const atomic = (number: number): number => (0xfe << 12) | number

interface GroupFacts {
  readonly bytes?: number
  readonly lanes?: number
  readonly isRelaxed?: boolean
}

export function group<const P extends readonly ValueType[], const R extends readonly ValueType[], K extends string>(
  params: P,
  results: R,
  opcodes: Readonly<Record<K, number>>,
  { bytes = 0, lanes = 0, isRelaxed = false }: GroupFacts = {},
): Readonly<Record<K, Entry<P, R>>> {
  const entry = (opcode: number): Entry<P, R> => ({ opcode, params, results, bytes, lanes, isRelaxed })
  return mapped(opcodes, entry)
}

/** The same keys with other values. */
export function mapped<K extends string, A, B>(
  from: Readonly<Record<K, A>>,
  change: (value: A, key: K) => B,
): Record<K, B> {
  const keys = Object.keys(from) as K[]
  return Object.fromEntries(keys.map((key) => [key, change(from[key], key)])) as Record<K, B>
}

/** "truncSatF64S" → "trunc_sat_f64_s"; "rmw8AddU" → "rmw8.add_u". */
export function textName(prefix: string, key: string): string {
  const access = /^(rmw\d*)([A-Z])(.*)$/.exec(key)
  if (access !== null) return textName(`${prefix}.${access[1]}`, `${access[2]?.toLowerCase()}${access[3]}`)
  return `${prefix}.${key.replace(/(?<=.)[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)}`
}
