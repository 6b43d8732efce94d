// Runs the generators of convolution as tests want them: operands lie at the very end of memory, so that reading past them
// traps; results, scratch and what is between them begin as NaN, so that reading what nobody wrote shows; what must not be
// written is compared afterwards. Parts that may run at the same time can be run in any order.

import type { DType } from "@counterflow/ir"
import { expect } from "vitest"
import { type FunctionRef, type Local, ModuleBuilder } from "../../src/assembler/index.ts"
import { convolution } from "../../src/generate/convolution.ts"
import type { Kernel } from "../../src/generate/kernel.ts"
import type { Emit, FusedEpilogue, Place, PlacedTensor, TensorShape } from "../../src/generate/signature.ts"

export interface Convolution {
  readonly images: number
  readonly groups: number
  /** Of one group. */
  readonly channels: number
  readonly filters: number
  readonly image: readonly [number, number]
  readonly taps: readonly [number, number]
  readonly stride: readonly [number, number]
  readonly dilation: readonly [number, number]
  /** Top, bottom, left, right. */
  readonly padding: readonly [number, number, number, number]
}

export type Wanted = "z" | "dx" | "dw"

/** One of few channels, 3 × 3, nothing unusual. */
export function convolutionOf(given: Partial<Convolution>): Convolution {
  const rest = { stride: [1, 1], dilation: [1, 1], padding: [0, 0, 0, 0] } as const
  return { images: 2, groups: 1, channels: 2, filters: 3, image: [6, 7], taps: [3, 3], ...rest, ...given }
}

export function shapesOf(conv: Convolution): Record<"x" | "w" | "z", number[]> {
  const { images, groups, channels, filters, image, taps, stride, dilation, padding } = conv
  const places = ([0, 1] as const).map((axis) => {
    const room = image[axis] + (padding[2 * axis] ?? 0) + (padding[2 * axis + 1] ?? 0)
    return Math.floor((room - (taps[axis] - 1) * dilation[axis] - 1) / stride[axis]) + 1
  })
  return {
    x: [images, groups * channels, ...image],
    w: [groups * filters, channels, ...taps],
    z: [images, groups * filters, ...places],
  }
}

export function sizeOf(shape: readonly number[]): number {
  return shape.reduce((product, size) => product * size, 1)
}

/** Numbers in [−1, 1) from a linear congruential generator. */
export function numbers(count: number, seed: number): Float32Array {
  let state = seed >>> 0
  return Float32Array.from({ length: count }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return state / 2 ** 31 - 1
  })
}

/** A tensor that an epilogue reads. */
export interface Operand {
  readonly data: Float32Array | Uint8Array
  readonly strides?: readonly number[]
}

export interface Options {
  readonly epilogue?: { readonly scalar: FusedEpilogue["scalar"]; readonly operands: Readonly<Record<string, Operand>> }
  /** Parts run last to first. */
  readonly isReversed?: boolean
  readonly relaxed?: boolean
}

const pageBytes = 2 ** 16
const guardBytes = 64
/** One of each size: a memory reserves much address space, and garbage collection is in no hurry. */
const memories = new Map<number, WebAssembly.Memory>()

function memoryOf(pages: number): WebAssembly.Memory {
  const memory = memories.get(pages) ?? new WebAssembly.Memory({ initial: pages })
  memories.set(pages, memory)
  return memory
}

interface Ran {
  readonly result: Float32Array
  /** Names of the kernels, in order. */
  readonly kernels: readonly string[]
  /** Parts that may run at the same time. */
  readonly parts: number
}

type Pieces = Readonly<Record<"x" | "w" | "z", Float32Array>>

