// The passes of the compiler as a list: each can be left out without changing a bit of any result, each leaves a program in
// which all invariants hold, and what each makes can be looked at.

import {
  type BoundOp,
  type BoundProgram,
  passNames,
  type PassName,
  printBound,
  verifyBound,
} from "@counterflow/compiler"
import { type Backend, Executor } from "@counterflow/executor"
import { cpu } from "@counterflow/kernels-cpu"
import { wasm } from "@counterflow/kernels-wasm"
import { data } from "@counterflow/layers"
import { add, legalize, mul, reduceSum, relu, reshape, scale, transpose } from "@counterflow/ops"
import { describe, expect, test } from "vitest"
import { build, refusalOf } from "./building.ts"
import { observed } from "./passes-observed.ts"
import { mlp, networks, type Network } from "./passes-programs.ts"

const backends = { cpu, wasm } as const

/** All fetches of three steps and all state after them, as bits. */
function bitsOf(backend: Backend, network: Network, off: readonly PassName[]): string[] {
  const exe = new Executor(backend, { legalize, passes: { off, observe: (_name, program) => verifyBound(program) } })
  const { main, startup, fetches, feed } = network
  exe.runSync(startup)
  const found: string[] = []
  const note = (name: string, values: { data: ArrayLike<number | bigint> }) =>
    found.push(`${name} ${Array.from(values.data, (value) => (Object.is(value, -0) ? "-0" : String(value))).join(" ")}`)
  for (let step = 0; step < 3; step++) {
    exe.runSync(main, { feed, fetch: fetches }).forEach((tensor, index) => note(`step ${step}, fetch ${index}`, tensor))
  }
  for (const name of exe.scope.names()) note(name, exe.scope.get(name))
  exe.close()
  return found
}

const cases = (Object.keys(backends) as (keyof typeof backends)[]).flatMap((backend) =>
  Object.entries(networks).map(([title, make]) => ({ backend, title, make })),
)

describe.each(cases)("$backend computes the same bits of $title", ({ backend, make }) => {
  const network = make()
  const expected = bitsOf(backends[backend](), network, [])

  test("with values that differ", () => {
    expect(new Set(expected).size).toBeGreaterThan(3)
  })

  test.each(passNames)("without %s", (pass) => {
    expect(bitsOf(backends[backend](), network, [pass])).toEqual(expected)
  })

  test("without any pass", () => {
    expect(bitsOf(backends[backend](), network, passNames)).toEqual(expected)
  })
})

