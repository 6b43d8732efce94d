// A backend in a hundred lines, through the same contract as ours: it writes one JavaScript function for the whole plan. Loops
// of elementwise ops come from their scalar expressions, the others from a few kernels that are text; memory is its own.

import type { BoundOp, Plan } from "@counterflow/compiler"
import type { Backend, LoadedPlan, Memory, StateRegion, StorageArray } from "@counterflow/executor"
import { type DType, fail, type Scalar, type VarId } from "@counterflow/ir"

interface ToyTensor {
  readonly name: string
  readonly shape: readonly number[]
}

/** JavaScript statements that compute an operator. */
type ToyKernel = (op: BoundOp, at: (slot: string) => ToyTensor) => string

const storageOf = {
  float32: Float32Array,
  float64: Float64Array,
  int32: Int32Array,
  int64: Float64Array,
  uint8: Uint8Array,
  bool: Uint8Array,
}

const count = (shape: readonly number[]) => shape.reduce((product, size) => product * size, 1)
const strides = (shape: readonly number[]) => shape.map((_, axis) => count(shape.slice(axis + 1)))

/** Nested loops over an index space; `body` is given the index variables. */
function loops(shape: readonly number[], body: (index: readonly string[]) => string): string {
  const index = shape.map((_, axis) => `i${axis}`)
  return shape.reduceRight(
    (inner, size, axis) => `for (let i${axis} = 0; i${axis} < ${size}; i${axis}++) { ${inner} }`,
    body(index),
  )
}

const offset = (index: readonly string[], by: readonly number[]) =>
  ["0", ...index.map((i, axis) => `${i} * ${by[axis] ?? 0}`)].join(" + ")

const kernels: Readonly<Record<string, ToyKernel>> = {
  fillConstant: ({ attrs }, at) => `${at("z").name}.fill(${String(attrs["value"])})`,
  dimValue: ({ attrs }, at) => `${at("z").name}[0] = ${String(attrs["dim"])}`,
  assign: (_op, at) => `${at("z").name}.set(${at("x").name})`,
  reshape: (_op, at) => `${at("z").name}.set(${at("x").name})`,
  broadcastTo: (_op, at) => {
    const [x, z] = [at("x"), at("z")]
    const missing = z.shape.length - x.shape.length
    const own = strides(x.shape)
    const by = z.shape.map((_, axis) => (x.shape[axis - missing] === 1 ? 0 : (own[axis - missing] ?? 0)))
    return loops(z.shape, (i) => `${z.name}[${offset(i, strides(z.shape))}] = ${x.name}[${offset(i, by)}]`)
  },
  reduceSum: ({ attrs }, at) => {
    const [x, z] = [at("x"), at("z")]
    const axis = attrs["axis"] as readonly number[]
    const kept = strides(x.shape.filter((_, i) => !axis.includes(i)))
    const by = x.shape.map((_, i) => (axis.includes(i) ? 0 : (kept.shift() ?? 0)))
    const adding = loops(x.shape, (i) => `${z.name}[${offset(i, by)}] += ${x.name}[${offset(i, strides(x.shape))}]`)
    return `${z.name}.fill(0); ${adding}`
  },
  matmul: ({ attrs }, at) => {
    const [x, y, z] = [at("x"), at("y"), at("z")]
    const [rows = 0, columns = 0] = z.shape.slice(-2)
    const inner = x.shape.at(attrs["transposeX"] === true ? -2 : -1) ?? 0
    const batch = count(z.shape.slice(0, -2))
    const left = attrs["transposeX"] === true ? `k * ${rows} + i` : `i * ${inner} + k`
    const right = attrs["transposeY"] === true ? `j * ${inner} + k` : `k * ${columns} + j`
    return `for (let b = 0; b < ${batch}; b++) for (let i = 0; i < ${rows}; i++) for (let j = 0; j < ${columns}; j++) {
      let sum = 0
      for (let k = 0; k < ${inner}; k++) sum += ${x.name}[b * ${rows * inner} + ${left}] * ${y.name}[b * ${inner * columns} + ${right}]
      ${z.name}[b * ${rows * columns} + i * ${columns} + j] = ${String(attrs["alpha"])} * sum
    }`
  },
}

