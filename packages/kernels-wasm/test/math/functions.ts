// All elementary functions in one instance, callable from JavaScript.

import { ModuleBuilder } from "../../src/assembler/index.ts"
import { functions } from "../../src/generate/index.ts"
import { mathFunctions, type UnaryFunction, unaryFunctions } from "../../src/math/index.ts"
import { instantiate } from "../assembler/instance.ts"

const module = new ModuleBuilder()
const math = mathFunctions(module, functions)
for (const name of unaryFunctions) {
  module.export(name, math[name])
  module.export(`${name}_f32`, math.single(name))
}
module.export("pow", math.pow)
module.export("pow_f32", math.singlePow)
const instance = instantiate(module)

export type Real = (x: number) => number

function unary(suffix: string): Readonly<Record<UnaryFunction, Real>> {
  const real = (name: UnaryFunction): Real => {
    const exported = instance.get(`${name}${suffix}`)
    return (x) => Number(exported(x))
  }
  return {
    exp: real("exp"),
    log: real("log"),
    log1p: real("log1p"),
    sin: real("sin"),
    cos: real("cos"),
    tanh: real("tanh"),
    erf: real("erf"),
  }
}

export const double = unary("")
export const single = unary("_f32")

export const pow = (x: number, y: number): number => Number(instance.get("pow")(x, y))
export const singlePow = (x: number, y: number): number => Number(instance.get("pow_f32")(x, y))
