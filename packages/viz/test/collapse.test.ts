// What a picture leaves out: operators that share a node, and those folded into edges and into other operators.
import { parseProgram, Program } from "@counterflow/ir"
import { add, registry, reshape, resolve } from "@counterflow/ops"
import { describe, expect, test } from "vitest"
import { programGraph } from "../src/index.ts"
import type { PictureOptions } from "../src/options.ts"
import { outline } from "./outline.ts"
import { dataOf, net, stateOf } from "./programs.ts"

const drawn = (program: Program, options: PictureOptions = {}) => outline(programGraph(program, options))

describe("collapsing", () => {
  test("by layer: the operators of one call, forward, backward and update apart", () => {
    expect(drawn(net(2), { collapse: "layer", legend: false })).toMatchInlineSnapshot(`
      "part forward
        var_0 data x | float32[batch, 4]
        var_1 parameter fc_0.w_0 | float32[4, 8]
        var_2 parameter fc_0.b_0 | float32[8]
        var_3 parameter fc_1.w_0 | float32[8, 1]
        var_4 parameter fc_1.b_0 | float32[1]
        group_0 group matmul · add · relu | 3 operators | → fc_0.tmp_2
        group_1 group matmul · add · relu | 3 operators | → fc_1.tmp_2
        op_0_8 op square
        op_0_9 op mean | → mean_0.tmp_0 | float32[] (loss)
      part backward
        op_0_10 op fillConstant | value: 1
        group_2 group ∇ square | 2 operators | → mul_1.grad_0
        group_3 group ∇ relu | 5 operators
        group_4 group ∇ relu | 4 operators
      part update
        var_5 state learning_rate_0 | float32[]
        group_5 group sgd | 2 operators
        group_6 group sgd | 2 operators
      var_0 → group_0
      var_1 → group_0
      var_2 → group_0
      group_0 → group_1  fc_0.tmp_2 | float32[batch, 8]
      var_3 → group_1
      var_4 → group_1
      group_1 → op_0_8  fc_1.tmp_2 | float32[batch, 1]
      op_0_8 → op_0_9  square_0.tmp_0 | float32[batch, 1]
      op_0_9 ⇒ op_0_10
      group_1 → group_2
      op_0_10 → group_2  broadcast_to_0.broadcast_0 | float32[batch, 1]
      group_1 → group_3
      group_2 → group_3  mul_1.grad_0 | float32[batch, 1]
      group_0 → group_3
      var_3 → group_3
      group_0 → group_4
      group_3 → group_4  matmul_1.grad_0 | float32[batch, 8]
      var_0 → group_4
      group_4 → group_5  2 values
      var_5 → group_5
      group_5 ⇠⇢ var_2
      group_5 ⇠⇢ var_1
      group_3 → group_6  2 values
      var_5 → group_6
      group_6 ⇠⇢ var_4
      group_6 ⇠⇢ var_3
      folded 0:1 0:5 0:11 0:13"
    `)
  })

  test("by scope: parameters go with it, the learning rate does not", () => {
    expect(drawn(net(2, { isScoped: true }), { collapse: "scope", legend: false })).toMatchInlineSnapshot(`
      "part forward
        var_0 data x | float32[batch, 4]
        op_0_8 op square
        op_0_9 op mean | → mean_0.tmp_0 | float32[] (loss)
        scope stack
          group_0 group layer_0 | 3 operators | → fc_0.tmp_2 | keeps 2 parameters
          group_1 group layer_1 | 3 operators | → fc_1.tmp_2 | keeps 2 parameters
      part backward
        op_0_10 op fillConstant | value: 1
        op_0_12 op mul | y = 2
        op_0_14 op mul
        scope stack
          group_2 group ∇ layer_1 | 5 operators
          group_3 group ∇ layer_0 | 4 operators
      part update
        scope stack
          var_1 state learning_rate_0 | float32[]
          group_4 group layer_0 | 2 operators
          group_5 group layer_1 | 2 operators
      var_0 → group_0
      group_0 → group_1  fc_0.tmp_2 | float32[batch, 8]
      group_1 → op_0_8  fc_1.tmp_2 | float32[batch, 1]
      op_0_8 → op_0_9  square_0.tmp_0 | float32[batch, 1]
      op_0_9 ⇒ op_0_10
      group_1 → op_0_12
      op_0_12 → op_0_14  mul_0.grad_0 | float32[batch, 1]
      op_0_10 → op_0_14  broadcast_to_0.broadcast_0 | float32[batch, 1]
      group_1 → group_2  fc_1.w_0 | float32[8, 1]
      op_0_14 → group_2  mul_1.grad_0 | float32[batch, 1]
      group_0 → group_2
      group_0 → group_3
      group_2 → group_3  matmul_1.grad_0 | float32[batch, 8]
      var_0 → group_3
      group_3 → group_4  2 values
      var_1 → group_4
      group_4 ⇠⇢ group_0
      group_2 → group_5  2 values
      var_1 → group_5
      group_5 ⇠⇢ group_1
      folded 0:1 0:5 0:11 0:13"
    `)
  })

  test("a large program is collapsed by layer without being asked", () => {
    const graph = programGraph(net(12), { maxOps: 60 })
    expect(graph.nodes.filter(({ kind }) => kind === "group").length).toBeGreaterThan(20)
    expect(graph.nodes.filter(({ kind }) => kind === "op" || kind === "group").length).toBeLessThanOrEqual(60)
  })

  test("what exceeds the limit even so is one node a part", () => {
    const graph = programGraph(net(30), { maxOps: 12 })
    const groups = graph.nodes.filter(({ title }) => title.startsWith("…"))
    expect(groups.map(({ part, title, lines }) => [part, title, ...lines].join(" | "))).toMatchInlineSnapshot(`
      [
        "forward | … 83 more operators | keeps 54 parameters",
        "backward | … 138 more operators",
        "optimize | … 56 more operators",
      ]
    `)
    expect(graph.nodes.filter(({ kind }) => kind === "op" || kind === "group").length).toBeLessThanOrEqual(12)
  })

  test("operators of a program from a text have no common call site: each stays by itself", () => {
    const read = resolve(parseProgram(net(2).toString()), registry)
    const options: PictureOptions = { collapse: "layer", detail: "essential" }
    expect(programGraph(read, options).nodes.some(({ kind }) => kind === "group")).toBe(false)
    expect(programGraph(net(2), options).nodes.some(({ kind }) => kind === "group")).toBe(true)
  })
})