const infix: Readonly<Record<string, string>> = {
  add: "+",
  sub: "-",
  mul: "*",
  div: "/",
  and: "&&",
  or: "||",
  less: "<",
  lessEqual: "<=",
  equal: "===",
  notEqual: "!==",
}

function scalarText(scalar: Scalar, at: (slot: string) => ToyTensor): string {
  const text = (inner: Scalar) => scalarText(inner, at)
  if (scalar.op === "input") return `${at(scalar.slot).name}[i]`
  if (scalar.op === "const") return `(${scalar.value})`
  if (scalar.op === "select") return `(${text(scalar.condition)} ? ${text(scalar.x)} : ${text(scalar.y)})`
  if (scalar.op === "cast")
    return scalar.dtype.startsWith("float") ? text(scalar.x) : fail("CF_KERNEL_MISSING", "the toy casts to floats only")
  if (scalar.op === "neg") return `(-${text(scalar.x)})`
  if (scalar.op === "not") return `(!${text(scalar.x)})`
  if (!("y" in scalar)) return `Math.${scalar.op}(${text(scalar.x)})`
  const sign = infix[scalar.op]
  return sign === undefined
    ? `Math.${scalar.op}(${text(scalar.x)}, ${text(scalar.y)})`
    : `(${text(scalar.x)} ${sign} ${text(scalar.y)})`
}

class ToyMemory implements Memory {
  arena = new ArrayBuffer(0)
  stateBytes = 0

  get arenaBytes(): number {
    return this.arena.byteLength
  }

  reserveArena(bytes: number): void {
    if (bytes > this.arenaBytes) this.arena = new ArrayBuffer(bytes)
  }

  allocateState(dtype: DType, elements: number): StateRegion {
    const view = new storageOf[dtype](elements)
    this.stateBytes += view.byteLength
    return { bytes: view.byteLength, view: () => view }
  }

  close(): void {
    this.arena = new ArrayBuffer(0)
  }
}

function load(plan: Plan, memory: Memory, states: ReadonlyMap<VarId, StateRegion>): LoadedPlan {
  if (!(memory instanceof ToyMemory)) return fail("CF_INTERNAL", "the toy was given memory of another backend")
  const source = plan.block.ops.map((op) => {
    const at = (slot: string): ToyTensor => {
      const id = [...(op.inputs[slot] ?? []), ...(op.outputs[slot] ?? [])][0] ?? -1
      return { name: `v[${id}]`, shape: plan.vars[id]?.shape ?? [] }
    }
    const { scalar } = op.facts
    if (scalar === undefined)
      return kernels[op.type]?.(op, at) ?? fail("CF_KERNEL_MISSING", `the toy has no ${op.type}`)
    const z = at(Object.keys(op.outputs)[0] ?? "")
    return `for (let i = 0; i < ${count(z.shape)}; i++) ${z.name}[i] = ${scalarText(scalar, at)}`
  })
  // oxlint-disable-next-line eslint/no-new-func, typescript/no-implied-eval -- compiling the plan to text is what this backend is about
  const run = new Function("v", source.join("\n")) as (views: readonly (StorageArray | undefined)[]) => void
  let views: (StorageArray | undefined)[] = []
  let arena: ArrayBuffer | null = null
  const current = () => {
    if (arena === memory.arena) return views
    arena = memory.arena
    const { placements } = plan.layout
    views = plan.vars.map(({ dtype, elements }, id) => {
      const placed = placements[id]
      if (placed?.region === "state") return states.get(placed.state)?.view()
      return placed === null || placed === undefined
        ? undefined
        : new storageOf[dtype](memory.arena, placed.offset, elements)
    })
    return views
  }
  return {
    view: (id) => current()[id] ?? fail("CF_INTERNAL", `the plan places no variable ${id}`),
    runSync: () => run(current()),
    close: () => {},
  }
}

/** Floats and what moves them, by ops that are elementwise or in the table above. */
export function toy(): Backend<ToyKernel> {
  return {
    name: "toy",
    kernels,
    keeps: [],
    canRunSync: true,
    updatesInPlace: true,
    supports: (op) => op.facts.scalar !== undefined || Object.hasOwn(kernels, op.type),
    storage: (dtype) => storageOf[dtype].BYTES_PER_ELEMENT,
    workspaceBytes: () => 0,
    openMemory: () => new ToyMemory(),
    load,
  }
}
