// A convolution as kernels see it: images x, filters w and a result z that are bound by one relation (generate/space/taps.ts). Which
// two are given and which one is wanted makes the three operators.

import type { Geometry } from "../generate/space/taps.ts"
import type { TensorShape } from "../generate/signature.ts"

/** What is wanted: z of x and w, x of z and w, or w of x and z. */
export type Wanted = "result" | "image" | "filter"

export interface Relation {
  readonly groups: number
  /** Of one group. */
  readonly channels: number
  readonly filters: number
  readonly geometry: Geometry
}

export interface ConvAttrs {
  readonly stride: readonly number[]
  readonly padding: readonly number[]
  readonly dilation: readonly number[]
  readonly groups: number
}

export function relationOf(x: TensorShape, w: TensorShape, z: TensorShape, attrs: ConvAttrs): Relation {
  const { stride, padding, dilation, groups } = attrs
  const [, , height = 0, width = 0] = x.shape
  const [out = 0, channels = 0, tapRows = 1, tapColumns = 1] = w.shape
  const [, , rows = 0, columns = 0] = z.shape
  const geometry: Geometry = {
    image: [height, width],
    taps: [tapRows, tapColumns],
    result: [rows, columns],
    stride: [stride[0] ?? 1, stride[1] ?? 1],
    dilation: [dilation[0] ?? 1, dilation[1] ?? 1],
    before: [padding[0] ?? 0, padding[2] ?? 0],
  }
  return { groups, channels, filters: out / groups, geometry }
}

/** Elements of one plane, of the taps of one channel, and of the parts of one group. */
export function sizesOf({ channels, filters, geometry: { image, taps, result } }: Relation) {
  const pixels = image[0] * image[1]
  const places = result[0] * result[1]
  const depth = channels * taps[0] * taps[1]
  return { pixels, places, depth, x: channels * pixels, w: filters * depth, z: filters * places }
}

/** Multiplications and additions that the definition takes for one image. */
export function flopsOf(relation: Relation): number {
  const { places, w } = sizesOf(relation)
  return 2 * relation.groups * w * places
}
