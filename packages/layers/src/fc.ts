// The fully connected layer.

import { fail, formatShape, numel, type Shape, type Variable } from "@counterflow/ir"
import { add, flattenMatmul, requireFloat, sum } from "@counterflow/ops"
import { activate, type Activation } from "./activation.ts"
import type { ParamAttrLike } from "./attribute.ts"
import { Xavier } from "./fans.ts"
import { Constant } from "./initializer.ts"
import { layer } from "./layer.ts"

export interface FcOptions {
  /** The width of the result. */
  size: number
  /** How many leading axes of x are kept; all others are flattened into its width. −1 keeps all but the last. */
  numFlattenDims?: number
  /** Of the weights; for a list of inputs a list, or one for all. */
  paramAttr?: ParamAttrLike | readonly ParamAttrLike[]
  /** Of the bias; false for none. */
  biasAttr?: ParamAttrLike
  act?: Activation | null
  name?: string | null
}

/**
 * act(x w + b), where x is flattened to rows of width k, w is [k, size] and b is [size]. Several inputs have weights of their
 * own, and their products are added. Weights start from Xavier's uniform draw, the bias from zero.
 */
export function fc(x: Variable | readonly Variable[], options: FcOptions): Variable {
  return layer({ type: "fc", fn: fc, inputs: { x }, options, kinds }, (own) => {
    const { size, biasAttr, act } = options
    const xs: readonly Variable[] = Array.isArray(x) ? x : [x]
    const attrs = attrsOf(options.paramAttr, xs.length)
    const products = xs.map((input, index) => {
      requireFloat("x", input)
      const [kept, width] = flattened(input.shape, options.numFlattenDims ?? 1)
      const { dtype } = input
      const w = own.parameter({
        letter: "w",
        shape: [width, size],
        dtype,
        attr: attrs[index],
        initializer: new Xavier(),
      })
      return flattenMatmul(input, w, { xNumColDims: kept })
    })
    const [first = fail("CF_INTERNAL", "fc lost its inputs")] = products
    const product = products.length === 1 ? first : sum(products)
    if (biasAttr === false) return activate(product, act)
    const { dtype } = product
    const b = own.parameter({ letter: "b", shape: [size], dtype, attr: biasAttr, initializer: new Constant(0) })
    return activate(add(product, b), act)
  })
}

const kinds = {
  size: "required size",
  numFlattenDims: "int",
  paramAttr: "attr",
  biasAttr: "attr",
  act: "act",
  name: "name",
} as const

function attrsOf(given: FcOptions["paramAttr"], count: number): readonly ParamAttrLike[] {
  const attrs: readonly ParamAttrLike[] = isList(given) ? given : Array.from({ length: count }, () => given)
  if (attrs.length !== count) {
    fail("CF_BAD_ATTRIBUTE", `paramAttr must hold one entry per input, ${count}, got ${attrs.length}`)
  }
  if (attrs.includes(false)) fail("CF_BAD_ATTRIBUTE", "paramAttr must not be false: fc needs its weights")
  return attrs
}

function isList(given: FcOptions["paramAttr"]): given is readonly ParamAttrLike[] {
  return Array.isArray(given)
}

/** How many axes are kept, and the width of the rest. */
function flattened(shape: Shape, numFlattenDims: number): [kept: number, width: number] {
  const kept = numFlattenDims === -1 ? shape.length - 1 : numFlattenDims
  if (kept < 1 || kept >= shape.length) {
    fail("CF_BAD_ATTRIBUTE", `numFlattenDims must keep at least one axis of x and flatten one, got ${numFlattenDims}`, {
      notes: [`x has shape ${formatShape(shape)}`],
    })
  }
  const width = numel(shape.slice(kept))
  if (typeof width === "number") return [kept, width]
  return fail("CF_SHAPE_MISMATCH", `the width of x must be known when the program is built, got ${width.key}`, {
    notes: [`x has shape ${formatShape(shape)}, of which ${kept === 1 ? "one axis is" : `${kept} axes are`} kept`],
    fix: "raise numFlattenDims, or give data a fixed size there",
  })
}
