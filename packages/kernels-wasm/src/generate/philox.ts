// Philox4x32-10, the counter-based generator of Salmon, Moraes, Dror & Shaw, "Parallel random numbers: as easy as 1, 2, 3"
// (SC 2011), as a function of a module: four random words of a 64-bit key and a 128-bit counter.

import { type Expr, type FunctionRef, i32, i64, type Local, type ModuleBuilder } from "../assembler/index.ts"

const [multiplier0, multiplier1] = [0xd2511f53, 0xcd9e8d57]
/** Key increments: the golden ratio and √3 − 1, as 32-bit fractions. */
const [weyl0, weyl1] = [0x9e3779b9, 0xbb67ae85]
const rounds = 10

type Words<N extends readonly unknown[]> = { readonly [I in keyof N]: "i32" }
export type Philox = FunctionRef<Words<[0, 1, 2, 3, 4, 5]>, Words<[0, 1, 2, 3]>>

const emitted = new WeakMap<ModuleBuilder, Philox>()

/** (key0, key1, c0, c1, c2, c3) → four words; one function per module. */
export function philoxOf(module: ModuleBuilder): Philox {
  let philox = emitted.get(module)
  if (philox === undefined) emitted.set(module, (philox = emitPhilox(module)))
  return philox
}

function emitPhilox(module: ModuleBuilder): Philox {
  const [params, results] = [["i32", "i32", "i32", "i32", "i32", "i32"] as const, ["i32", "i32", "i32", "i32"] as const]
  return module.function("philox", params, results, (f, key0, key1, x0, x1, x2, x3) => {
    for (let round = 0; round < rounds; round++) {
      const product0 = f.let(multiply(x0, multiplier0))
      const product1 = f.let(multiply(x2, multiplier1))
      f.set(x0, i32.xor(i32.xor(high(product1), x1), key0))
      f.set(x1, i32.wrapI64(product1))
      f.set(x2, i32.xor(i32.xor(high(product0), x3), key1))
      f.set(x3, i32.wrapI64(product0))
      f.increment(key0, weyl0)
      f.increment(key1, weyl1)
    }
    f.return(x0, x1, x2, x3)
  })
}

function multiply(x: Local<"i32">, by: number): Expr<"i64"> {
  return i64.mul(i64.extendI32U(x), by)
}

function high(product: Local<"i64">): Expr<"i32"> {
  return i32.wrapI64(i64.shrU(product, 32))
}
