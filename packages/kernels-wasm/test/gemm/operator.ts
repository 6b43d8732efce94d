// Runs the generator of the matrix product as a plan would, without a plan: tensors in memory, the scratch it asked
// for in front of them, and parts in any order, since none may read what another writes.

import type { Strides } from "@counterflow/compiler"
import type { DType, Scalar } from "@counterflow/ir"
import { expect } from "vitest"
import { type FunctionRef, type Local, ModuleBuilder } from "../../src/assembler/index.ts"
import type { Kernel } from "../../src/generate/kernel.ts"
import { matmulGenerators } from "../../src/generate/matmul/matmul.ts"
import type { Emit, Place, PlacedTensor } from "../../src/generate/signature.ts"
import { count } from "../../src/generate/space/space.ts"
import { numbers } from "./product.ts"

/** A tensor and where its elements lie among its values. */
export interface Tensor {
  readonly shape: readonly number[]
  readonly values: Float32Array | Float64Array | Uint8Array
  readonly strides?: Strides
}

export function random(shape: readonly number[], seed: number): Tensor {
  return { shape, values: numbers(count(shape), seed) }
}

/** The same elements with their axes in another order: read where they lie. */
export function permuted({ shape, values }: Tensor, axes: readonly number[]): Tensor {
  const steps = shape.map((_, axis) => count(shape.slice(axis + 1)))
  const pick = (of: readonly number[]) => axes.map((axis) => of[axis] ?? 0)
  return { shape: pick(shape), values, strides: pick(steps) }
}

/** Row by row. */
export function elementsOf({ shape, values, strides }: Tensor): number[] {
  const steps = strides ?? shape.map((_, axis) => count(shape.slice(axis + 1)))
  return Array.from({ length: count(shape) }, (_, i) => {
    let [rest, at] = [i, 0]
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      const size = shape[axis] ?? 1
      at += (rest % size) * (steps[axis] ?? 0)
      rest = Math.floor(rest / size)
    }
    return values[at] ?? NaN
  })
}

export interface MatmulOptions {
  readonly transposeX?: boolean
  readonly transposeY?: boolean
  readonly alpha?: number
  readonly relaxed?: boolean
  readonly epilogue?: {
    readonly scalar: Scalar
    readonly inputs: Readonly<Record<string, { readonly tensor: Tensor; readonly strides?: Strides }>>
  }
  /** In which order parts run: as they come. */
  readonly order?: "forward" | "backward"
}

export interface Outcome {
  readonly z: Float32Array
  readonly shape: readonly number[]
  /** Kernels in the order of running, one name each. */
  readonly kernels: readonly string[]
  readonly parts: number
  readonly functions: number
}

type Target = FunctionRef<readonly "i32"[], readonly []>

/** Gathers the kernels of one operator in a function. */
class Recorder implements Emit {
  readonly relaxed: boolean
  readonly kernels: string[] = []
  readonly module: ModuleBuilder
  readonly functions = new Map<string, Target>()
  readonly calls: { readonly target: Target; readonly at: readonly number[] }[] = []
  readonly #isBackward: boolean
  parts = 1

  constructor(relaxed: boolean, isBackward: boolean) {
    this.relaxed = relaxed
    this.#isBackward = isBackward
    this.module = new ModuleBuilder({ relaxed })
    this.module.importMemory("host", "memory", { minPages: 1 })
  }

  run<P extends string, S>(kernel: Kernel<P, S>, at: Readonly<Record<P, Place>>, spec: S): void {
    const names = Object.keys(at) as P[]
    const key = `${kernel.name} ${names.join(" ")} ${JSON.stringify(spec)}`
    const { module, relaxed } = this
    const build = (): Target =>
      module.function(
        kernel.name,
        names.map(() => "i32" as const),
        [],
        (f, ...locals) => {
          const entries = names.map((name, i) => [name, locals[i]] as const)
          kernel.build({ f, module, relaxed }, Object.fromEntries(entries) as Record<P, Local<"i32">>, spec)
        },
      )
    const target = this.functions.get(key) ?? build()
    this.functions.set(key, target)
    this.kernels.push(kernel.name)
    this.calls.push({ target, at: names.map((name) => at[name].offset) })
  }

  write(): never {
    throw new Error("a product has no constants")
  }

