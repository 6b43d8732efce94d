// Convolution of stride 1 with 3 × 3 filters and its gradients as Winograd's products, in blocks of some rows of tiles:
//
//   tiles of x · filters = tiles of z       tiles of z · flipped filters = tiles of x       tiles of z · tiles of xᵀ = filters
//
// each the sum over planes (over tiles, for the last) of sixteen products, one per element of a tile.

import { i32, type Local } from "../assembler/index.ts"
import { emitGemm } from "../gemm/index.ts"
import type { KernelContext } from "../generate/kernel.ts"
import { inBands } from "./by-columns.ts"
import { channelSteps, type ConvolutionFinish, imageSteps, movable } from "./finish.ts"
import type { Part } from "./parts.ts"
import { type Places, placesOf } from "./places.ts"
import { type Relation, sizesOf, type Wanted } from "./relation.ts"
import type { FiltersSpec } from "./winograd-filters.ts"
import { sourceBand, targetBand, winogradProduct, type WinogradSchedule } from "./winograd-schedule.ts"
import { sourceTilesFunction, targetGradientFunction, targetTilesFunction } from "./winograd-tiles.ts"

export interface WinogradWork {
  readonly relation: Relation
  readonly part: Omit<Part, "first">
  readonly schedule: WinogradSchedule
}

type At = Readonly<Record<"x" | "w" | "z" | "workspace", Local<"i32">>>

/** The filters as the products read them; for an input gradient turned by half, planes of z in place of those of x. */
export function filtersSpec(wanted: Wanted, { channels, filters }: Relation): Omit<FiltersSpec, "lines"> {
  const [outer, inner] = [9 * channels, 9]
  return wanted === "image"
    ? { targets: channels, sources: filters, targetStep: inner, sourceStep: outer, isFlipped: true }
    : { targets: filters, sources: channels, targetStep: outer, sourceStep: inner, isFlipped: false }
}

/** Runs through all images of a part. Filters lie in the domain of the products; if they are wanted, sums are written there. */
export function convolveByWinograd(
  context: KernelContext,
  wanted: Wanted,
  { x, w: filters, z, workspace }: At,
  work: WinogradWork,
  finish?: ConvolutionFinish,
): void {
  const { f } = context
  const { relation, part, schedule } = work
  const { joined, rows, at, filterBytes } = schedule
  const sizes = sizesOf(relation)
  const { groups } = relation
  if (wanted === "filter") f.fill(filters, 0, groups * filterBytes)
  // The margins of the bands stay zeros throughout.
  f.fill(workspace, 0, at.sources)
  const place = placesOf(f, workspace, at)

  const some = (count: number) => {
    const own: Own = { x: f.let(x), z: f.let(z), filters: f.let(filters), finish: movable(f, finish) }
    const block = blockOf(context, wanted, work, count, own, place)
    const advance = [[own.x, 4 * sizes.x] as const, [own.z, 4 * sizes.z] as const]
    const more = [[own.filters, filterBytes] as const, ...channelSteps(own.finish, relation.filters)]
    f.forRange(groups, () => inBands(f, part, rows, block), { advance: [...advance, ...more] })
  }
  const advance = [[x, joined * 4 * groups * sizes.x] as const, [z, joined * 4 * groups * sizes.z] as const]
  const whole = Math.floor(part.images / joined)
  f.forRange(whole, () => some(joined), { advance: [...advance, ...imageSteps(finish, joined)] })
  if (part.images % joined > 0) some(part.images % joined)
}

/** One group of channels of some images. */
interface Own {
  readonly x: Local<"i32">
  readonly z: Local<"i32">
  readonly filters: Local<"i32">
  readonly finish: ConvolutionFinish | undefined
}

/** One block of tiles of one group of some images. */
function blockOf(
  { f, module, relaxed }: KernelContext,
  wanted: Wanted,
  { relation, schedule: { view, tiles } }: WinogradWork,
  images: number,
  own: Own,
  { band, edge, sources, targets, product: scratch }: Places<keyof WinogradSchedule["at"]>,
): Parameters<typeof inBands>[3] {
  const sizes = sizesOf(relation)
  const [xImage, zImage] = [4 * relation.groups * sizes.x, 4 * relation.groups * sizes.z]
  const [from, to] = wanted === "image" ? [own.z, own.x] : [own.x, own.z]
  const [fromImage, toImage] = wanted === "image" ? [zImage, xImage] : [xImage, zImage]
  return (rows, first) => {
    const count = rows * tiles[1]
    const length = images * count
    const read = { planes: view.sources, plane: view.source, rows, across: tiles[1], length }
    const written = { planes: view.targets, plane: view.target, rows, across: tiles[1], length }
    const product = emitGemm(module, winogradProduct(wanted, view, length, relaxed))
    const eachImage = (
      [start, step]: readonly [Local<"i32">, number],
      domain: Local<"i32">,
      body: (image: Local<"i32">, domain: Local<"i32">) => void,
      more: readonly (readonly [Local<"i32">, number])[] = [],
    ) => {
      const [image, tile] = [f.let(start), f.let(domain)]
      const advance = [[image, step] as const, [tile, 4 * count] as const, ...more]
      f.forRange(images, () => body(image, tile), { advance })
    }
    const top = f.let(i32.sub(i32.shl(first, 1), view.before[0]))
    const transform = sourceTilesFunction(module, read, sourceBand(view, tiles, rows))
    eachImage([from, fromImage], sources, (image, domain) => f.run(transform, image, domain, band, top))
    if (wanted === "filter") {
      const gradient = targetGradientFunction(module, written, targetBand(view, tiles, rows))
      eachImage([to, toImage], targets, (image, domain) => f.run(gradient, image, domain, edge, i32.shl(first, 1)))
      f.run(product, targets, sources, own.filters, scratch)
      return
    }
    f.run(product, own.filters, sources, targets, scratch)
    const finish = movable(f, own.finish)
    const operands = finish?.operands ?? []
    const restore = targetTilesFunction(module, written, finish)
    const body = (image: Local<"i32">, domain: Local<"i32">) => f.run(restore, domain, image, first, ...operands)
    eachImage([to, toImage], targets, body, imageSteps(finish, 1))
  }
}
