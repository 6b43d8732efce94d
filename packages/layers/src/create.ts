// A parameter without a layer around it.

import { type DType, fail, isDType, isFloat, type Parameter } from "@counterflow/ir"
import { paramAttrOf, type ParamAttrLike } from "./attribute.ts"
import { Xavier } from "./fans.ts"
import { Constant, type Initializer } from "./initializer.ts"
import { layer } from "./layer.ts"

export interface CreateParameterOptions {
  shape: readonly number[]
  dtype?: DType
  name?: string | null
  attr?: ParamAttrLike
  /** A bias starts from zero, other parameters from Xavier's uniform draw. */
  isBias?: boolean
  defaultInitializer?: Initializer | null
}

/** A trainable parameter of the default main program, with its initializer in the startup program. */
export function createParameter(options: CreateParameterOptions): Parameter {
  const init = { type: "createParameter", fn: createParameter, inputs: {}, options, kinds }
  return layer(init, (own) => {
    const { shape, dtype = "float32", attr, name, isBias = false, defaultInitializer } = options
    if (!Array.isArray(shape) || !shape.every((size) => Number.isSafeInteger(size) && size >= 0)) {
      fail("CF_BAD_ATTRIBUTE", `shape must be an array of sizes, got ${JSON.stringify(shape)}`)
    }
    if (!isDType(dtype)) fail("CF_BAD_ATTRIBUTE", `dtype must be one of the six, got ${String(dtype)}`)
    if (attr === false) fail("CF_BAD_ATTRIBUTE", "attr must not be false: there would be no parameter")
    const usual = isBias || !isFloat(dtype) ? new Constant(0) : new Xavier()
    return own.parameter({
      letter: isBias ? "b" : "w",
      shape,
      dtype,
      attr: typeof name === "string" ? { name, ...paramAttrOf(attr) } : attr,
      initializer: defaultInitializer ?? usual,
    })
  })
}

const kinds = {
  shape: "any",
  dtype: "any",
  name: "name",
  attr: "attr",
  isBias: "bool",
  defaultInitializer: "any",
} as const