  parallel(parts: readonly (() => void)[]): void {
    this.parts = parts.length
    for (const part of this.#isBackward ? parts.toReversed() : parts) part()
  }
}

const guard = 64
const pageBytes = 2 ** 16

export function matmul(x: Tensor, y: Tensor, options: MatmulOptions = {}): Outcome {
  const { transposeX = false, transposeY = false, alpha = 1, relaxed = false, epilogue, order = "forward" } = options
  const attrs = { transposeX, transposeY, alpha }
  const [m = 0, n = 0] = [x.shape.at(transposeX ? -1 : -2), y.shape.at(transposeY ? -2 : -1)]
  const shape = [...x.shape.slice(0, -2), m, n]
  const more = Object.entries(epilogue?.inputs ?? {})
  const z: Tensor = { shape, values: new Float32Array(count(shape)).fill(NaN) }
  const tensors = [x, y, z, ...more.map(([, { tensor }]) => tensor)]

  const describe = (tensor: Tensor, offset = 0): PlacedTensor => ({
    shape: tensor.shape,
    elements: count(tensor.shape),
    dtype: dtypeOf(tensor),
    strides: tensor.strides,
    place: { base: "fixed", offset },
  })
  const shapes = { inputs: { x: describe(x), y: describe(y) }, outputs: { z: describe(z) }, attrs }
  const generator = matmulGenerators.matmul
  const scratch = generator.workspace(shapes)
  const bytes = tensors.reduce((sum, { values }) => sum + values.byteLength + guard, scratch + 4 * guard)
  const memory = new WebAssembly.Memory({ initial: Math.ceil(bytes / pageBytes) })
  new Float32Array(memory.buffer).fill(NaN)
  let free = memory.buffer.byteLength
  const places = tensors.map(({ values }) => {
    // As plans place them: at multiples of 16 bytes, with the rest of the last 16 free.
    free = 16 * Math.floor((free - values.byteLength) / 16)
    new Uint8Array(memory.buffer).set(new Uint8Array(values.buffer, values.byteOffset, values.byteLength), free)
    const place = free
    free -= guard
    return place
  })
  const workspace = 16 * Math.floor((free - scratch) / 16)

  const emit = new Recorder(relaxed, order === "backward")
  const inputs = Object.fromEntries(
    more.map(([slot, { tensor, strides }], i) => [slot, { tensor: describe(tensor, places[3 + i]), strides }]),
  )
  const own = { x: { tensor: describe(x, places[0]) }, y: { tensor: describe(y, places[1]) } }
  generator.emit(
    {
      inputs: { x: own.x.tensor, y: own.y.tensor },
      outputs: { z: describe(z, places[2]) },
      attrs,
      workspace: { base: "fixed", offset: workspace },
      // A plan hands over all inputs of the operator; those that the expression reads count.
      ...(epilogue === undefined
        ? {}
        : { epilogue: { scalar: epilogue.scalar, inputs: { x: own.x, y: own.y, ...inputs } } }),
    },
    emit,
  )
  const { module, calls } = emit
  module.export(
    "run",
    module.function("run", [], [], (f) => {
      for (const { target, at } of calls) f.run(target, ...at)
    }),
  )
  const code = module.finish()
  expect(WebAssembly.validate(code)).toBe(true)
  const before = new Int32Array(memory.buffer.slice(0))
  const { exports } = new WebAssembly.Instance(new WebAssembly.Module(code), { host: { memory } })
  const run = exports["run"] as () => void
  run()
  // Nothing is written but the result and the scratch.
  const at = places[2] ?? 0
  const after = new Int32Array(memory.buffer)
  const end = at + 16 * Math.ceil(z.values.byteLength / 16)
  const isOwn = (byte: number) => (byte >= at && byte < end) || (byte >= workspace && byte < workspace + scratch)
  let changed = -1
  for (let i = 0; i < after.length; i++) if (after[i] !== before[i] && !isOwn(4 * i)) changed = i
  expect(changed).toBe(-1)
  return {
    z: new Float32Array(memory.buffer.slice(at, at + z.values.byteLength)),
    shape,
    kernels: emit.kernels,
    parts: emit.parts,
    functions: emit.functions.size,
  }
}

function dtypeOf({ values }: Tensor): DType {
  if (values instanceof Float32Array) return "float32"
  return values instanceof Float64Array ? "float64" : "bool"
}

/** Entries as close to the exact ones as the documented rounding allows: all of them, or evenly chosen ones of many. */
export function expectProduct(x: Tensor, y: Tensor, options: MatmulOptions = {}): Outcome {
  const { transposeX = false, transposeY = false, alpha = 1 } = options
  const outcome = matmul(x, y, options)
  const [m = 0, k = 0] = transposeX ? x.shape.slice(-2).toReversed() : x.shape.slice(-2)
  const n = y.shape.at(transposeY ? -2 : -1) ?? 0
  const [a, b] = [elementsOf(x), elementsOf(y)]
  const entries = outcome.z.length
  let wrong = -1
  for (let at = 0; at < entries; at += Math.ceil(entries / 2000)) {
    const [z, i, j] = [Math.floor(at / (m * n)), Math.floor(at / n) % m, at % n]
    let [value, magnitude] = [0, 0]
    for (let l = 0; l < k; l++) {
      const p = a[z * m * k + (transposeX ? l * m + i : i * k + l)] ?? NaN
      const q = b[z * k * n + (transposeY ? j * k + l : l * n + j)] ?? NaN
      value += alpha * p * q
      magnitude += Math.abs(alpha * p * q)
    }
    if (!(Math.abs((outcome.z[at] ?? NaN) - value) <= (k + 5) * 2 ** -24 * magnitude)) wrong = at
  }
  expect({ shape: outcome.shape, wrong }).toEqual({ shape: outcome.shape, wrong: -1 })
  return outcome
}
