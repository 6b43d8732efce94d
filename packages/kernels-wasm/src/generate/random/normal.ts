// Operators that draw from a normal distribution: its inverse distribution function at the middle of a uniform draw's interval.

import type { Registry } from "@counterflow/ops"
import { call, f64 } from "../../assembler/index.ts"
import { inverseNormalOf } from "./quantile.ts"
import { type Drawing, drawKernel, emitDraw, midpointOf } from "./random.ts"
import type { Generators } from "../signature.ts"

interface Normal {
  readonly kind: "normal" | "truncatedNormal"
  readonly mean: number
  readonly std: number
}

/** Φ(−2) and Φ(2) − Φ(−2): the truncated normal keeps what lies within two deviations of the mean. */
const [truncatedBelow, truncatedSpan] = [0.022750131948179209, 0.9544997361036416]

const normal: Drawing<Normal> = {
  kernel: /*#__PURE__*/ drawKernel("drawNormal", ({ module }, words, _dtype, { kind, mean, std }) => {
    const p = midpointOf(words)
    const inverse = inverseNormalOf(module)
    if (kind === "normal") return f64.add(mean, f64.mul(std, call(inverse, p)))
    const z = call(inverse, f64.add(truncatedBelow, f64.mul(p, truncatedSpan)))
    // The last bit of z is not to be trusted with the bound.
    return f64.add(mean, f64.mul(std, f64.max(-2, f64.min(2, z))))
  }),
  nanoseconds: 15,
}

export const gaussian = {
  gaussianRandom: (call, emit) => {
    emitDraw(normal, call, { kind: "normal", mean: call.attrs.mean, std: call.attrs.std }, emit)
  },

  truncatedGaussianRandom: (call, emit) => {
    emitDraw(normal, call, { kind: "truncatedNormal", mean: call.attrs.mean, std: call.attrs.std }, emit)
  },
} satisfies Generators<Registry>
