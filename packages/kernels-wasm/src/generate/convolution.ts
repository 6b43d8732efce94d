// Convolution in its plain form, straight from its definition, plane by plane. Sums are f64: of the two that leave an image,
// one plane at a time lies in scratch until it is rounded; a gradient of a filter's tap is one register.
//
//   conv2d           z[o]        = Σ over channels c and taps   w[o, c, tap] · x[c] shifted by the tap
//   conv2dInputGrad  dx[c]       = Σ over filters o and taps    w[o, c, tap] · dz[o] shifted back
//   conv2dFilterGrad dw[o, c, t] = Σ over images and places     dz[o] · x[c] shifted by the tap

import type { DType } from "@counterflow/ir"
import type { Registry } from "@counterflow/ops"
import { f64 } from "../assembler/index.ts"
import { emitFill } from "./copy.ts"
import { realOf } from "./element.ts"
import type { Kernel } from "./kernel.ts"
import { planeBytes, roundPlane } from "./plane.ts"
import type { Generators, TensorShape } from "./signature.ts"
import { eachTap, type Geometry, walkPlaces } from "./taps.ts"

interface ConvSpec {
  readonly dtype: DType
  readonly images: number
  readonly groups: number
  /** Of one group. */
  readonly channels: number
  readonly filters: number
  readonly geometry: Geometry
}

interface ConvAttrs {
  readonly stride: readonly number[]
  readonly padding: readonly number[]
  readonly dilation: readonly number[]
  readonly groups: number
}

function specOf(x: TensorShape, w: TensorShape, z: TensorShape, attrs: ConvAttrs): ConvSpec {
  const { stride, padding, dilation, groups } = attrs
  const [images = 0, , height = 0, width = 0] = x.shape
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
  return { dtype: x.dtype, images, groups, channels, filters: out / groups, geometry }
}

/** Bytes of the planes and of the filters' taps, in the tensors' dtype. */
function sizesOf({ dtype, geometry: { image, taps, result } }: ConvSpec) {
  const { bytes } = realOf(dtype)
  return {
    bytes,
    xPlane: image[0] * image[1] * bytes,
    zPlane: result[0] * result[1] * bytes,
    wPlane: taps[0] * taps[1] * bytes,
  }
}

const conv2d: Kernel<"x" | "w" | "z" | "sums", ConvSpec> = {
  name: "conv2d",
  build: ({ f }, { x, w, z, sums }, spec) => {
    const { dtype, images, groups, channels, filters, geometry } = spec
    const element = realOf(dtype)
    const { bytes, xPlane, zPlane } = sizesOf(spec)
    const places = zPlane / bytes
    f.forRange(images, () => {
      const tap = f.let(w)
      f.forRange(
        groups,
        () =>
          f.forRange(
            filters,
            () => {
              f.fill(sums, 0, 8 * places)
              const image = f.let(x)
              f.forRange(
                channels,
                () =>
                  eachTap(f, geometry, (rectangle) => {
                    const weight = f.let(element.load(tap))
                    f.increment(tap, bytes)
                    walkPlaces(f, geometry, rectangle, { start: image, bytes }, { start: sums, bytes: 8 }, (at, to) => {
                      f.store("f64", to, f64.add(f64.load(to), f64.mul(weight, element.load(at))))
                    })
                  }),
                { advance: [[image, xPlane]] },
              )
              roundPlane(f, sums, z, places, dtype)
            },
            { advance: [[z, zPlane]] },
          ),
        { advance: [[x, channels * xPlane]] },
      )
    })
  },
}

