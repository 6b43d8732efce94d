// Which family has the kernel of a primitive, for the error of a backend that was made without it. Only names: the types see to
// it that none is missing or wrong. A composite whose family is left out is run as what it is made of.

import type * as families from "../families.ts"
import type { basics } from "./basics.ts"
import type { generators } from "./index.ts"

type Families = typeof families

type FamilyOf<Op> = { [F in keyof Families]: Op extends keyof Families[F] ? F : never }[keyof Families]

type Selectable = Exclude<keyof typeof generators, keyof typeof basics>

const familyOf: { readonly [Op in Selectable]: FamilyOf<Op> } = {
  rowAt: "arrays",
  withRow: "arrays",
  cond: "control",
  scan: "control",
  whileLoop: "control",
  conv2d: "convolution",
  conv2dInputGrad: "convolution",
  conv2dFilterGrad: "convolution",
  matmul: "matmul",
  maxPool2d: "maxPooling",
  poolScatter: "maxPooling",
  poolGather: "maxPooling",
  avgPool2d: "meanPooling",
  avgPool2dInputGrad: "meanPooling",
  uniformRandom: "random",
  gaussianRandom: "gaussian",
  truncatedGaussianRandom: "gaussian",
  randint: "random",
  reduceSum: "reduction",
  reduceProd: "reduction",
  reduceMax: "reduction",
  reduceMin: "reduction",
  cumsum: "cumulative",
  productOfOthers: "cumulative",
  gatherNd: "selection",
  scatterNdAdd: "selection",
  argmax: "selection",
  argmin: "selection",
}

/** Undefined for ops from outside. */
export function familyNamed(op: string): string | undefined {
  const known: Readonly<Record<string, string>> = familyOf
  return Object.hasOwn(known, op) ? known[op] : undefined
}
