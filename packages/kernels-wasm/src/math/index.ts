// The elementary functions as functions of a module, in float64 within 2 units in the last place over the whole domain, and
// for float32 by rounding those. A function is emitted when it is first asked for, with what it needs, and once a module.
//
//   const math = mathFunctions(module)
//   f.set(y, call(math.exp, x))                    // f64
//   f.set(z, call(math.single("tanh"), w))         // f32
//
// sqrt, floor, ceil and rounding half to even are instructions: f64.sqrt, f64.floor, f64.ceil, f64.nearest. The functions that
// take many of them are there only if the module was given their builders: what nobody calls need not be loaded.

import { fail } from "@counterflow/ir"
import { call, f32, f64, type FunctionRef, type ModuleBuilder } from "../assembler/index.ts"
import { buildExp } from "./exponential.ts"
import { buildLog, buildLog1p, buildLogOfParts, type LogOfParts } from "./logarithm.ts"
import type { Binary, Unary } from "./polynomial.ts"
import { buildTanh } from "./tanh.ts"

export type { Binary, Unary } from "./polynomial.ts"

export const unaryFunctions = ["exp", "log", "log1p", "sin", "cos", "tanh", "erf"] as const
export type UnaryFunction = (typeof unaryFunctions)[number]
export type SingleUnary = FunctionRef<readonly ["f32"], readonly ["f32"]>
export type SingleBinary = FunctionRef<readonly ["f32", "f32"], readonly ["f32"]>

type Builder<T> = (module: ModuleBuilder, math: MathFunctions) => T

/** Builders of functions that not every module has. */
export interface FunctionBuilders {
  readonly sin?: Builder<Unary>
  readonly cos?: Builder<Unary>
  readonly erf?: Builder<Unary>
  readonly pow?: Builder<Binary>
}

const made = new WeakMap<ModuleBuilder, MathFunctions>()

/** The functions of this module; the same object for the same module, which the first call gives its builders. */
export function mathFunctions(module: ModuleBuilder, builders: FunctionBuilders = {}): MathFunctions {
  const known = made.get(module)
  if (known !== undefined) return known
  const fresh = new MathFunctions(module, builders)
  made.set(module, fresh)
  return fresh
}

export class MathFunctions {
  readonly #module: ModuleBuilder
  readonly #builders: FunctionBuilders
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

  constructor(module: ModuleBuilder, builders: FunctionBuilders) {
    this.#module = module
    this.#builders = builders
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
    return (this.#sin ??= this.#build("sin"))
  }

  get cos(): Unary {
    return (this.#cos ??= this.#build("cos"))
  }

  get tanh(): Unary {
    return (this.#tanh ??= buildTanh(this.#module, this.exp))
  }

  get erf(): Unary {
    return (this.#erf ??= this.#build("erf"))
  }

  /** As ECMAScript has it: pow(x, 0) is 1 for any x, pow(±1, ±∞) and pow(1, NaN) are NaN. */
  get pow(): Binary {
    return (this.#pow ??= this.#build("pow"))
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

  #build<N extends keyof FunctionBuilders>(name: N): ReturnType<NonNullable<FunctionBuilders[N]>>
  #build(name: keyof FunctionBuilders): Unary | Binary {
    const build = this.#builders[name]
    return build?.(this.#module, this) ?? fail("CF_INTERNAL", `the module has no builder of ${name}`)
  }
}
