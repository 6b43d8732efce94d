// The elementary functions as functions of a module, in float64 within 2 units in the last place over the whole domain, and
// for float32 by rounding those. A function is emitted when it is first asked for, with what it needs, and once a module.
//
//   const math = mathFunctions(module)
//   f.set(y, call(math.exp, x))                    // f64
//   f.set(z, call(math.single("tanh"), w))         // f32
//
// sqrt, floor, ceil and rounding half to even are instructions: f64.sqrt, f64.floor, f64.ceil, f64.nearest.

import { call, f32, f64, type FunctionRef, type ModuleBuilder } from "../assembler/index.ts"
import { buildErf } from "./erf.ts"
import { buildExp } from "./exponential.ts"
import { buildLog, buildLog1p, buildLogOfParts, type LogOfParts } from "./logarithm.ts"
import type { Binary, Unary } from "./polynomial.ts"
import { buildExp2OfParts, buildLog2InParts, buildPow } from "./power.ts"
import { buildReduction } from "./reduction.ts"
import { buildTanh } from "./tanh.ts"
import { buildCos, buildCosineKernel, buildSin, buildSineKernel } from "./trigonometry.ts"

export type { Binary, Unary } from "./polynomial.ts"

export const unaryFunctions = ["exp", "log", "log1p", "sin", "cos", "tanh", "erf"] as const
export type UnaryFunction = (typeof unaryFunctions)[number]
export type SingleUnary = FunctionRef<readonly ["f32"], readonly ["f32"]>
export type SingleBinary = FunctionRef<readonly ["f32", "f32"], readonly ["f32"]>

const made = new WeakMap<ModuleBuilder, MathFunctions>()

/** The functions of this module; the same object for the same module. */
export function mathFunctions(module: ModuleBuilder): MathFunctions {
  const known = made.get(module)
  if (known !== undefined) return known
  const fresh = new MathFunctions(module)
  made.set(module, fresh)
  return fresh
}

export class MathFunctions {
  readonly #module: ModuleBuilder
  readonly #singles = new Map<UnaryFunction, SingleUnary>()
  #exp: Unary | undefined
  #log: Unary | undefined
  #log1p: Unary | undefined
  #logOfParts: LogOfParts | undefined
  #sin: Unary | undefined
  #cos: Unary | undefined
  #tanh: Unary | undefined
  #erf: Unary | undefined
  #pow: Binary | undefined
  #singlePow: SingleBinary | undefined
  #trigonometry: Parameters<typeof buildSin>[1] | undefined

  constructor(module: ModuleBuilder) {
    this.#module = module
  }

  get exp(): Unary {
    return (this.#exp ??= buildExp(this.#module))
  }

  get log(): Unary {
    return (this.#log ??= buildLog(this.#module, this.#logParts()))
  }

  get log1p(): Unary {
    return (this.#log1p ??= buildLog1p(this.#module, this.#logParts()))
  }

  get sin(): Unary {
    return (this.#sin ??= buildSin(this.#module, this.#trigonometryParts()))
  }

  get cos(): Unary {
    return (this.#cos ??= buildCos(this.#module, this.#trigonometryParts()))
  }

  get tanh(): Unary {
    return (this.#tanh ??= buildTanh(this.#module, this.exp))
  }

  get erf(): Unary {
    return (this.#erf ??= buildErf(this.#module, this.exp))
  }

  /** As ECMAScript has it: pow(x, 0) is 1 for any x, pow(±1, ±∞) and pow(1, NaN) are NaN. */
  get pow(): Binary {
    return (this.#pow ??= buildPow(this.#module, buildLog2InParts(this.#module), buildExp2OfParts(this.#module)))
  }

  /** The f32 function: the f64 one, rounded, which is wrong by at most 0.5 units and a trifle. */
  single(name: UnaryFunction): SingleUnary {
    const known = this.#singles.get(name)
    if (known !== undefined) return known
    const double = this[name]
    const fresh = this.#module.function(`${name}_f32`, ["f32"], ["f32"], (f, x) => {
      f.return(f32.demoteF64(call(double, f64.promoteF32(x))))
    })
    this.#singles.set(name, fresh)
    return fresh
  }

  get singlePow(): SingleBinary {
    const double = this.pow
    return (this.#singlePow ??= this.#module.function("pow_f32", ["f32", "f32"], ["f32"], (f, x, y) => {
      f.return(f32.demoteF64(call(double, f64.promoteF32(x), f64.promoteF32(y))))
    }))
  }

  #logParts(): LogOfParts {
    return (this.#logOfParts ??= buildLogOfParts(this.#module))
  }

  #trigonometryParts(): Parameters<typeof buildSin>[1] {
    return (this.#trigonometry ??= {
      reduction: buildReduction(this.#module),
      sineKernel: buildSineKernel(this.#module),
      cosineKernel: buildCosineKernel(this.#module),
    })
  }
}
