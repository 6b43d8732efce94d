// Layers without parameters: ops that take a name, after which their outputs are called.

import type { Variable } from "@counterflow/ir"
import {
  adaptivePool2d as poolInto,
  type AdaptivePool2dOptions as PoolIntoOptions,
  dropout as drop,
  type DropoutOptions as DropOptions,
  pool2d as pool,
  type Pool2dOptions as PoolOptions,
} from "@counterflow/ops"
import { layer } from "./layer.ts"

interface Named {
  name?: string | null
}

export type DropoutOptions = DropOptions & Named
export type Pool2dOptions = PoolOptions & Named
export type AdaptivePool2dOptions = PoolIntoOptions & Named

/** Elements set to 0 at random while training, the others scaled so that the mean stays; nothing in a test. */
export function dropout(x: Variable, options: DropoutOptions = {}): Variable {
  const init = { type: "dropout", fn: dropout, inputs: { x }, options, kinds: dropoutKinds }
  return layer(init, () => drop(x, withoutName(options)))
}

const dropoutKinds = {
  dropoutProb: "number",
  isTest: "bool",
  seed: "int",
  dropoutImplementation: ["upscaleInTrain", "downgradeInInfer"],
  name: "name",
} as const

/** The largest or the mean element of each window of images [n, c, h, w]. */
export function pool2d(x: Variable, options: Pool2dOptions): Variable {
  const init = { type: "pool2d", fn: pool2d, inputs: { x }, options, kinds: poolKinds }
  return layer(init, () => pool(x, withoutName(options)))
}

const poolTypes = ["max", "avg"] as const

const poolKinds = {
  poolSize: "any",
  poolType: poolTypes,
  poolStride: "any",
  poolPadding: "any",
  globalPooling: "bool",
  ceilMode: "bool",
  exclusive: "bool",
  name: "name",
} as const

/** The largest or the mean element of each of poolSize bins of images [n, c, h, w]. */
export function adaptivePool2d(x: Variable, options: AdaptivePool2dOptions): Variable {
  const kinds = { poolSize: "any", poolType: poolTypes, name: "name" } as const
  const init = { type: "adaptivePool2d", fn: adaptivePool2d, inputs: { x }, options, kinds }
  return layer(init, () => poolInto(x, withoutName(options)))
}

function withoutName<O extends Named>({ name: _name, ...rest }: O): Omit<O, "name"> {
  return rest
}
