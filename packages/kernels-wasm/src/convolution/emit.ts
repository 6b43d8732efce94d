// One operator: the images are cut into parts, each with scratch of its own; gradients of filters are sums over the images of a
// part, added up in the order of the parts.
//
//   workspace   [filters for Winograd's products | sums of filters, one per part] [scratch of part 0] [of part 1] …

import { fail } from "@counterflow/ir"
import { f32x4, i32, type Local } from "../assembler/index.ts"
import { loadLanes, storeLanes } from "../gemm/lanes.ts"
import type { PlacedEpilogue } from "../generate/elementwise/epilogue.ts"
import type { Kernel, KernelContext } from "../generate/kernel.ts"
import { emitParts, mostParts } from "../generate/parts.ts"
import { behind, type Emit, type Place } from "../generate/signature.ts"
import { convolveByColumns } from "./by-columns.ts"
import { convolveByWinograd, filtersSpec } from "./by-winograd.ts"
import { convolveDepthwise } from "./depthwise.ts"
import { type ConvolutionFinish, convolutionFinish, type FinishSpec } from "./finish.ts"
import { type Part, partsOf } from "./parts.ts"
import { type Relation, sizesOf, type Wanted } from "./relation.ts"
import { type Schedule, scheduleOf } from "./schedule.ts"
import { filterGradientFunction, filtersFunction, type FiltersSpec } from "./winograd-filters.ts"

interface Plan {
  readonly wanted: Wanted
  readonly relation: Relation
  readonly schedule: Schedule
  readonly parts: readonly Part[]
  /** Bytes of filters in the workspace. */
  readonly filterBytes: number
  readonly bytes: number
}

/** Filters of which each part has a copy should not take more than this. */
const copiedBytes = 2 ** 25

function planOf(wanted: Wanted, relation: Relation, images: number): Plan {
  const schedule = scheduleOf(wanted, relation, images)
  const fitting = Math.max(2, Math.floor(copiedBytes / sumBytes(relation, schedule)))
  const parts = partsOf(relation, images, schedule, wanted === "filter" ? Math.min(mostParts, fitting) : mostParts)
  const copies = wanted === "filter" && (parts.length > 1 || schedule.kind === "winograd") ? parts.length : 0
  const filterBytes =
    copies > 0 || schedule.kind === "winograd" ? sumBytes(relation, schedule) * Math.max(1, copies) : 0
  return { wanted, relation, schedule, parts, filterBytes, bytes: filterBytes + parts.length * schedule.bytes }
}

/** Bytes of the filters as the products read or make them. */
function sumBytes(relation: Relation, schedule: Schedule): number {
  const own = schedule.kind === "winograd" ? schedule.filterBytes : 4 * sizesOf(relation).w
  return 64 * Math.ceil((relation.groups * own) / 64)
}

/** Bytes of scratch for so many images. */
export function workspaceBytes(wanted: Wanted, relation: Relation, images: number): number {
  return planOf(wanted, relation, images).bytes
}

export interface Operands {
  readonly x: Place
  readonly w: Place
  readonly z: Place
  readonly workspace: Place
}

/** `w` are the filters as the schedule reads or makes them; more places are operands of the epilogue. */
function convolution<S extends Schedule>(
  name: string,
  convolve: (context: KernelContext, wanted: Wanted, at: At, work: Work<S>, finish?: ConvolutionFinish) => void,
): Kernel<string, ConvolutionSpec<S>> {
  return {
    name,
    build: (context, at, { wanted, relation, part, schedule, finish }) => {
      const { x, w, z, workspace } = at
      if (x === undefined || w === undefined || z === undefined || workspace === undefined) {
        return fail("CF_INTERNAL", "a convolution lacks an operand")
      }
      convolve(context, wanted, { x, w, z, workspace }, { relation, part, schedule }, convolutionFinish(finish, at))
    },
  }
}

type At = Readonly<Record<"x" | "w" | "z" | "workspace", Local<"i32">>>

interface Work<S extends Schedule> {
  readonly relation: Relation
  readonly part: Omit<Part, "first">
  readonly schedule: S
}

interface ConvolutionSpec<S extends Schedule> extends Work<S> {
  readonly wanted: Wanted
  readonly finish: FinishSpec | undefined
}

const byColumns = convolution("columns", convolveByColumns)
const byWinograd = convolution("winograd", convolveByWinograd)
const depthwise = convolution("depthwise", convolveDepthwise)

/** In every group, some filters to or from the domain of the products, with bytes from group to group. */
interface GroupsSpec<T> {
  readonly transform: T
  readonly groups: number
  readonly wStep: number
  readonly domainStep: number
}

const winogradFilters: Kernel<"w" | "domain", GroupsSpec<FiltersSpec>> = {
  name: "winogradFilters",
  build: ({ f, module }, { w, domain }, { transform, groups, wStep, domainStep }) => {
    const advance = [[w, wStep] as const, [domain, domainStep] as const]
    f.forRange(groups, () => f.run(filtersFunction(module, transform), w, domain), { advance })
  },
}

