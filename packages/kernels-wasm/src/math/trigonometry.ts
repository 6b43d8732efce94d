// sin and cos: polynomials on [-π/4, π/4] with a correction for the second part of the reduced argument.
// Sun's fdlibm `k_sin.c` and FreeBSD's `k_cos.c`, coefficients and error bound (below 1 ulp) included.

import { call, f64, type FunctionBuilder, i32, type Local, type ModuleBuilder } from "../assembler/index.ts"
import { type Binary, polynomial, type Unary } from "./polynomial.ts"
import type { Reduction } from "./reduction.ts"

const { add, sub, mul } = f64

const sineFirst = -1.6666666666666632e-1
const sineLow = [8.33333333332249e-3, -1.984126982985795e-4, 2.7557313707070068e-6]
const sineHigh = [-2.5050760253406863e-8, 1.58969099521155e-10]
const cosineLow = [4.16666666666666e-2, -1.388888888887411e-3, 2.480158728947673e-5]
const cosineHigh = [-2.7557314351390663e-7, 2.087572321298175e-9, -1.1359647557788195e-11]

/** sin(y + rest) */
export function buildSineKernel(module: ModuleBuilder): Binary {
  return module.function("sineKernel", ["f64", "f64"], ["f64"], (f, y, rest) => {
    const z = f.let(mul(y, y), "z")
    const high = mul(mul(z, mul(z, z)), polynomial(z, sineHigh))
    const r = f.let(add(polynomial(z, sineLow), high), "r")
    const v = f.let(mul(z, y), "v")
    f.return(sub(y, sub(sub(mul(z, sub(mul(0.5, rest), mul(v, r))), rest), mul(v, sineFirst))))
  })
}

/** cos(y + rest) */
export function buildCosineKernel(module: ModuleBuilder): Binary {
  return module.function("cosineKernel", ["f64", "f64"], ["f64"], (f, y, rest) => {
    const z = f.let(mul(y, y), "z")
    const w = f.let(mul(z, z), "w")
    const r = f.let(add(mul(z, polynomial(z, cosineLow)), mul(mul(w, w), polynomial(z, cosineHigh))), "r")
    const half = f.let(mul(0.5, z), "half")
    const main = f.let(sub(1, half), "main")
    f.return(add(main, add(sub(sub(1, main), half), sub(mul(z, r), mul(y, rest)))))
  })
}

export interface Parts {
  readonly reduction: Reduction
  readonly sineKernel: Binary
  readonly cosineKernel: Binary
}

export function buildSin(module: ModuleBuilder, parts: Parts): Unary {
  return module.function("sin", ["f64"], ["f64"], (f, x) => {
    f.if(f64.lt(f64.abs(x), Math.PI / 4), () => f.return(call(parts.sineKernel, x, 0)))
    returnQuarter(f, x, parts, 0)
  })
}

export function buildCos(module: ModuleBuilder, parts: Parts): Unary {
  return module.function("cos", ["f64"], ["f64"], (f, x) => {
    f.if(f64.lt(f64.abs(x), Math.PI / 4), () => f.return(call(parts.cosineKernel, x, 0)))
    returnQuarter(f, x, parts, 1)
  })
}

/** sin(x + turns π/2) */
function returnQuarter(f: FunctionBuilder, x: Local<"f64">, parts: Parts, turns: number): void {
  const q = f.local("i32", undefined, "q")
  const y = f.local("f64", undefined, "y")
  const rest = f.local("f64", undefined, "rest")
  f.receive([q, y, rest], parts.reduction, x)
  f.set(q, i32.add(q, turns))
  const result = f.local("f64", undefined, "result")
  f.if(
    i32.and(q, 1),
    () => f.set(result, call(parts.cosineKernel, y, rest)),
    () => f.set(result, call(parts.sineKernel, y, rest)),
  )
  f.if(i32.and(q, 2), () => f.return(f64.neg(result)))
  f.return(result)
}