/** Computes what is wanted of the other two. The module must be valid. */
export function convolve(conv: Convolution, wanted: Wanted, data: Pieces, options: Options = {}): Ran {
  const shapes = shapesOf(conv)
  const [target, ...sources] = { z: ["z", "x", "w"], dx: ["x", "z", "w"], dw: ["w", "x", "z"] }[wanted] as (
    | "x"
    | "w"
    | "z"
  )[]
  if (target === undefined) throw new Error("something must be wanted")
  const { stride, padding, dilation, groups } = conv
  const attrs = { stride, padding, dilation, groups }
  const scratch = scratchOf(wanted, shapes, attrs)
  const others = Object.entries(options.epilogue?.operands ?? {})
  const inputs = [...others.map(([, { data: own }]) => own), ...sources.map((name) => data[name])]
  const size = sizeOf(shapes[target])
  const used = inputs.reduce(
    (sum, { byteLength }) => sum + byteLength + 2 * guardBytes,
    4 * size + scratch + 4 * guardBytes,
  )
  const memory = memoryOf(Math.ceil(used / pageBytes))
  const all = new Float32Array(memory.buffer).fill(NaN)
  let free = memory.buffer.byteLength
  const reserve = (bytes: number) => (free = 4 * Math.floor((free - bytes) / 4))
  const put = (values: Float32Array | Uint8Array) => {
    const at = reserve(values.byteLength)
    new Uint8Array(memory.buffer).set(new Uint8Array(values.buffer, values.byteOffset, values.byteLength), at)
    reserve(guardBytes)
    return at
  }
  const addresses = inputs.toReversed().map(put).toReversed()
  const result = reserve(4 * size)
  const workspace = 16 * Math.floor((result - guardBytes - scratch) / 16)
  const outside = new Uint32Array(memory.buffer).slice()

  const fixed = (offset: number): Place => ({ base: "fixed", offset })
  const tensor = (shape: readonly number[], offset: number, dtype: DType = "float32"): PlacedTensor => {
    return { shape, elements: sizeOf(shape), dtype, place: fixed(offset) }
  }
  const at = (name: "x" | "w" | "z") => {
    const source = sources.indexOf(name)
    return tensor(shapes[name], source < 0 ? result : (addresses[others.length + source] ?? 0))
  }
  const recorder = new Recorder(options)
  const epilogue = options.epilogue && {
    scalar: options.epilogue.scalar,
    inputs: Object.fromEntries(
      others.map(([slot, { data: own, strides }], i) => {
        const dtype = own instanceof Uint8Array ? "bool" : "float32"
        return [slot, { tensor: tensor([own.length], addresses[i] ?? 0, dtype), strides }] as const
      }),
    ),
  }
  const rest = { attrs, workspace: fixed(workspace) }
  if (wanted === "z") {
    const call = { inputs: { x: at("x"), w: at("w") }, outputs: { z: at("z") }, ...rest }
    convolution.conv2d.emit(epilogue === undefined ? call : { ...call, epilogue }, recorder)
  } else if (wanted === "dx") {
    const own = { ...rest, attrs: { ...attrs, inputShape: shapes.x } }
    convolution.conv2dInputGrad.emit(
      { inputs: { dz: at("z"), w: at("w") }, outputs: { dx: at("x") }, ...own },
      recorder,
    )
  } else {
    const own = { ...rest, attrs: { ...attrs, filterShape: shapes.w } }
    convolution.conv2dFilterGrad.emit(
      { inputs: { x: at("x"), dz: at("z") }, outputs: { dw: at("w") }, ...own },
      recorder,
    )
  }
  recorder.execute(memory)
  const isOwn = (word: number) =>
    (4 * word >= workspace && 4 * word < workspace + scratch) || (4 * word >= result && 4 * word < result + 4 * size)
  const changed = new Uint32Array(memory.buffer).findIndex((word, i) => word !== outside[i] && !isOwn(i))
  expect({ conv, wanted, changed }).toEqual({ conv, wanted, changed: -1 })
  const { kernels, parts } = recorder
  return { result: all.slice(result / 4, result / 4 + size), kernels, parts }
}

/** Bytes of scratch. */
function scratchOf(
  wanted: Wanted,
  shapes: Record<"x" | "w" | "z", number[]>,
  attrs: Pick<Convolution, "stride" | "padding" | "dilation" | "groups">,
): number {
  const typed = (shape: number[]): TensorShape => ({ shape, elements: sizeOf(shape), dtype: "float32" })
  const [x, w, z] = [typed(shapes.x), typed(shapes.w), typed(shapes.z)]
  if (wanted === "z") return convolution.conv2d.workspace({ inputs: { x, w }, outputs: { z }, attrs })
  if (wanted === "dx") {
    const own = { ...attrs, inputShape: shapes.x }
    return convolution.conv2dInputGrad.workspace({ inputs: { dz: z, w }, outputs: { dx: x }, attrs: own })
  }
  const own = { ...attrs, filterShape: shapes.w }
  return convolution.conv2dFilterGrad.workspace({ inputs: { x, dz: z }, outputs: { dw: w }, attrs: own })
}

interface Call {
  readonly target: FunctionRef<readonly "i32"[], readonly []>
  readonly at: readonly number[]
}

/** Takes kernels as a program does, and runs them. */
class Recorder implements Emit {
  readonly relaxed: boolean
  readonly kernels: string[] = []
  parts = 0
  readonly #module: ModuleBuilder
  readonly #isReversed: boolean
  readonly #calls: Call[] = []

