// Dropout. The mask is an output, so that the gradient drops what the forward pass dropped; it is drawn as a float32 uniform
// whatever the dtype of x, so that a float64 copy of a program drops the same elements.

import { fail, site, type Variable } from "@counterflow/ir"
import { greaterEqual, where } from "./comparison.ts"
import { fillConstant } from "./creation.ts"
import { composite } from "./define.ts"
import { describe } from "./describe.ts"
import { emit } from "./emit.ts"
import { uniformRandomOp, withDraw } from "./random.ts"
import { requireFloat } from "./shapes.ts"
import { scale } from "./unary.ts"

const implementations = ["upscaleInTrain", "downgradeInInfer"] as const

export type DropoutImplementation = (typeof implementations)[number]

export interface DropoutOptions {
  /** The probability of an element to be dropped, 0 to 1. */
  dropoutProb?: number
  isTest?: boolean
  seed?: number | null
  /**
   * Where the factor 1 − p goes: `upscaleInTrain` divides by it while training and does nothing in a test, `downgradeInInfer`
   * (Fluid's default) does nothing while training and multiplies by it in a test.
   */
  dropoutImplementation?: DropoutImplementation
}

/** x with elements dropped (set to 0) at random; `clone({ forTest: true })` turns it off. */
export function dropout(x: Variable, options: DropoutOptions = {}): Variable {
  const { dropoutProb = 0.5, isTest = false, seed, dropoutImplementation = "upscaleInTrain" } = options
  return site(dropout, () =>
    withDraw(x.program, seed, "dropout", (counters, key) => {
      const attrs = { dropoutProb, isTest, dropoutImplementation, ...key }
      return emit(dropoutOp, { x, ...counters }, attrs, dropout).y
    }),
  )
}

interface DropoutAttrs {
  readonly dropoutProb: number
  readonly isTest: boolean
  readonly dropoutImplementation: DropoutImplementation
}

/** What kept elements are multiplied by. With p = 1 none is kept. */
function keptFactor({ dropoutProb: p, isTest, dropoutImplementation }: DropoutAttrs): number {
  if (dropoutImplementation === "downgradeInInfer") return isTest ? 1 - p : 1
  return isTest || p === 1 ? 1 : 1 / (1 - p)
}

function scaleKept(x: Variable, attrs: DropoutAttrs): Variable {
  const factor = keptFactor(attrs)
  return factor === 1 ? x : scale(x, { scale: factor })
}

export const dropoutOp = /*#__PURE__*/ composite({
  name: "dropout",
  inputs: { x: "tensor", step: "state", trip: "index?" },
  outputs: ["y", "mask"],
  attrs: {
    dropoutProb: "number",
    isTest: "bool",
    dropoutImplementation: implementations,
    seed: "int?",
    stream: "int",
  },
  infer: ({ x }, { dropoutProb, dropoutImplementation }) => {
    requireFloat("x", x)
    if (!(dropoutProb >= 0 && dropoutProb <= 1)) {
      fail("CF_BAD_ATTRIBUTE", `dropoutProb must lie between 0 and 1, got ${dropoutProb}`)
    }
    if (!implementations.includes(dropoutImplementation)) {
      fail(
        "CF_BAD_ATTRIBUTE",
        `dropoutImplementation must be ${implementations.join(" or ")}, got ${String(dropoutImplementation)}`,
      )
    }
    return { y: x, mask: { shape: x.shape, dtype: "bool" } }
  },
  // forward   y = f x where the mask is true, else 0;  mask = u ≥ p
  // backward  dx = f dy where the mask is true, else 0
  grad: (_inputs, { mask }, { y: dy }, attrs) => {
    if (dy === null) return { x: null }
    return { x: attrs.isTest ? scaleKept(dy, attrs) : where(mask, scaleKept(dy, attrs), 0) }
  },
  decompose: ({ x, step, trip }, attrs) => {
    const { shape, program } = x
    if (attrs.isTest) return { y: scaleKept(x, attrs), mask: fillConstant({ shape, value: 1, dtype: "bool", program }) }
    const { seed, stream, dropoutProb } = attrs
    const draw = { shape, dtype: "float32", min: 0, max: 1, seed, stream } as const
    const mask = greaterEqual(emit(uniformRandomOp, { step, trip }, draw, dropout).z, dropoutProb)
    return { y: where(mask, scaleKept(x, attrs), 0), mask }
  },
})

const step = { shape: [], dtype: "int32", values: [2] } as const

export const dropoutDoc = /*#__PURE__*/ describe(dropoutOp, {
  summary: "Elements set to 0 at random while training; the others are scaled so that the mean stays.",
  formula: "y = mask ∘ x / (1 − p),  mask = [u ≥ p],  u uniform in [0, 1)",
  source: "Srivastava et al., Dropout (JMLR 2014); Fluid 1.8, dropout",
  samples: [
    {
      in: { x: [3, 4], step },
      attrs: { dropoutProb: 0.5, isTest: false, dropoutImplementation: "upscaleInTrain", seed: 1, stream: 0 },
    },
    {
      in: { x: [2, 3, 2], step },
      attrs: { dropoutProb: 0.3, isTest: false, dropoutImplementation: "downgradeInInfer", seed: null, stream: 5 },
    },
    {
      in: { x: [2, 1], step },
      attrs: { dropoutProb: 0.3, isTest: true, dropoutImplementation: "downgradeInInfer", seed: 1, stream: 0 },
    },
    {
      in: { x: [4], step },
      attrs: { dropoutProb: 0.3, isTest: true, dropoutImplementation: "upscaleInTrain", seed: 1, stream: 0 },
    },
    {
      in: { x: [5], step },
      attrs: { dropoutProb: 1, isTest: false, dropoutImplementation: "upscaleInTrain", seed: 1, stream: 0 },
      note: "everything is dropped",
    },
    {
      in: { x: [5], step },
      attrs: { dropoutProb: 0, isTest: false, dropoutImplementation: "upscaleInTrain", seed: 1, stream: 0 },
      note: "nothing is dropped",
    },
    {
      in: { x: [0, 2], step },
      attrs: { dropoutProb: 0.5, isTest: false, dropoutImplementation: "upscaleInTrain", seed: 1, stream: 0 },
    },
  ],
  errorSamples: [
    {
      in: { x: [2], step },
      attrs: { dropoutProb: 1.5, isTest: false, dropoutImplementation: "upscaleInTrain", seed: 1, stream: 0 },
      code: "CF_BAD_ATTRIBUTE",
      text: /dropoutProb must lie between 0 and 1, got 1.5/,
    },
    {
      in: { x: { shape: [2], dtype: "int32" }, step },
      attrs: { dropoutProb: 0.5, isTest: false, dropoutImplementation: "upscaleInTrain", seed: 1, stream: 0 },
      code: "CF_DTYPE_MISMATCH",
      text: /x must be float32 or float64, got int32/,
    },
  ],
})