const conv2dInputGrad: Kernel<"dz" | "w" | "dx" | "sums", ConvSpec> = {
  name: "conv2dInputGrad",
  build: ({ f }, { dz, w, dx, sums }, spec) => {
    const { dtype, images, groups, channels, filters, geometry } = spec
    const element = realOf(dtype)
    const { bytes, xPlane, zPlane, wPlane } = sizesOf(spec)
    const pixels = xPlane / bytes
    f.forRange(images, () => {
      const group = f.let(w)
      f.forRange(
        groups,
        () => {
          const channel = f.let(group)
          f.forRange(
            channels,
            () => {
              f.fill(sums, 0, 8 * pixels)
              const [filter, result] = [f.let(channel), f.let(dz)]
              const advance = [[filter, channels * wPlane] as const, [result, zPlane] as const]
              f.forRange(
                filters,
                () => {
                  const tap = f.let(filter)
                  eachTap(f, geometry, (rectangle) => {
                    const weight = f.let(element.load(tap))
                    f.increment(tap, bytes)
                    walkPlaces(
                      f,
                      geometry,
                      rectangle,
                      { start: sums, bytes: 8 },
                      { start: result, bytes },
                      (to, at) => {
                        f.store("f64", to, f64.add(f64.load(to), f64.mul(weight, element.load(at))))
                      },
                    )
                  })
                },
                { advance },
              )
              roundPlane(f, sums, dx, pixels, dtype)
            },
            {
              advance: [
                [channel, wPlane],
                [dx, xPlane],
              ],
            },
          )
        },
        {
          advance: [
            [group, filters * channels * wPlane],
            [dz, filters * zPlane],
          ],
        },
      )
    })
  },
}

const conv2dFilterGrad: Kernel<"x" | "dz" | "dw", ConvSpec> = {
  name: "conv2dFilterGrad",
  build: ({ f }, { x, dz, dw }, spec) => {
    const { dtype, images, groups, channels, filters, geometry } = spec
    const element = realOf(dtype)
    const { bytes, xPlane, zPlane } = sizesOf(spec)
    const [xImage, zImage] = [groups * channels * xPlane, groups * filters * zPlane]
    f.forRange(
      groups,
      () =>
        f.forRange(
          filters,
          () => {
            const channel = f.let(x)
            f.forRange(
              channels,
              () =>
                eachTap(f, geometry, (rectangle) => {
                  const sum = f.let(f64.const(0))
                  const [image, result] = [f.let(channel), f.let(dz)]
                  f.forRange(
                    images,
                    () =>
                      walkPlaces(
                        f,
                        geometry,
                        rectangle,
                        { start: image, bytes },
                        { start: result, bytes },
                        (at, to) => {
                          f.set(sum, f64.add(sum, f64.mul(element.load(to), element.load(at))))
                        },
                      ),
                    {
                      advance: [
                        [image, xImage],
                        [result, zImage],
                      ],
                    },
                  )
                  element.store(f, dw, sum)
                  f.increment(dw, bytes)
                }),
              { advance: [[channel, xPlane]] },
            )
          },
          { advance: [[dz, zPlane]] },
        ),
      { advance: [[x, channels * xPlane]] },
    )
  },
}

export const convolution = {
  conv2d: {
    workspace: ({ outputs: { z } }) => planeBytes(z.shape),
    emit: ({ inputs: { x, w }, outputs: { z }, attrs, workspace }, emit) => {
      if (z.elements === 0) return
      emit.run(conv2d, { x: x.place, w: w.place, z: z.place, sums: workspace }, specOf(x, w, z, attrs))
    },
  },

  conv2dInputGrad: {
    workspace: ({ outputs: { dx } }) => planeBytes(dx.shape),
    emit: ({ inputs: { dz, w }, outputs: { dx }, attrs, workspace }, emit) => {
      if (dz.elements === 0 || w.elements === 0) return emitFill(dx, 0, emit)
      const at = { dz: dz.place, w: w.place, dx: dx.place, sums: workspace }
      if (dx.elements > 0) emit.run(conv2dInputGrad, at, specOf(dx, w, dz, attrs))
    },
  },

  conv2dFilterGrad: ({ inputs: { x, dz }, outputs: { dw }, attrs }, emit) => {
    if (dz.elements === 0 || x.elements === 0) return emitFill(dw, 0, emit)
    if (dw.elements > 0)
      emit.run(conv2dFilterGrad, { x: x.place, dz: dz.place, dw: dw.place }, specOf(x, dw, dz, attrs))
  },
} satisfies Generators<Registry>
