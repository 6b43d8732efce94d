// Draws and dropout in programs: one step state, streams that clones and files keep, masks that the gradient shares.

import { gradients } from "@counterflow/autodiff"
import { Executor } from "@counterflow/executor"
import { attachRecords, parseProgram, Program, programGuard, symbol, type Variable } from "@counterflow/ir"
import { cpu } from "@counterflow/kernels-cpu"
import {
  dropout,
  fillConstant,
  legalize,
  normal,
  randint,
  randomStep,
  registry,
  truncatedNormal,
  uniform,
} from "@counterflow/ops"
import { describe, expect, test } from "vitest"

const newExecutor = () => new Executor(cpu(), { legalize })

function build<T>(body: (program: Program) => T): { program: Program; made: T } {
  const program = new Program()
  return { program, made: programGuard(program, () => body(program)) }
}

const resolved = (program: Program) => attachRecords(program, (name) => new Map(Object.entries(registry)).get(name))

function fetch(
  exe: Executor,
  program: Program,
  names: readonly (string | Variable)[],
  feed: Record<string, Float32Array | Float64Array> = {},
) {
  return exe.runSync(program, { fetch: names, feed }).map((tensor) => [...(tensor.data as Float32Array)])
}

const data = (program: Program, shape: Variable["shape"], dtype: "float32" | "float64" = "float32") =>
  program.globalBlock().createVar({ name: "x", shape, dtype, isData: true, stopGradient: false })

describe("the step state", () => {
  test("is one int32 of the program, found again in clones and in what was read from text and JSON", () => {
    const { program } = build(() => [uniform({ shape: [2] }), normal({ shape: [2] })])
    const step = randomStep(program)
    expect(step.toString()).toBe("random_step int32[]")
    expect(step.initialValue).toBe(0)
    for (const copy of [program.clone(), parseProgram(program.toString()), Program.fromJSON(program.toJSON())]) {
      expect(randomStep(copy)).toBe(copy.globalBlock().var("random_step"))
      expect(copy.streams).toBe(2)
    }
  })

  test("advances once per step, however many draws there are, and draws repeat from the same step on", () => {
    const { program, made } = build(() => [
      uniform({ shape: [3] }),
      normal({ shape: [3] }),
      truncatedNormal({ shape: [3] }),
    ])
    const exe = newExecutor()
    const runs = [1, 2, 3].map((step) => {
      const drawn = fetch(exe, program, made)
      expect(exe.scope.get("random_step").item()).toBe(step)
      return drawn
    })
    expect(new Set(runs.flat(2)).size).toBe(27)
    exe.scope.set("random_step", Int32Array.of(1))
    expect(fetch(exe, program, made)).toEqual(runs[1])
  })

  test("a name that is taken by something else is refused", () => {
    const { program } = build((main) =>
      main.globalBlock().createVar({ name: "random_step", shape: [2], dtype: "float32" }),
    )
    expect(() => programGuard(program, () => uniform({ shape: [2] }))).toThrowError(
      /^CF_DUPLICATE_NAME {2}"random_step" is the name of the state that counts random steps\n {4}random_step float32\[2\] {3}built at .*randomness\.test\.ts:\d+:\d+\n {2}called at .*randomness\.test\.ts:\d+:\d+\n {2}fix: give that variable another name$/,
    )
  })
})