const winogradFilterGradient: Kernel<"domain" | "w", GroupsSpec<Parameters<typeof filterGradientFunction>[1]>> = {
  name: "winogradFilterGradient",
  build: ({ f, module }, { w, domain }, { transform, groups, wStep, domainStep }) => {
    const advance = [[w, wStep] as const, [domain, domainStep] as const]
    f.forRange(groups, () => f.run(filterGradientFunction(module, transform), domain, w), { advance })
  },
}

/** Of one filter, and of one number in a sum. */
const nanoseconds = { filter: 6, sum: 0.2 }

/** Filters to the domain of the products, or their gradient from there. */
function emitFilters({ wanted, relation, schedule }: Plan, w: Place, domain: Place, emit: Emit): void {
  const spec = filtersSpec(wanted, relation)
  const { targets, sources, targetStep } = spec
  const steps = { groups: relation.groups, wStep: 36 * targets * sources, domainStep: 64 * targets * sources }
  if (schedule.kind !== "winograd") return
  emitParts(targets, relation.groups * sources * nanoseconds.filter, emit, (first, lines) => {
    const at = { w: behind(w, 4 * first * targetStep), domain: behind(domain, 4 * first * sources) }
    if (wanted !== "filter") return emit.run(winogradFilters, at, { ...steps, transform: { ...spec, lines } })
    emit.run(winogradFilterGradient, at, { ...steps, transform: { targets, sources, lines } })
  })
}

interface SumSpec {
  readonly elements: number
  readonly count: number
  /** Bytes from one to the next. */
  readonly step: number
}

/** Elements that are added up by one part at least. */
const sumUnit = 1024

/** to[i] = Σ sums[part][i], in order. */
const sum: Kernel<"sums" | "to", SumSpec> = {
  name: "sumParts",
  build: ({ f }, { sums, to }, { elements, count, step }) => {
    const add = (lanes: number) => {
      const total = f.let(loadLanes(sums, 0, lanes))
      const part = f.let(i32.add(sums, step))
      const advance = [[part, step] as const]
      f.forRange(count - 1, () => f.set(total, f32x4.add(total, loadLanes(part, 0, lanes))), { advance })
      storeLanes(f, to, total, 0, lanes)
    }
    const advance = [[sums, 16] as const, [to, 16] as const]
    f.forRange(Math.floor(elements / 4), () => add(4), { advance })
    if (elements % 4 > 0) add(elements % 4)
  },
}

/** Makes what is wanted of the other two. */
export function emitConvolution(
  wanted: Wanted,
  relation: Relation,
  images: number,
  { x, w, z, workspace }: Operands,
  emit: Emit,
  epilogue?: PlacedEpilogue,
): void {
  const plan = planOf(wanted, relation, images)
  const { schedule, parts, filterBytes } = plan
  const steps = epilogue?.operands.map(({ outer }) => outer[0] ?? 0) ?? []
  const finish = epilogue && { epilogue: epilogue.spec, steps }
  const isWinograd = schedule.kind === "winograd"
  const sizes = sizesOf(relation)
  const own = sumBytes(relation, schedule)
  if (wanted !== "filter") emitFilters(plan, w, workspace, emit)
  const filtersOf = (part: number): Place => {
    if (filterBytes === 0) return w
    return wanted === "filter" ? behind(workspace, part * own) : workspace
  }
  emit.parallel(
    parts.map((part, i) => () => {
      const at: Record<string, Place> = {
        x: behind(x, 4 * part.first * relation.groups * sizes.x),
        w: filtersOf(i),
        z: behind(z, 4 * part.first * relation.groups * sizes.z),
        workspace: behind(workspace, filterBytes + i * schedule.bytes),
        ...Object.fromEntries(
          (epilogue?.operands ?? []).map(({ place }, e) => [`e${e}`, behind(place, part.first * (steps[e] ?? 0))]),
        ),
      }
      const { first: _first, ...own } = part
      const spec = { wanted, relation, part: own, finish }
      if (schedule.kind === "columns") emit.run(byColumns, at, { ...spec, schedule })
      else if (schedule.kind === "winograd") emit.run(byWinograd, at, { ...spec, schedule })
      else emit.run(depthwise, at, { ...spec, schedule })
    }),
  )
  if (wanted !== "filter" || filterBytes === 0) return
  const elements = isWinograd ? (relation.groups * schedule.filterBytes) / 4 : relation.groups * sizes.w
  const count = parts.length
  const to = isWinograd ? workspace : w
  if (count > 1) {
    const units = Math.ceil(elements / sumUnit)
    emitParts(units, sumUnit * count * nanoseconds.sum, emit, (first, some) => {
      const start = sumUnit * first
      const at = { sums: behind(workspace, 4 * start), to: behind(to, 4 * start) }
      emit.run(sum, at, { elements: Math.min(sumUnit * some, elements - start), count, step: own })
    })
  }
  emitFilters(plan, w, workspace, emit)
}
