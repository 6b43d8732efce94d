// Segments of a recomputation: what the compiler must leave apart, and in order.

import { appendBackward } from "@counterflow/autodiff"
import {
  absorbElementwise,
  type BoundProgram,
  foldOperands,
  fuseElementwise,
  joinLoops,
  mergeCommonSubexpressions,
  schedule,
  verifyBound,
} from "@counterflow/compiler"
import { Executor } from "@counterflow/executor"
import { parseProgram, Program, type Variable, verify } from "@counterflow/ir"
import { cpu } from "@counterflow/kernels-cpu"
import { data, fc } from "@counterflow/layers"
import {
  cond,
  greater,
  legalize,
  matmul,
  mean,
  reduceSum,
  registry,
  relu,
  resolve,
  scale,
  scan,
  square,
  sub,
  tanh,
  transpose,
} from "@counterflow/ops"
import { SGD } from "@counterflow/optim"
import { describe, expect, test } from "vitest"
import { build, input, parameter, refusalOf } from "./building.ts"
import { observed } from "./passes-observed.ts"

/** Layers with weights of their own, trained; the checkpoints are two of them. */
function layered() {
  return build(() => {
    const checkpoints: Variable[] = []
    let x = data({ name: "x", shape: [16] })
    for (let i = 0; i < 6; i++) {
      x = fc(x, { size: 16, act: "tanh" })
      if (i === 1 || i === 3) checkpoints.push(x)
    }
    const loss = mean(square(x))
    new SGD({ learningRate: 0.1 }).minimize(loss, { checkpoints })
    return { loss }
  })
}

const bytes = { float32: 4, float64: 8, int32: 4, int64: 8, uint8: 1, bool: 1 }
const model = {
  bytes: ({ dtype, elements }: BoundProgram["vars"][number]) => bytes[dtype] * elements,
  workspaceBytes: () => 0,
  updatesInPlace: true,
}

/** The program as if nobody had said what belongs to which segment. */
function withoutSegments(program: BoundProgram): BoundProgram {
  const ops = program.block.ops.map(({ segment: _segment, ...op }) => op)
  return { ...program, block: { ...program.block, ops } }
}

describe("operators of different segments", () => {
  /** How many operators a pass leaves of two that it would make one. */
  const left = (
    pass: (program: BoundProgram) => BoundProgram,
    first: (x: Variable) => Variable,
    second: (x: Variable, y: Variable) => Variable,
  ) =>
    [1, 2].map((segment) => {
      const { main, results } = build((program) => {
        const x = input(program, "x", [4, 4])
        const y = program.within({ segment: 1 }, () => first(x))
        const z = program.within({ segment }, () => second(y, x))
        return { results: pass === joinLoops ? [y, z] : [z] }
      })
      return pass(observed(main, results, {}).after.get("prune")!).block.ops.length
    })
  const isMatmul = ({ type }: { type: string }) => type === "matmul"

  test("are not fused", () => {
    expect(left(fuseElementwise, tanh, (y) => scale(y, { scale: 2 }))).toEqual([1, 2])
  })

  test("are not joined", () => {
    expect(left(joinLoops, tanh, (_y, x) => scale(x, { scale: 2 }))).toEqual([1, 2])
  })

  test("are not taken over, before or behind", () => {
    const epilogue = (program: BoundProgram) => absorbElementwise(program, { absorbs: isMatmul })
    expect(left(epilogue, (x) => matmul(x, x), relu)).toEqual([1, 2])
    const prologue = (program: BoundProgram) =>
      absorbElementwise(program, { computes: ({ type }) => type === "reduceSum" })
    expect(left(prologue, tanh, (y) => reduceSum(y))).toEqual([1, 2])
  })

  test("do not write what another would have moved", () => {
    const operands = (program: BoundProgram) => foldOperands(program, { views: isMatmul })
    expect(
      left(
        operands,
        (x) => matmul(x, x),
        (y) => transpose(y, { perm: [1, 0] }),
      ),
    ).toEqual([1, 2])
  })
})

