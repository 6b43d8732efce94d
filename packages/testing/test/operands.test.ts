// Transposes and broadcasts around matrix products: folded where the backend reads and writes by steps, kept where somebody
// else needs them, and the same values either way.

import { type BoundProgram, type PassName, verifyBound } from "@counterflow/compiler"
import { gradients } from "@counterflow/autodiff"
import { Executor } from "@counterflow/executor"
import { Program, programGuard, type Variable } from "@counterflow/ir"
import { cpu } from "@counterflow/kernels-cpu"
import { wasm } from "@counterflow/kernels-wasm"
import { add, legalize, matmul, reduceSum, relu, reshape, softmax, transpose } from "@counterflow/ops"
import { describe, expect, test } from "vitest"
import { checkClose } from "../src/case.ts"
import { input } from "./building.ts"

interface Built {
  readonly program: Program
  readonly fetch: readonly Variable[]
}

function build(
  shapes: Readonly<Record<string, readonly number[]>>,
  body: (inputs: Record<string, Variable>) => Variable[],
) {
  const program = new Program()
  const entries = Object.entries(shapes).map(
    ([name, shape]) => [name, input(program, name, [...shape], "float32")] as const,
  )
  const inputs = Object.fromEntries(entries)
  for (const variable of Object.values(inputs)) variable.stopGradient = false
  const fetch = programGuard(program, new Program(), () => body(inputs))
  return { program, fetch, shapes }
}

function feedOf(shapes: Readonly<Record<string, readonly number[]>>) {
  return Object.fromEntries(
    Object.entries(shapes).map(([name, shape], k) => {
      const length = shape.reduce((a, b) => a * b, 1)
      return [
        name,
        { dtype: "float32" as const, shape, data: Float32Array.from({ length }, (_, i) => Math.sin(3 * i + k)) },
      ]
    }),
  )
}

/** Operators by type behind the pass. */
function behindPass(built: Built & { shapes: Readonly<Record<string, readonly number[]>> }, off: PassName[] = []) {
  let seen: BoundProgram | undefined
  const observe = (name: string, program: BoundProgram) => {
    verifyBound(program)
    if (name === "operands" || (off.includes("operands") && name === "prune")) seen = program
  }
  const executor = new Executor(wasm({ deterministic: true }), { legalize, passes: { off, observe } })
  const results = executor.runSync(built.program, { feed: feedOf(built.shapes), fetch: built.fetch })
  const types = (seen?.block.ops ?? []).map(({ type }) => type)
  const views = (seen?.block.ops ?? []).reduce((total, op) => total + Object.keys(op.views ?? {}).length, 0)
  executor.close()
  return { types, views, results }
}

function expectSame(built: Built & { shapes: Readonly<Record<string, readonly number[]>> }) {
  const folded = behindPass(built)
  const plain = behindPass(built, ["operands"])
  const reference = new Executor(cpu(), { legalize })
  const expected = reference.runSync(built.program, { feed: feedOf(built.shapes), fetch: built.fetch })
  expect(plain.views).toBe(0)
  folded.results.forEach((tensor, i) => {
    const [other, exact] = [plain.results[i], expected[i]]
    if (other === undefined || exact === undefined) throw new Error("a result is missing")
    checkClose(tensor, exact, 1e-5, `fetch ${i}`)
    checkClose(other, exact, 1e-5, `fetch ${i}, not folded`)
  })
  return { folded, plain }
}

const heads = { axes: [0, 2, 1, 3] }

/** Attention as it is usually written: heads are split off, and joined again. */
function attention(query: Variable, key: Variable, value: Variable): Variable {
  const split = (x: Variable) => transpose(reshape(x, { shape: [0, 0, 3, -1] }), { perm: heads.axes })
  const scores = matmul(split(query), split(key), { transposeY: true, alpha: 0.5 })
  const mixed = matmul(softmax(scores), split(value))
  return reshape(transpose(mixed, { perm: heads.axes }), { shape: [0, 0, 24] })
}

describe("attention", () => {
  const shapes = { query: [2, 10, 24], key: [2, 10, 24], value: [2, 10, 24], out: [24, 7] }

  test("forward: no transpose is left", () => {
    const built = build(shapes, ({ query, key, value, out }) => {
      if (query === undefined || key === undefined || value === undefined || out === undefined)
        throw new Error("inputs")
      return [matmul(attention(query, key, value), out)]
    })
    const { folded, plain } = expectSame(built)
    expect(plain.types.filter((type) => type === "transpose")).toHaveLength(4)
    expect(folded.types).not.toContain("transpose")
    expect(folded.views).toBe(4)
  })

  test("backward: no transpose is left", () => {
    const built = build(shapes, ({ query, key, value, out }) => {
      if (query === undefined || key === undefined || value === undefined || out === undefined)
        throw new Error("inputs")
      const y = matmul(attention(query, key, value), out)
      const found = gradients(y, [query, key, value, out])
      return found.flatMap((gradient) => (gradient === null ? [] : [gradient]))
    })
    expect(built.fetch).toHaveLength(4)
    const { folded, plain } = expectSame(built)
    expect(plain.types.filter((type) => type === "transpose").length).toBeGreaterThanOrEqual(8)
    expect(folded.types).not.toContain("transpose")
  })
})

test("a transposed operand, and a transposed result", () => {
  const built = build({ x: [5, 9], y: [5, 7] }, ({ x, y }) => {
    if (x === undefined || y === undefined) throw new Error("inputs")
    // The result is read with its columns side by side, which no product can write: it stays.
    return [relu(transpose(matmul(transpose(x, { perm: [1, 0] }), y), { perm: [1, 0] }))]
  })
  const { folded } = expectSame(built)
  expect(folded.types.filter((type) => type === "transpose")).toHaveLength(1)
  expect(folded.views).toBe(1)
})

test("one matrix for a whole batch is not repeated", () => {
  const built = build({ x: [2, 3, 5, 6], y: [6, 4] }, ({ x, y }) => {
    if (x === undefined || y === undefined) throw new Error("inputs")
    return [matmul(x, y, { transposeX: false }), matmul(transpose(x, { perm: [0, 1, 3, 2] }), y, { transposeX: true })]
  })
  const { folded } = expectSame(built)
  expect(folded.types).not.toContain("broadcastTo")
  expect(folded.types).not.toContain("transpose")
})

test("what others read, or what is fetched, stays", () => {
  const built = build({ x: [4, 6], y: [4, 5] }, ({ x, y }) => {
    if (x === undefined || y === undefined) throw new Error("inputs")
    const turned = transpose(x, { perm: [1, 0] })
    const product = matmul(turned, y)
    return [reduceSum(add(turned, 1)), product, transpose(product, { perm: [1, 0] })]
  })
  const { folded } = expectSame(built)
  expect(folded.views).toBe(0)
})

test("what the CPU backend runs has no views", () => {
  let views = 0
  const built = build({ x: [5, 9], y: [5, 7] }, ({ x, y }) => {
    if (x === undefined || y === undefined) throw new Error("inputs")
    return [matmul(transpose(x, { perm: [1, 0] }), y)]
  })
  const observe = (_name: string, { block }: BoundProgram) => {
    views += block.ops.filter((op) => op.views !== undefined).length
  }
  new Executor(cpu(), { legalize, passes: { observe } }).runSync(built.program, {
    feed: feedOf(built.shapes),
    fetch: built.fetch,
  })
  expect(views).toBe(0)
})
