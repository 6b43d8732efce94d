// The builders of those functions that not every program calls, in families like the kernels.

import type { ModuleBuilder } from "../assembler/index.ts"
import { buildErf } from "./erf.ts"
import type { FunctionBuilders } from "./index.ts"
import { buildExp2OfParts, buildLog2InParts, buildPow } from "./power.ts"
import { buildReduction } from "./reduction.ts"
import { buildCos, buildCosineKernel, buildSin, buildSineKernel, type Parts } from "./trigonometry.ts"

/** Taken or left together: a member of `families`. */
export interface FunctionFamily {
  readonly functions: FunctionBuilders
}

export const trigonometry = {
  functions: {
    sin: (module) => buildSin(module, partsOf(module)),
    cos: (module) => buildCos(module, partsOf(module)),
  },
} satisfies FunctionFamily

/** Of sine and cosine, once a module. */
const made = /*#__PURE__*/ new WeakMap<ModuleBuilder, Parts>()

function partsOf(module: ModuleBuilder): Parts {
  let parts = made.get(module)
  if (parts === undefined) {
    parts = {
      reduction: buildReduction(module),
      sineKernel: buildSineKernel(module),
      cosineKernel: buildCosineKernel(module),
    }
    made.set(module, parts)
  }
  return parts
}

export const erf = {
  functions: { erf: (module, { exp }) => buildErf(module, exp) },
} satisfies FunctionFamily

export const power = {
  functions: { pow: (module) => buildPow(module, buildLog2InParts(module), buildExp2OfParts(module)) },
} satisfies FunctionFamily
