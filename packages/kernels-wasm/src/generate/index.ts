// The generators of every family in one table: a primitive without one does not compile. Beside them those of composites
// that are served whole.

import type { Registry } from "@counterflow/ops"
import { basics } from "./basics.ts"
import {
  arrays,
  control,
  convolution,
  crossEntropy,
  cumulative,
  erf,
  gaussian,
  layerNorm,
  matmul,
  maxPooling,
  meanPooling,
  power,
  random,
  reduction,
  selection,
  softmax,
  trigonometry,
} from "../families.ts"
import type { FunctionBuilders } from "../math/index.ts"
import type { GeneratorTable, KeptGenerators } from "./signature.ts"

export const generators = {
  ...basics,
  ...arrays,
  ...control,
  ...convolution,
  ...cumulative,
  ...gaussian,
  ...matmul,
  ...maxPooling,
  ...meanPooling,
  ...random,
  ...reduction,
  ...selection,
} satisfies GeneratorTable<Registry>

/** Composites of which one kernel saves passes over memory. Each has a gradient rule of its own. */
export const kept = { ...crossEntropy, ...layerNorm, ...softmax } satisfies KeptGenerators<Registry>

/** The functions that not every backend has. */
export const functions = {
  ...erf.functions,
  ...power.functions,
  ...trigonometry.functions,
} satisfies Required<FunctionBuilders>
