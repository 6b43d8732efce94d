// Convolution as matrix products, image by image and group by group, so that scratch stays small whatever the batch. With
// the patches of one image as columns, patches [taps, places] (im2col):
//
//   conv2d           z       = W · patches
//   conv2dInputGrad  patches = Wᵀ · dz, then added back to where they came from (col2im)
//   conv2dFilterGrad dW     += dz · patchesᵀ
//
// For 1×1 filters of stride 1 without padding the image is its own patches. Sums over images and over overlapping patches
// are float64 whatever the dtype.

import type { Registry } from "@counterflow/ops"
import type { CpuKernels, HostType } from "../kernel.ts"
import { gemm, gemmWorkspace, type Reals } from "../numeric/gemm.ts"
import { col2im, im2col } from "../numeric/im2col.ts"
import { doublesOf, realsOf, scratchSize } from "../scratch.ts"

interface ConvAttrs {
  readonly stride: readonly number[]
  readonly padding: readonly number[]
  readonly dilation: readonly number[]
  readonly groups: number
}

/** Sizes of one convolution; channels and filters are those of one group. */
interface Plan {
  readonly images: number
  readonly groups: number
  readonly channels: number
  readonly filters: number
  /** Elements of one group's part of one image, of x and of z. */
  readonly xSize: number
  /** Elements of one filter. */
  readonly taps: number
  /** Elements of one plane of z. */
  readonly places: number
  readonly h: number
  readonly w: number
  readonly kh: number
  readonly kw: number
  readonly oh: number
  readonly ow: number
  readonly sh: number
  readonly sw: number
  readonly top: number
  readonly left: number
  readonly dh: number
  readonly dw: number
  readonly isPointwise: boolean
}

function planOf(x: HostType, w: HostType, z: HostType, { stride, padding, dilation, groups }: ConvAttrs): Plan {
  const [images = 0, , height = 0, width = 0] = x.shape
  const [out = 0, channels = 0, kh = 1, kw = 1] = w.shape
  const [, , oh = 0, ow = 0] = z.shape
  const [sh = 1, sw = 1] = stride
  const [dh = 1, dw = 1] = dilation
  return {
    images,
    groups,
    channels,
    filters: out / groups,
    xSize: channels * height * width,
    taps: channels * kh * kw,
    places: oh * ow,
    h: height,
    w: width,
    kh,
    kw,
    oh,
    ow,
    sh,
    sw,
    top: padding[0] ?? 0,
    left: padding[2] ?? 0,
    dh,
    dw,
    isPointwise: kh * kw * sh * sw === 1 && padding.every((side) => side === 0),
  }
}

/** Elements of the patches of one group of one image, none where the image itself serves. */
function patchSize({ isPointwise, taps, places }: Plan): number {
  return isPointwise ? 0 : taps * places
}

function unfold(p: Plan, x: Reals, at: number, patches: Reals): void {
  im2col(x, at, p.channels, p.h, p.w, p.kh, p.kw, p.sh, p.sw, p.top, p.left, p.dh, p.dw, p.oh, p.ow, patches, 0)
}

function fold(p: Plan, patches: Reals, x: Reals): void {
  col2im(patches, 0, p.channels, p.h, p.w, p.kh, p.kw, p.sh, p.sw, p.top, p.left, p.dh, p.dw, p.oh, p.ow, x, 0)
}

function forwardPack({ filters, places, taps }: Plan): number {
  return gemmWorkspace(filters, places, taps)
}

function filterGradPack({ filters, places, taps }: Plan): number {
  return gemmWorkspace(filters, taps, places)
}

function inputGradPack({ filters, places, taps }: Plan): number {
  return gemmWorkspace(taps, places, filters)
}

