// The embedding layer: a table of vectors to be trained, looked up by id.

import { fail, type FloatDType, type Variable } from "@counterflow/ir"
import { embedding as lookUp } from "@counterflow/ops"
import type { ParamAttrLike } from "./attribute.ts"
import { Xavier } from "./fans.ts"
import { layer } from "./layer.ts"
import { isSize } from "./options.ts"

export interface EmbeddingOptions {
  /** How many ids there are, and how wide a vector is. */
  size: readonly number[]
  /** This id reads as zeros and is not trained; from the end if negative. */
  paddingIdx?: number | null
  paramAttr?: ParamAttrLike
  dtype?: FloatDType
  name?: string | null
}

/** Vectors by id, of shape ids.shape + [width]. The table [vocabulary, width] starts from Xavier's uniform draw. */
export function embedding(ids: Variable, options: EmbeddingOptions): Variable {
  return layer({ type: "embedding", fn: embedding, inputs: { ids }, options, kinds }, (own) => {
    const { size, paramAttr, paddingIdx = null, dtype = "float32" } = options
    if (!Array.isArray(size) || size.length !== 2 || !size.every(isSize)) {
      fail("CF_BAD_ATTRIBUTE", `size must be [vocabulary, width], got ${JSON.stringify(size)}`)
    }
    if (paramAttr === false) fail("CF_BAD_ATTRIBUTE", "paramAttr must not be false: the layer needs its table")
    const w = own.parameter({ letter: "w", shape: size, dtype, attr: paramAttr, initializer: new Xavier() })
    return lookUp(ids, w, { paddingIdx })
  })
}

const kinds = {
  size: "any",
  paddingIdx: "int",
  paramAttr: "attr",
  dtype: ["float32", "float64"],
  name: "name",
} as const