  constructor({ relaxed = false, isReversed = false }: Options) {
    this.relaxed = relaxed
    this.#isReversed = isReversed
    this.#module = new ModuleBuilder({ relaxed })
    this.#module.importMemory("host", "memory", { minPages: 1 })
  }

  run<P extends string, S>({ name, build }: Kernel<P, S>, at: Readonly<Record<P, Place>>, spec: S): void {
    const names = Object.keys(at) as P[]
    const params = names.map(() => "i32" as const)
    const target = this.#module.function(name, params, [], (f, ...locals) => {
      const pointers = Object.fromEntries(names.map((pointer, i) => [pointer, locals[i]])) as Record<P, Local<"i32">>
      build({ f, module: this.#module, relaxed: this.relaxed }, pointers, spec)
    })
    this.kernels.push(name)
    this.#calls.push({ target, at: names.map((pointer) => at[pointer].offset) })
  }

  write(): void {
    throw new Error("convolutions write no constants")
  }

  parallel(parts: readonly (() => void)[]): void {
    this.parts += parts.length
    for (const part of this.#isReversed ? parts.toReversed() : parts) part()
  }

  execute(memory: WebAssembly.Memory): void {
    const step = this.#module.function("step", [], [], (f) => {
      for (const { target, at } of this.#calls) f.run(target, ...at)
    })
    this.#module.export("step", step)
    const { exports } = instanceOf(this.#module.finish(), memory)
    ;(exports["step"] as () => void)()
  }
}

function instanceOf(bytes: Uint8Array<ArrayBuffer>, memory: WebAssembly.Memory): WebAssembly.Instance {
  expect(WebAssembly.validate(bytes)).toBe(true)
  return new WebAssembly.Instance(new WebAssembly.Module(bytes), { host: { memory } })
}

/** What is wanted, in float64 and from the definition. */
export function exactly(conv: Convolution, wanted: Wanted, data: Pieces): Float64Array {
  const { images, groups, channels, filters, image, taps, stride, dilation, padding } = conv
  const shapes = shapesOf(conv)
  const [, , rows = 0, columns = 0] = shapes.z
  const result = new Float64Array(sizeOf(shapes[{ z: "z", dx: "x", dw: "w" }[wanted] as "x" | "w" | "z"]))
  const { x, w, z } = data
  for (let plane = 0; plane < images * groups * filters; plane++) {
    const [b, o] = [Math.floor(plane / (groups * filters)), plane % (groups * filters)]
    const first = b * groups * channels + Math.floor(o / filters) * channels
    for (let tap = 0; tap < channels * taps[0] * taps[1]; tap++) {
      const c = Math.floor(tap / (taps[0] * taps[1]))
      const [p, q] = [Math.floor(tap / taps[1]) % taps[0], tap % taps[1]]
      const wAt = o * channels * taps[0] * taps[1] + tap
      for (let i = 0; i < rows; i++) {
        const row = i * stride[0] - padding[0] + p * dilation[0]
        if (row < 0 || row >= image[0]) continue
        for (let j = 0; j < columns; j++) {
          const column = j * stride[1] - padding[2] + q * dilation[1]
          if (column < 0 || column >= image[1]) continue
          const xAt = ((first + c) * image[0] + row) * image[1] + column
          const zAt = (plane * rows + i) * columns + j
          if (wanted === "z") result[zAt] = (result[zAt] ?? 0) + (x[xAt] ?? 0) * (w[wAt] ?? 0)
          else if (wanted === "dx") result[xAt] = (result[xAt] ?? 0) + (z[zAt] ?? 0) * (w[wAt] ?? 0)
          else result[wAt] = (result[wAt] ?? 0) + (z[zAt] ?? 0) * (x[xAt] ?? 0)
        }
      }
    }
  }
  return result
}

export function operandsOf(conv: Convolution, seed = 5): Pieces {
  const { x, w, z } = shapesOf(conv)
  return { x: numbers(sizeOf(x), seed), w: numbers(sizeOf(w), seed + 1), z: numbers(sizeOf(z), seed + 2) }
}

/** The largest difference, relative to the largest value; NaN if there is one. */
export function differenceOf(got: Float32Array, wanted: Float64Array): number {
  const most = (values: Float64Array) => values.reduce((largest, value) => Math.max(largest, Math.abs(value)), 0)
  const difference = most(wanted.map((value, i) => (got[i] ?? NaN) - value))
  return difference === 0 ? 0 : difference / most(wanted)
}
