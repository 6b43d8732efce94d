// What a plan becomes: one function per distinct kernel, and steps that only call them.

import { Executor } from "@counterflow/executor"
import { Program, type Variable } from "@counterflow/ir"
import {
  add,
  concat,
  cumsum,
  exp,
  gather,
  legalize,
  matmul,
  mul,
  reduceSum,
  scale,
  transpose,
  write,
} from "@counterflow/ops"
import { describe, expect, test } from "vitest"
import { checkLimits } from "../src/generate/limits.ts"
import { explainPlan, wasm } from "../src/index.ts"

function input(
  program: Program,
  name: string,
  shape: readonly number[],
  dtype: "float32" | "int32" = "float32",
): Variable {
  return program.globalBlock().createVar({ name, shape, dtype, isData: true })
}

function explained(program: Program, fetch: readonly Variable[]) {
  const executor = new Executor(wasm(), { legalize })
  const feed = Object.fromEntries(
    [...program.globalBlock().vars.values()]
      .filter(({ isData }) => isData)
      .map(({ name, shape }) => [name, shape.map(Number)]),
  )
  const { plan } = executor.compileSync(program, { feed, fetch })
  return explainPlan(plan)
}

/** The functions of a module in text, by name. */
function functionsOf(text: string): string[] {
  return [...text.matchAll(/\(func \$(\w+) \(/g)].map(([, name]) => name ?? "")
}

describe("functions", () => {
  test("of equal kernels are one, whatever operators they serve", () => {
    const program = new Program()
    const [x, y] = [input(program, "x", [4, 6]), input(program, "y", [4, 6])]
    const turned = [x, y].map((v) => transpose(v, { perm: [1, 0] }))
    const sums = [add(x, y), add(input(program, "u", [4, 6]), input(program, "v", [4, 6]))]
    const { kernels } = explained(program, [...turned, ...sums])
    const names = [...kernels.values()].flat()
    expect([names.length, new Set(names).size]).toEqual([4, 2])
  })

  test("of elementwise kernels are one for tensors of any size", () => {
    const program = new Program()
    const results = [[4, 6], [2, 6], [100_003], [], [1]].map((shape, i) => exp(input(program, `x${i}`, shape)))
    const { kernels } = explained(program, results)
    const names = [...kernels.values()].flat()
    expect(names.length).toBeGreaterThanOrEqual(5)
    expect(new Set(names).size).toBe(1)
  })

  test("of kernels that differ in anything are several", () => {
    const program = new Program()
    const own = (name: string) => input(program, name, [4, 6])
    const row = input(program, "row", [6])
    const results = [scale(own("x"), { scale: 2 }), scale(own("y"), { scale: 3 }), exp(own("z")), add(own("w"), row)]
    const { kernels } = explained(program, results)
    expect(new Set([...kernels.values()].flat()).size).toBe(4)
  })

  test("of parts that may run at the same time are one", () => {
    const program = new Program()
    const { kernels } = explained(program, [exp(input(program, "x", [1_000_000]))])
    const [names = []] = kernels.values()
    expect(names.length).toBeGreaterThan(1)
    expect(new Set(names).size).toBe(1)
  })

  test("that may fail stop the step with the operator's number; the others are just called", () => {
    const program = new Program()
    const [x, index] = [input(program, "x", [3, 2]), input(program, "index", [2], "int32")]
    const text = explained(program, [gather(exp(x), index)]).toString()
    const step = text.slice(text.indexOf("(func $step_0"), text.indexOf("(func $step "))
    expect(step.match(/\(call \$(\w+)/g)).toHaveLength(2)
    expect(step).toContain("(return (i32.const 2))")
    expect(step).not.toContain("(return (i32.const 1))")
  })

  test("of long programs are called from several parts, none of which is large", () => {
    const program = new Program()
    let h = input(program, "x", [3])
    for (let i = 0; i < 1200; i++) h = cumsum(h)
    const explanation = explained(program, [h])
    const text = explanation.toString()
    const calls = [...explanation.kernels.values()].flat().length
    expect(calls).toBeGreaterThanOrEqual(1200)
    const parts = functionsOf(text).filter((name) => name.startsWith("step"))
    expect(parts).toHaveLength(Math.ceil(calls / 500) + 1)
    for (const part of text.split("(func $").slice(1)) expect(part.split("call $").length).toBeLessThanOrEqual(510)
  })
})

test("a kernel is written for its shapes: loops of known length, pointers that step along", () => {
  const program = new Program()
  const text = explained(program, [cumsum(input(program, "x", [2, 3]), { axis: 1 })]).toString()
  const from = text.indexOf("(func $cumsum_0")
  expect(text.slice(from, text.indexOf("(func $", from + 1))).toMatchInlineSnapshot(`
    "(func $cumsum_0 (param $p0 i32) (param $p1 i32)
        (local $i i32) (local $i32_2 i32) (local $i32_3 i32) (local $i.1 i32) (local $f64_0 f64)
        (local.set $i (i32.const 0))
        (loop $for
          (local.set $i32_2 (local.get $p0))
          (local.set $i32_3 (local.get $p1))
          (local.set $f64_0 (f64.const 0))
          (local.set $i.1 (i32.const 0))
          (loop $for.1
            (local.set $f64_0 (f64.add (local.get $f64_0) (f64.promote_f32 (f32.load (local.get $i32_2)))))
            (f32.store (local.get $i32_3) (f32.demote_f64 (local.get $f64_0)))
            (local.set $i32_2 (i32.add (local.get $i32_2) (i32.const 4)))
            (local.set $i32_3 (i32.add (local.get $i32_3) (i32.const 4)))
            (local.set $i.1 (i32.add (local.get $i.1) (i32.const 1)))
            (br_if $for.1 (i32.lt_u (local.get $i.1) (i32.const 3)))
          )
          (local.set $p0 (i32.add (local.get $p0) (i32.const 4)))
          (local.set $p1 (i32.add (local.get $p1) (i32.const 4)))
          (local.set $p0 (i32.add (local.get $p0) (i32.const 8)))
          (local.set $p1 (i32.add (local.get $p1) (i32.const 8)))
          (local.set $i (i32.add (local.get $i) (i32.const 1)))
          (br_if $for (i32.lt_u (local.get $i) (i32.const 2)))
        )
      )
      "
  `)
})

test("a plan names what serves it, in order", () => {
  const program = new Program()
  const [x, y] = [input(program, "x", [2, 3]), input(program, "y", [3, 2])]
  const w = program
    .globalBlock()
    .createVar({ name: "w", shape: [2, 2], dtype: "float32", persistable: true, initialValue: 0 })
  const z = matmul(x, y)
  write(w, mul(w, z))
  const { kernels, bytes } = explained(program, [reduceSum(concat([z, z], { axis: 0 }))])
  expect([...kernels].map(([{ type }, names]) => `${type}: ${names.join(" ").replace(/_\d+/g, "")}`)).toEqual([
    "matmul: gemm",
    "mul: elementwise",
    "concat: copy copy",
    "reduceSum: reduce",
  ])
  expect(WebAssembly.validate(bytes)).toBe(true)
})

test("what no host would compile is refused with the limit", () => {
  const sizes = { bytes: 1000, functions: 10, "data segments": 0 }
  expect(() => checkLimits(sizes)).not.toThrow()
  expect(() => checkLimits({ ...sizes, bytes: 2 ** 30 + 1 })).toThrowErrorMatchingInlineSnapshot(`
    [CounterflowError: CF_MEMORY_LIMIT  wasm: the plan compiles to 1073741825 bytes, and hosts take 1073741824
      fix: split the program, or feed large constants instead of writing them into it]
  `)
  expect(() => checkLimits({ ...sizes, functions: 2_000_000 })).toThrow(
    /^CF_MEMORY_LIMIT.*2000000 functions, and hosts take 1000000/,
  )
  expect(() => checkLimits({ ...sizes, "data segments": 100_001 })).toThrow(/hosts take 100000/)
})