describe("seeds and streams", () => {
  const drawsOf = (program: Program, made: readonly Variable[]) => fetch(newExecutor(), program, made)

  test("two draws of one program differ; the program's seed changes those without a seed of their own", () => {
    const { program, made } = build(() => [
      uniform({ shape: [4] }),
      uniform({ shape: [4] }),
      uniform({ shape: [4], seed: 3 }),
    ])
    const [a, b, c] = drawsOf(program, made)
    expect(a).not.toEqual(b)
    program.randomSeed = 3
    const [a3, , c3] = drawsOf(program, made)
    expect(a3).not.toEqual(a)
    expect(c3).toEqual(c)
  })

  test("a clone and a program read from text draw what the original draws", () => {
    const { program, made } = build(() => [
      normal({ shape: [5], seed: 8 }),
      randint({ shape: [5], low: 0, high: 1000 }),
    ])
    const names = made.map(({ name }) => name)
    const expected = fetch(newExecutor(), program, names)
    expect(fetch(newExecutor(), program.clone(), names)).toEqual(expected)
    expect(fetch(newExecutor(), resolved(parseProgram(program.toString())), names)).toEqual(expected)
    expect(fetch(newExecutor(), resolved(Program.fromJSON(program.toJSON())), names)).toEqual(expected)
  })

  test("a refused draw leaves the program as it was", () => {
    const { program } = build(() => fillConstant({ shape: [], value: 1 }))
    const before = program.toString()
    const refused: [() => Variable, RegExp][] = [
      [
        () => uniform({ shape: [2], min: 1, max: 0 }),
        /^CF_BAD_ATTRIBUTE {2}uniformRandom: min 1 is greater than max 0/,
      ],
      [() => normal({ shape: [-1] }), /^CF_BAD_ATTRIBUTE {2}normal: shape must hold sizes of at least 0, got -1/],
      [
        () => uniform({ shape: [1], seed: 0.5 }),
        /^CF_BAD_ATTRIBUTE {2}uniform: seed must be a safe integer, or null for the program's, got 0\.5/,
      ],
      [
        () => randint({ shape: [2], low: 5, high: 5 }),
        /^CF_BAD_ATTRIBUTE {2}randint: low must be less than high, got 5 and 5/,
      ],
      [
        () => dropout(fillConstant({ shape: [], value: 1 }), { dropoutProb: 2 }),
        /dropoutProb must lie between 0 and 1, got 2/,
      ],
    ]
    for (const [attempt, text] of refused) {
      expect(() => program.transaction(() => programGuard(program, attempt))).toThrowError(text)
      expect(program.toString()).toBe(before)
      expect(program.streams).toBe(0)
    }
  })
})

describe("dropout", () => {
  const n = 2000
  const ones = (dtype: "float32" | "float64") =>
    (dtype === "float32" ? new Float32Array(n) : new Float64Array(n)).fill(1)

  function dropped(dtype: "float32" | "float64", options: Parameters<typeof dropout>[1]) {
    const { program, made } = build((main) => {
      const x = data(main, [symbol("batch")], dtype)
      const y = dropout(x, options)
      return { y, dx: gradients(y, x)[0] ?? x }
    })
    const [y = [], dx = []] = fetch(newExecutor(), program, [made.y, made.dx], { x: ones(dtype) })
    return { program, y, dx }
  }

  test.each(["upscaleInTrain", "downgradeInInfer"] as const)(
    "%s: the gradient drops and scales as the forward pass did",
    (way) => {
      const { y, dx } = dropped("float32", { dropoutProb: 0.25, dropoutImplementation: way })
      expect(dx).toEqual(y) // at x = 1 both are the mask times the factor
      expect([...new Set(y)].sort((a, b) => a - b)).toEqual([0, Math.fround(way === "upscaleInTrain" ? 4 / 3 : 1)])
      const kept = y.filter((value) => value !== 0).length / n
      expect(Math.abs(kept - 0.75)).toBeLessThan(4 * Math.sqrt((0.25 * 0.75) / n))
    },
  )

  test("a float64 program drops the same elements", () => {
    const [narrow, wide] = (["float32", "float64"] as const).map((dtype) => dropped(dtype, { dropoutProb: 0.5 }).y)
    expect(wide).toEqual(narrow)
  })

  test("probability 0 keeps everything, 1 drops everything, also what is not finite", () => {
    expect(new Set(dropped("float32", { dropoutProb: 0 }).y)).toEqual(new Set([1]))
    const all = dropped("float32", { dropoutProb: 1 })
    expect(new Set([...all.y, ...all.dx])).toEqual(new Set([0]))
    const { program, made } = build((main) => dropout(data(main, [3]), { dropoutProb: 1 }))
    expect(fetch(newExecutor(), program, [made], { x: Float32Array.of(Infinity, NaN, -1) })).toEqual([[0, 0, 0]])
  })

  test.each([
    ["upscaleInTrain", 1],
    ["downgradeInInfer", Math.fround(0.75)],
  ] as const)("a test clone with %s multiplies by %f and draws nothing", (way, factor) => {
    const { program, made } = build((main) =>
      dropout(data(main, [symbol("batch")]), { dropoutProb: 0.25, dropoutImplementation: way }),
    )
    const exe = newExecutor()
    const [y = []] = fetch(exe, program.clone({ forTest: true }), [made.name], { x: ones("float32") })
    expect(new Set(y)).toEqual(new Set([factor]))
    expect(exe.scope.has("random_step") ? exe.scope.get("random_step").item() : 0).toBe(0)
  })
})
