// Shapes of pooling: attributes that say where windows lie, and the shape they give.

import { type Attrs, type Dim, mulDims, type Shape, type TensorType } from "@counterflow/ir"
import { requireFloat, requireRank } from "./shapes.ts"
import { checkSizes, type Geometry, imageSize, placesOf, requirePlace } from "./window.ts"

/** Where the windows lie. */
export interface PoolAttrs {
  /** Height and width of a window; of the result if `adaptive`. */
  readonly poolSize: readonly number[]
  readonly poolStride: readonly number[]
  /** [top, bottom, left, right] */
  readonly poolPadding: Shape
  readonly ceilMode: boolean
  /** Window i covers ⌊i·h/oh⌋ to ⌈(i + 1)·h/oh⌉ − 1; stride and padding mean nothing. */
  readonly adaptive: boolean
}

export const poolSignature = {
  poolSize: "ints",
  poolStride: "ints",
  poolPadding: "dims",
  ceilMode: "bool",
  adaptive: "bool",
} as const

/** The shape of the pooled images. */
export function pooledShape(image: Shape, attrs: PoolAttrs): Dim[] {
  checkSizes("poolSize", attrs.poolSize, 2, 1)
  checkSizes("poolStride", attrs.poolStride, 2, 1)
  checkSizes("poolPadding", attrs.poolPadding, 4, 0)
  if (attrs.adaptive) return [...image.slice(0, 2), ...attrs.poolSize]
  const along = (axis: 0 | 1) => placesOf(geometryOf(image, attrs), attrs.poolPadding, axis, attrs.ceilMode)
  return [...image.slice(0, 2), along(0), along(1)]
}

/** There is at least one row and column of windows. */
export function requireWindows(image: Shape, pooled: Shape, attrs: PoolAttrs): void {
  if (attrs.adaptive) return
  const geometry = geometryOf(image, attrs)
  for (const axis of [0, 1] as const) requirePlace("window", geometry, attrs.poolPadding, axis, imageSize(pooled)[axis])
}

function geometryOf(image: Shape, { poolSize, poolStride }: PoolAttrs): Geometry {
  const [height = 1, width = 1] = poolSize
  return { size: imageSize(image), span: [height, width], stride: poolStride }
}

/** Only float images are pooled. */
export function requireImage(name: string, type: TensorType): void {
  requireRank(name, type, 4)
  requireFloat(name, type)
}

/** Operations of one pooling: each window looks at each of its elements. */
export function poolFlops(image: Shape, pooled: Shape, { poolSize, adaptive }: Attrs): Dim {
  return adaptive === true || !isShape(poolSize) ? mulDims(...image) : mulDims(...pooled, ...poolSize)
}

function isShape(value: unknown): value is Shape {
  return Array.isArray(value)
}
