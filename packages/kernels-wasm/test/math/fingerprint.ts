// All results of all functions over a fixed list of arguments as one number: the same in every engine, because the functions
// use nothing but correctly rounded operations. NaN counts as NaN, whatever its bits.

import { unaryFunctions } from "../../src/math/index.ts"
import { double, pow, single, singlePow } from "./functions.ts"

export const expectedFingerprint = 12004560803387912398n

const view = new DataView(new ArrayBuffer(8))

export function fingerprint(): bigint {
  let sum = 0n
  const mix = (x: number) => {
    view.setFloat64(0, Number.isNaN(x) ? NaN : x)
    // FNV-1a by words.
    sum = BigInt.asUintN(64, (sum ^ view.getBigUint64(0)) * 0x100000001b3n)
  }
  for (const x of list()) {
    for (const name of unaryFunctions) {
      mix(double[name](x))
      mix(single[name](x))
    }
    mix(pow(Math.abs(x), 1.7))
    mix(singlePow(Math.abs(x), -0.3))
  }
  return sum
}

/** Multiplicative steps over all sizes, additive ones near 0. */
function list(): number[] {
  const sizes = Array.from({ length: 700 }, (_, i) => (1 + ((i * 0.618) % 1)) * 2 ** (3 * i - 1050))
  const small = Array.from({ length: 1000 }, (_, i) => i * 0.0123)
  return [...sizes, ...small].flatMap((x) => [x, -x])
}
