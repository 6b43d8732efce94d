// Pooling of images [n, c, h, w]: the largest or the mean element of each window. pool2d slides windows, adaptivePool2d cuts
// the image into a given number of bins; both emit maxPool2d or avgPool2d (pooling-max.ts, pooling-mean.ts).

import { fail, site, snakeCase, type Variable } from "@counterflow/ir"
import { maxPool2d } from "./pooling-max.ts"
import { avgPool2d, type MeanPoolAttrs } from "./pooling-mean.ts"
import { imageSize, type Padding, type Pair, resolvePadding, resolvePair } from "./window.ts"

export type PoolType = "max" | "avg"

export interface Pool2dOptions {
  /** Height and width of the window. */
  poolSize?: Pair
  /** "max" unless said. */
  poolType?: PoolType
  /** 1 unless said, as in Fluid. */
  poolStride?: Pair
  /** 0 unless said. Padding never wins a maximum. */
  poolPadding?: Padding
  /** One window, the whole image; size, stride and padding are ignored. */
  globalPooling?: boolean
  /** Round the number of windows up: the last ones may hang over the edge. */
  ceilMode?: boolean
  /** Whether a mean leaves padding out of its count, true unless said. Else it divides by the area of the whole window. */
  exclusive?: boolean
}

/**
 * The largest element (of equal ones the first counts for the gradient) or the mean of each window of x [n, c, h, w].
 *
 * z is [n, c, oh, ow] with oh = ⌊(h + top + bottom − poolSize) / poolStride⌋ + 1, or ⌈…⌉ + 1 in `ceilMode`. `poolPadding` is a
 * number, [height, width], [top, bottom, left, right], "valid" or "same" as in conv2d. Windows are clipped to the image; one
 * that lies in padding altogether gives 0.
 */
export function pool2d(x: Variable, options: Pool2dOptions): Variable {
  const { poolType = "max", ceilMode = false, exclusive = true } = options
  return site(pool2d, () => {
    if (options.globalPooling === true) return pool("pool2d", x, poolType, bins([1, 1]))
    if (options.poolSize === undefined) {
      fail("CF_BAD_ATTRIBUTE", "poolSize is missing", { op: "pool2d", fix: "give poolSize, or globalPooling: true" })
    }
    const poolSize = resolvePair(options.poolSize, "poolSize", "pool2d")
    const poolStride = resolvePair(options.poolStride ?? 1, "poolStride", "pool2d")
    const geometry = { size: imageSize(x.shape), span: poolSize, stride: poolStride }
    const poolPadding = resolvePadding(options.poolPadding ?? 0, geometry, "poolPadding", "pool2d")
    return pool("pool2d", x, poolType, { poolSize, poolStride, poolPadding, ceilMode, adaptive: false, exclusive })
  })
}

export interface AdaptivePool2dOptions {
  /** Height and width of the result. */
  poolSize: Pair
  /** "max" unless said. */
  poolType?: PoolType
}

/**
 * The largest element or the mean of each of poolSize bins of x [n, c, h, w]: row i of the result is made of the rows
 * ⌊i·h/oh⌋ to ⌈(i + 1)·h/oh⌉ − 1 of x, columns likewise.
 */
export function adaptivePool2d(x: Variable, options: AdaptivePool2dOptions): Variable {
  return site(adaptivePool2d, () => {
    const attrs = bins(resolvePair(options.poolSize, "poolSize", "adaptivePool2d"))
    return pool("adaptivePool2d", x, options.poolType ?? "max", attrs)
  })
}

function bins(poolSize: readonly number[]): MeanPoolAttrs {
  const none = { poolStride: [1, 1], poolPadding: [0, 0, 0, 0], ceilMode: false }
  return { poolSize, ...none, adaptive: true, exclusive: true }
}

function pool(op: string, x: Variable, poolType: PoolType, attrs: MeanPoolAttrs): Variable {
  if (poolType !== "max" && poolType !== "avg") {
    fail("CF_BAD_ATTRIBUTE", `poolType must be "max" or "avg", got ${String(poolType)}`, { op })
  }
  // Fluid's users fetch pool2d_0.tmp_0, whatever operator makes it.
  const { program } = x
  const emitted = () => (poolType === "max" ? maxPool2d(x, attrs).z : avgPool2d(x, attrs))
  return program.transaction(() => {
    return program.within({ stem: program.stem ?? program.uniqueName(snakeCase(op)) }, emitted)
  })
}