describe("what is folded", () => {
  test("a view that nobody reads is an end and stays", () => {
    const program = new Program()
    const x = dataOf(program, "x", 4)
    reshape(reshape(x, { shape: [-1, 2, 2] }), { shape: [-1, 2] })
    const { nodes, folded } = programGraph(program, { detail: "essential" })
    expect(nodes.map(({ title }) => title)).toEqual(["x", "reshape"])
    expect(folded).toEqual(["0:0"])
  })

  test("nothing where records are not attached: a program that was only read", () => {
    const read = parseProgram(net(2).toString())
    expect(programGraph(read, { detail: "essential" }).folded).toEqual([])
  })

  test("edges to very many readers: they name the value", () => {
    const program = new Program()
    const x = dataOf(program, "x", 4)
    const state = stateOf(program, "factor", [4])
    for (let count = 0; count < 5; count++) add(x, state)
    const { nodes, edges } = programGraph(program, { detail: "essential", legend: false })
    expect(edges).toEqual([])
    expect(nodes.map(({ title, lines }) => [title, ...lines].join(" | "))).toMatchInlineSnapshot(`
      [
        "x | float32[batch, 4] | read by 5 nodes",
        "factor | float32[4] | read by 5 nodes",
        "add | x = x | y = factor | → add_0.tmp_0 | float32[batch, 4]",
        "add | x = x | y = factor | → add_1.tmp_0 | float32[batch, 4]",
        "add | x = x | y = factor | → add_2.tmp_0 | float32[batch, 4]",
        "add | x = x | y = factor | → add_3.tmp_0 | float32[batch, 4]",
        "add | x = x | y = factor | → add_4.tmp_0 | float32[batch, 4]",
      ]
    `)
  })
})