describe("looking at passes", () => {
  const small = () =>
    build(() => {
      const x = data({ name: "x", shape: [3] })
      const moved = transpose(transpose(x, { perm: [1, 0] }), { perm: [1, 0] })
      const gated = relu(mul(moved, scale(reshape(x, { shape: [-1, 3] }), { scale: 1 })))
      return { y: reduceSum(add(gated, add(mul(x, 0.5), mul(x, 0.5))), { axis: [0] }) }
    })

  test("what each of them makes, as text", () => {
    const { main, y } = small()
    const { after } = observed(main, [y], { x: [4, 3] }, { fuses: true })
    const shown = ["bind", "simplify", "prune", "fuse"] as const
    const texts = shown.map((name) => `${name}:\n${printBound(after.get(name) as BoundProgram)}`)
    expect(texts.join("\n\n")).toMatchInlineSnapshot(`
      "bind:
      transpose_0.tmp_0 : float32[3, 4] = transpose(x: x) {perm: [1, 0]}
      transpose_1.tmp_0 : float32[4, 3] = transpose(x: transpose_0.tmp_0) {perm: [1, 0]}
      scale_0.tmp_0 : float32[4, 3] = scale(x: x) {scale: 1, bias: 0}
      mul_0.tmp_0 : float32[4, 3] = mul(x: transpose_1.tmp_0, y: scale_0.tmp_0)
      relu_0.tmp_0 : float32[4, 3] = relu(x: mul_0.tmp_0) computes max(x, 0)
      fill_constant_0.tmp_0 : float32[4, 3] = fillConstant() {shape: [4, 3], value: 0.5, dtype: "float32"}
      mul_1.tmp_0 : float32[4, 3] = mul(x: x, y: fill_constant_0.tmp_0)
      fill_constant_1.tmp_0 : float32[4, 3] = fillConstant() {shape: [4, 3], value: 0.5, dtype: "float32"}
      mul_2.tmp_0 : float32[4, 3] = mul(x: x, y: fill_constant_1.tmp_0)
      add_0.tmp_0 : float32[4, 3] = add(x: mul_1.tmp_0, y: mul_2.tmp_0)
      add_1.tmp_0 : float32[4, 3] = add(x: relu_0.tmp_0, y: add_0.tmp_0)
      reduce_sum_0.tmp_0 : float32[3] = reduceSum(x: add_1.tmp_0) {axis: [0], keepDim: false}
      fetch reduce_sum_0.tmp_0

      simplify:
      transpose_0.tmp_0 : float32[3, 4] = transpose(x: x) {perm: [1, 0]}
      transpose_1.tmp_0 : float32[4, 3] = transpose(x: transpose_0.tmp_0) {perm: [1, 0]}
      scale_0.tmp_0 : float32[4, 3] = scale(x: x) {scale: 1, bias: 0}
      mul_0.tmp_0 : float32[4, 3] = mul(x: x, y: x)
      relu_0.tmp_0 : float32[4, 3] = relu(x: mul_0.tmp_0) computes max(x, 0)
      fill_constant_0.tmp_0 : float32[4, 3] = fillConstant() {shape: [4, 3], value: 0.5, dtype: "float32"}
      mul_1.tmp_0 : float32[4, 3] = mul(x: x, y: fill_constant_0.tmp_0)
      fill_constant_1.tmp_0 : float32[4, 3] = fillConstant() {shape: [4, 3], value: 0.5, dtype: "float32"}
      mul_2.tmp_0 : float32[4, 3] = mul(x: x, y: fill_constant_1.tmp_0)
      add_0.tmp_0 : float32[4, 3] = add(x: mul_1.tmp_0, y: mul_2.tmp_0)
      add_1.tmp_0 : float32[4, 3] = add(x: relu_0.tmp_0, y: add_0.tmp_0)
      reduce_sum_0.tmp_0 : float32[3] = reduceSum(x: add_1.tmp_0) {axis: [0], keepDim: false}
      fetch reduce_sum_0.tmp_0

      prune:
      mul_0.tmp_0 : float32[4, 3] = mul(x: x, y: x)
      relu_0.tmp_0 : float32[4, 3] = relu(x: mul_0.tmp_0) computes max(x, 0)
      fill_constant_0.tmp_0 : float32[4, 3] = fillConstant() {shape: [4, 3], value: 0.5, dtype: "float32"}
      mul_1.tmp_0 : float32[4, 3] = mul(x: x, y: fill_constant_0.tmp_0)
      add_0.tmp_0 : float32[4, 3] = add(x: mul_1.tmp_0, y: mul_1.tmp_0)
      add_1.tmp_0 : float32[4, 3] = add(x: relu_0.tmp_0, y: add_0.tmp_0)
      reduce_sum_0.tmp_0 : float32[3] = reduceSum(x: add_1.tmp_0) {axis: [0], keepDim: false}
      fetch reduce_sum_0.tmp_0

      fuse:
      mul_1.tmp_0 : float32[4, 3] = mul(x0: x) computes x0 * 0.5
      add_1.tmp_0 : float32[4, 3] = mul+relu+add+add(x0: x, x1: mul_1.tmp_0) computes max(x0 * x0, 0) + (x1 + x1)
      reduce_sum_0.tmp_0 : float32[3] = reduceSum(x: add_1.tmp_0) {axis: [0], keepDim: false}
      fetch reduce_sum_0.tmp_0"
    `)
  })

  test("an Executor shows them in order, and leaves out what it is told to", () => {
    const namesOf = (off?: readonly PassName[]) => {
      const names: string[] = []
      const observe = (name: string) => void names.push(name)
      const exe = new Executor(cpu(), { legalize, passes: off === undefined ? { observe } : { off, observe } })
      const { main, y } = small()
      exe.compileSync(main, { feed: { x: [4, 3] }, fetch: [y] })
      exe.close()
      return names
    }
    expect(namesOf()).toEqual(["bind", ...passNames])
    expect(namesOf(["merge", "schedule"])).toEqual(
      ["bind", ...passNames].filter((name) => name !== "merge" && name !== "schedule"),
    )
  })

  test("a pass that there is not", () => {
    const { main, y } = small()
    const off = ["shedule" as PassName]
    expect(refusalOf(() => observed(main, [y], { x: [4, 3] }, { off }))).toMatchInlineSnapshot(`
      "CounterflowError: CF_BAD_ARGUMENT  there is no pass "shedule" to leave out; there is fold, simplify, merge, prune, operands, fuse, absorb, join, schedule
        fix: did you mean "schedule"?"
    `)
  })
})

