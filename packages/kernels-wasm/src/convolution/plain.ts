// Convolution in its plain form, straight from its definition, plane by plane. Sums are f64: of the two that leave an image,
// one plane at a time lies in scratch until it is rounded; a gradient of a filter's tap is one register.
//
//   conv2d           z[o]        = Σ over channels c and taps   w[o, c, tap] · x[c] shifted by the tap
//   conv2dInputGrad  dx[c]       = Σ over filters o and taps    w[o, c, tap] · dz[o] shifted back
//   conv2dFilterGrad dw[o, c, t] = Σ over images and places     dz[o] · x[c] shifted by the tap

import type { DType } from "@counterflow/ir"
import { f64 } from "../assembler/index.ts"
import { realOf } from "../generate/expression/element.ts"
import type { Kernel } from "../generate/kernel.ts"
import { roundPlane } from "../generate/space/plane.ts"
import { eachTap, walkPlaces } from "../generate/space/taps.ts"
import type { Relation } from "./relation.ts"

export interface PlainSpec extends Relation {
  readonly dtype: DType
  readonly images: number
}

/** Bytes of the planes and of the filters' taps, in the tensors' dtype. */
function bytesOf({ dtype, geometry: { image, taps, result } }: PlainSpec) {
  const { bytes } = realOf(dtype)
  return {
    bytes,
    xPlane: image[0] * image[1] * bytes,
    zPlane: result[0] * result[1] * bytes,
    wPlane: taps[0] * taps[1] * bytes,
  }
}

export const plainConv: Kernel<"x" | "w" | "z" | "sums", PlainSpec> = {
  name: "conv2d",
  build: ({ f }, { x, w, z, sums }, spec) => {
    const { dtype, images, groups, channels, filters, geometry } = spec
    const element = realOf(dtype)
    const { bytes, xPlane, zPlane } = bytesOf(spec)
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

export const plainInputGrad: Kernel<"dz" | "w" | "dx" | "sums", PlainSpec> = {
  name: "conv2dInputGrad",
  build: ({ f }, { dz, w, dx, sums }, spec) => {
    const { dtype, images, groups, channels, filters, geometry } = spec
    const element = realOf(dtype)
    const { bytes, xPlane, zPlane, wPlane } = bytesOf(spec)
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

export const plainFilterGrad: Kernel<"x" | "dz" | "dw", PlainSpec> = {
  name: "conv2dFilterGrad",
  build: ({ f }, { x, dz, dw }, spec) => {
    const { dtype, images, groups, channels, filters, geometry } = spec
    const element = realOf(dtype)
    const { bytes, xPlane, zPlane } = bytesOf(spec)
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