describe("segments", () => {
  const { main, loss } = layered()
  const { after } = observed(main, [loss], { x: [4, 16] })
  const pruned = after.get("prune")!
  const tanhs = (program: BoundProgram) => program.block.ops.filter(({ type }) => type === "tanh").length

  test("keep common subexpressions apart, which would take everything back", () => {
    const bound = after.get("simplify")!
    expect(tanhs(bound)).toBe(6 + 2)
    expect(tanhs(mergeCommonSubexpressions(bound))).toBe(6 + 2)
    expect(tanhs(mergeCommonSubexpressions(withoutSegments(bound)))).toBe(6)
  })

  test("keep their order, which scheduling would not", () => {
    const segments = new Map(pruned.block.ops.map((op) => [JSON.stringify(op.outputs), op.segment]))
    expect(() => verifyBound(schedule(pruned, model))).not.toThrow()
    const free = schedule(withoutSegments(pruned), model)
    const ops = free.block.ops.map((op) => {
      const segment = segments.get(JSON.stringify(op.outputs))
      return segment === undefined ? op : { ...op, segment }
    })
    expect(() => verifyBound({ ...free, block: { ...free.block, ops } })).toThrow(
      /of segment \d runs behind segment \d/,
    )
  })

  test("go through text, JSON and copies", () => {
    const text = main.toString()
    expect(text).toContain(" segment=2")
    expect(parseProgram(text).toString()).toBe(text)
    expect(resolve(Program.fromJSON(JSON.parse(JSON.stringify(main))), registry).toString()).toBe(text)
    expect(main.clone().toString()).toBe(text)
    expect(main.clone({ forTest: true }).toString()).not.toContain("segment")
  })

  test("out of order are refused, and so is one of them inside another", () => {
    const inOrder = `program
  data x : float32[2]
  -- backward
  a : float32[2] = tanh(x: x) segment=1
  b : float32[2] = tanh(x: a) segment=2
`
    verify(parseProgram(inOrder))
    const swapped = inOrder.replace("=2\n", "=3\n  c : float32[2] = tanh(x: a) segment=2\n")
    expect(refusalOf(() => verify(parseProgram(swapped)))).toContain(
      "it is of segment 2 and stands behind an operator of segment 3",
    )
    const { main: branching } = build((program) => {
      const x = input(program, "x")
      program.within({ segment: 1 }, () =>
        cond(
          greater(reduceSum(x), 0),
          () => tanh(x),
          () => program.within({ segment: 0 }, () => square(x)),
        ),
      )
      return {}
    })
    expect(refusalOf(() => verify(branching))).toContain("it is of segment 0, and the operator around it of segment 1")
  })

  test("may be those of a gradient in the body of a loop", () => {
    const descent = (isKept: boolean) =>
      build((program) => {
        const start = input(program, "start", [4])
        const [last] = scan(
          (w) => {
            const h = tanh(tanh(w))
            const options = isKept ? { checkpoints: [h] } : {}
            const [pair] = appendBackward(reduceSum(square(h)), { parameterList: [w], ...options })
            return [sub(w, scale(pair![1], { scale: 0.1 }))]
          },
          { init: start, length: 3 },
        )
        return { last }
      })
    const [plain, kept] = [descent(false), descent(true)]
    verify(kept.main)
    expect([...kept.main.operators()].filter(({ segment }) => segment > 0).length).toBeGreaterThan(3)
    const run = ({ main, last }: typeof plain) =>
      new Executor(cpu(), { legalize }).runSync(main, { feed: { start: [1, 2, 3, 0.5] }, fetch: [last] })[0].data
    expect(run(kept)).toEqual(run(plain))
  })

  test("of a second loss come behind those of the first", () => {
    const { main: both } = build((program) => {
      const kept = tanh(tanh(parameter(program, "w")))
      const [first, second] = [reduceSum(square(kept)), reduceSum(tanh(kept))]
      for (const each of [first, second]) appendBackward(each, { checkpoints: [kept] })
      return {}
    })
    verify(both)
    expect(new Set(both.globalBlock().ops.map(({ segment }) => segment))).toEqual(new Set([0, 1, 2, 3, 4]))
  })
})