describe("what is checked after each pass finds", () => {
  const { main, fetches, feed } = mlp()
  const shapes = Object.fromEntries(Object.entries(feed).map(([name, { shape }]) => [name, shape]))
  const sound = observed(main, fetches, shapes).after.get("prune") as BoundProgram
  const withOps = (change: (ops: BoundOp[]) => void): BoundProgram => {
    const ops = [...sound.block.ops]
    change(ops)
    return { ...sound, block: { ...sound.block, ops } }
  }
  const at = (ops: readonly BoundOp[], matches: (op: BoundOp) => boolean) => {
    const index = ops.findIndex(matches)
    return { index, op: ops[index] as BoundOp }
  }
  const isAdd = (op: BoundOp) => op.type === "add"

  test.each<[string, () => BoundProgram, RegExp]>([
    ["a value read before it is made", () => withOps((ops) => ops.reverse()), /reads .* before it has a value/],
    ["a value made twice", () => withOps((ops) => ops.push(ops[0] as BoundOp)), /a second time/],
    ["a value that nobody makes", () => withOps((ops) => ops.splice(at(ops, isAdd).index, 1)), /before it has a value/],
    [
      "a state that is assigned",
      () =>
        withOps((ops) => {
          const { index, op } = at(ops, isAdd)
          ops[index] = { ...op, outputs: { z: [sound.vars.findIndex(({ kind }) => kind === "state")] } }
        }),
      /assigns .*, which is no value/,
    ],
    [
      "an expression of slots that are not there",
      () =>
        withOps((ops) => {
          const { index, op } = at(ops, isAdd)
          ops[index] = { ...op, facts: { ...op.facts, scalar: { op: "input", slot: "q" } } }
        }),
      /computes with "q", which is no input/,
    ],
    [
      "an expression of another dtype",
      () =>
        withOps((ops) => {
          const { index, op } = at(ops, isAdd)
          const x = { op: "input", slot: "x" } as const
          ops[index] = { ...op, facts: { ...op.facts, scalar: { op: "less", x, y: x } } }
        }),
      /computes bool and makes float32/,
    ],
    [
      "strides that leave a tensor",
      () =>
        withOps((ops) => {
          const { index, op } = at(ops, isAdd)
          ops[index] = { ...op, reads: { x: [1000, 1] } }
        }),
      /reads outside of/,
    ],
    [
      "a view of another size",
      () =>
        withOps((ops) => {
          const { index, op } = at(ops, ({ facts }) => facts.stretches !== undefined)
          ops[index] = { ...op, facts: { ...op.facts, aliases: "x" } }
        }),
      /aliases x, which is of another size/,
    ],
    ["a fetch of nothing", () => ({ ...sound, fetches: [sound.vars.length] }), /the fetch .* has no value/],
    ["two commits to a state", () => ({ ...sound, commits: [...sound.commits, ...sound.commits] }), /two commits to/],
  ])("%s", (_title, broken, text) => {
    expect(() => verifyBound(sound)).not.toThrow()
    expect(() => verifyBound(broken())).toThrow(text)
  })
})