export const convolution = {
  conv2d: {
    workspace: ({ inputs: { x, w }, outputs: { z }, attrs }) => {
      const p = planOf(x, w, z, attrs)
      return scratchSize(z, patchSize(p), forwardPack(p))
    },

    bind: ({ inputs: { x, w }, outputs: { z }, attrs, workspace }) => {
      const p = planOf(x, w, z, attrs)
      const { images, groups, filters, taps, places, xSize } = p
      const [from, filter, to] = [realsOf(x.data), realsOf(w.data), realsOf(z.data)]
      const patches = realsOf(workspace.subarray(0, patchSize(p)))
      const pack = doublesOf(workspace, patchSize(p), forwardPack(p))
      const b = p.isPointwise ? from : patches
      return () => {
        for (let part = 0; part < images * groups; part++) {
          const group = part % groups
          const xAt = part * xSize
          const zAt = part * filters * places
          if (!p.isPointwise) unfold(p, from, xAt, patches)
          const bAt = p.isPointwise ? xAt : 0
          gemm(
            filters,
            places,
            taps,
            1,
            filter,
            group * filters * taps,
            taps,
            1,
            b,
            bAt,
            places,
            1,
            0,
            to,
            zAt,
            places,
            pack,
          )
        }
      }
    },
  },

  conv2dInputGrad: {
    workspace: ({ inputs: { dz, w }, outputs: { dx }, attrs }) => {
      const p = planOf(dx, w, dz, attrs)
      return scratchSize(dx, 0, inputGradSums(p) + inputGradPack(p))
    },

    bind: ({ inputs: { dz, w }, outputs: { dx }, attrs, workspace }) => {
      const p = planOf(dx, w, dz, attrs)
      const { images, groups, filters, taps, places, xSize } = p
      const [from, filter, to] = [realsOf(dz.data), realsOf(w.data), realsOf(dx.data)]
      const scratch = doublesOf(workspace, 0, inputGradSums(p) + inputGradPack(p))
      const patches = scratch.subarray(0, patchSize(p))
      const image = scratch.subarray(patchSize(p), inputGradSums(p))
      const pack = scratch.subarray(inputGradSums(p))
      const c = p.isPointwise ? to : patches
      return () => {
        for (let part = 0; part < images * groups; part++) {
          const group = part % groups
          const xAt = part * xSize
          const zAt = part * filters * places
          const cAt = p.isPointwise ? xAt : 0
          gemm(
            taps,
            places,
            filters,
            1,
            filter,
            group * filters * taps,
            1,
            taps,
            from,
            zAt,
            places,
            1,
            0,
            c,
            cAt,
            places,
            pack,
          )
          if (p.isPointwise) continue
          image.fill(0)
          fold(p, patches, image)
          to.set(image, xAt)
        }
      }
    },
  },

  conv2dFilterGrad: {
    workspace: ({ inputs: { x, dz }, outputs: { dw }, attrs }) => {
      const p = planOf(x, dw, dz, attrs)
      return scratchSize(dw, patchSize(p), p.filters * p.taps + filterGradPack(p))
    },

    bind: ({ inputs: { x, dz }, outputs: { dw }, attrs, workspace }) => {
      const p = planOf(x, dw, dz, attrs)
      const { images, groups, filters, taps, places, xSize } = p
      const [from, result, to] = [realsOf(x.data), realsOf(dz.data), realsOf(dw.data)]
      const patches = realsOf(workspace.subarray(0, patchSize(p)))
      const scratch = doublesOf(workspace, patchSize(p), filters * taps + filterGradPack(p))
      const sums = scratch.subarray(0, filters * taps)
      const pack = scratch.subarray(filters * taps)
      const b = p.isPointwise ? from : patches
      return () => {
        for (let group = 0; group < groups; group++) {
          sums.fill(0)
          for (let image = 0; image < images; image++) {
            const part = image * groups + group
            const xAt = part * xSize
            const zAt = part * filters * places
            if (!p.isPointwise) unfold(p, from, xAt, patches)
            const bAt = p.isPointwise ? xAt : 0
            gemm(filters, taps, places, 1, result, zAt, places, 1, b, bAt, 1, places, 1, sums, 0, taps, pack)
          }
          to.set(sums, group * filters * taps)
        }
      }
    },
  },
} satisfies CpuKernels<Registry>

/** Float64 elements in which the patches and the image they are added to are formed, none where dx itself serves. */
function inputGradSums(p: Plan): number {
  return p.isPointwise ? 0 : patchSize(p) + p.xSize
}
