// The graph behind all pictures: what becomes a node, an edge, a cluster.
import { nameScope, Program, programGuard } from "@counterflow/ir"
import { add, cond, less, reduceSum, relu, sgd, write } from "@counterflow/ops"
import { describe, expect, test } from "vitest"
import { programGraph } from "../src/index.ts"
import type { PictureOptions } from "../src/options.ts"
import { outline } from "./outline.ts"
import { dataOf, loops, net, stateOf } from "./programs.ts"

const drawn = (program: Program, options: PictureOptions = {}) => outline(programGraph(program, options))

describe("a net of one layer", () => {
  test("with everything", () => {
    expect(drawn(net(1), { detail: "full", names: false })).toMatchInlineSnapshot(`
      "part forward
        var_0 data x | float32[batch, 4]
        var_1 parameter fc_0.w_0 | float32[4, 1]
        var_2 parameter fc_0.b_0 | float32[1]
        op_0_0 op matmul | alpha: 1
        op_0_1 op broadcastTo
        op_0_2 op add
        op_0_3 op relu
        op_0_4 op square
        op_0_5 op mean | → mean_0.tmp_0 | float32[] (loss)
      part backward
        op_0_6 op fillConstant | value: 1
        op_0_7 op fillConstant | value: 2
        op_0_8 op mul
        op_0_9 op broadcastTo
        op_0_10 op mul
        op_0_11 op sign
        op_0_12 op mul
        op_0_13 op matmul | transposeX: true, alpha: 1
        op_0_14 op reduceSum | axis: [0]
      part update
        var_3 state learning_rate_0 | float32[]
        op_0_15 op sgd
        op_0_16 op sgd
      var_0 → op_0_0
      var_1 → op_0_0
      var_2 → op_0_1
      op_0_0 → op_0_2  float32[batch, 1]
      op_0_1 → op_0_2  float32[batch, 1]
      op_0_2 → op_0_3  float32[batch, 1]
      op_0_3 → op_0_4  float32[batch, 1]
      op_0_4 → op_0_5  float32[batch, 1]
      op_0_5 ⇒ op_0_6
      op_0_3 → op_0_8
      op_0_7 → op_0_8  float32[batch, 1]
      op_0_6 → op_0_9  float32[]
      op_0_8 → op_0_10  float32[batch, 1]
      op_0_9 → op_0_10  float32[batch, 1]
      op_0_3 → op_0_11
      op_0_10 → op_0_12  float32[batch, 1]
      op_0_11 → op_0_12  float32[batch, 1]
      var_0 → op_0_13
      op_0_12 → op_0_13  float32[batch, 1]
      op_0_12 → op_0_14
      op_0_14 → op_0_15  float32[1]
      var_3 → op_0_15
      op_0_15 ⇠⇢ var_2
      op_0_13 → op_0_16  float32[4, 1]
      var_3 → op_0_16
      op_0_16 ⇠⇢ var_1
      legend forward · backward · update · parameter · state · data · loss · new value of state"
    `)
  })

  test("its essentials: views and constants lie within edges and operators", () => {
    expect(drawn(net(1), { detail: "essential", legend: true })).toMatchInlineSnapshot(`
      "part forward
        var_0 data x | float32[batch, 4]
        var_1 parameter fc_0.w_0 | float32[4, 1]
        var_2 parameter fc_0.b_0 | float32[1]
        op_0_0 op matmul | alpha: 1
        op_0_2 op add
        op_0_3 op relu
        op_0_4 op square
        op_0_5 op mean | → mean_0.tmp_0 | float32[] (loss)
      part backward
        op_0_6 op fillConstant | value: 1
        op_0_8 op mul | y = 2
        op_0_10 op mul
        op_0_11 op sign
        op_0_12 op mul
        op_0_13 op matmul | transposeX: true, alpha: 1
        op_0_14 op reduceSum | axis: [0]
      part update
        var_3 state learning_rate_0 | float32[]
        op_0_15 op sgd
        op_0_16 op sgd
      var_0 → op_0_0
      var_1 → op_0_0
      op_0_0 → op_0_2  fc_0.tmp_0 | float32[batch, 1]
      var_2 → op_0_2
      op_0_2 → op_0_3  fc_0.tmp_1 | float32[batch, 1]
      op_0_3 → op_0_4  fc_0.tmp_2 | float32[batch, 1]
      op_0_4 → op_0_5  square_0.tmp_0 | float32[batch, 1]
      op_0_5 ⇒ op_0_6
      op_0_3 → op_0_8
      op_0_8 → op_0_10  mul_0.grad_0 | float32[batch, 1]
      op_0_6 → op_0_10  broadcast_to_0.broadcast_0 | float32[batch, 1]
      op_0_3 → op_0_11
      op_0_10 → op_0_12  mul_1.grad_0 | float32[batch, 1]
      op_0_11 → op_0_12  sign_0.grad_0 | float32[batch, 1]
      var_0 → op_0_13
      op_0_12 → op_0_13  mul_2.grad_0 | float32[batch, 1]
      op_0_12 → op_0_14
      op_0_14 → op_0_15  reduce_sum_0.grad_0 | float32[1]
      var_3 → op_0_15
      op_0_15 ⇠⇢ var_2
      op_0_13 → op_0_16  matmul_0.grad_0 | float32[4, 1]
      var_3 → op_0_16
      op_0_16 ⇠⇢ var_1
      folded 0:1 0:7 0:9
      legend forward · backward · update · parameter · state · data · loss · new value of state · not drawn: 2 broadcastTo, 1 fillConstant (3 operators)"
    `)
  })

  test("values as nodes", () => {
    expect(drawn(net(1), { showVariables: "nodes", parts: ["forward"], legend: false })).toMatchInlineSnapshot(`
      "part forward
        var_0 data x | float32[batch, 4]
        var_1 parameter fc_0.w_0 | float32[4, 1]
        var_2 parameter fc_0.b_0 | float32[1]
        var_3 value fc_0.tmp_0 | float32[batch, 1]
        var_4 value fc_0.broadcast_0 | float32[batch, 1]
        var_5 value fc_0.tmp_1 | float32[batch, 1]
        var_6 value fc_0.tmp_2 | float32[batch, 1]
        var_7 value square_0.tmp_0 | float32[batch, 1]
        var_8 value mean_0.tmp_0 | float32[]
        op_0_0 op matmul | alpha: 1
        op_0_1 op broadcastTo
        op_0_2 op add
        op_0_3 op relu
        op_0_4 op square
        op_0_5 op mean (loss)
      var_0 → op_0_0
      var_1 → op_0_0
      op_0_0 → var_3
      var_2 → op_0_1
      op_0_1 → var_4
      var_3 → op_0_2
      var_4 → op_0_2
      op_0_2 → var_5
      var_5 → op_0_3
      op_0_3 → var_6
      var_6 → op_0_4
      op_0_4 → var_7
      var_7 → op_0_5
      op_0_5 → var_8"
    `)
  })

  test("only the backward part: what it reads of others stands alone", () => {
    expect(drawn(net(1), { parts: ["backward"], detail: "essential", legend: false })).toMatchInlineSnapshot(`
      "var_0 data x | float32[batch, 4]
      var_1 value fc_0.tmp_2 | float32[batch, 1]
      part backward
        op_0_6 op fillConstant | value: 1
        op_0_8 op mul | y = 2
        op_0_10 op mul
        op_0_11 op sign
        op_0_12 op mul
        op_0_13 op matmul | transposeX: true, alpha: 1 | → matmul_0.grad_0 | float32[4, 1]
        op_0_14 op reduceSum | axis: [0] | → reduce_sum_0.grad_0 | float32[1]
      var_1 → op_0_8
      op_0_8 → op_0_10  mul_0.grad_0 | float32[batch, 1]
      op_0_6 → op_0_10  broadcast_to_0.broadcast_0 | float32[batch, 1]
      var_1 → op_0_11
      op_0_10 → op_0_12  mul_1.grad_0 | float32[batch, 1]
      op_0_11 → op_0_12  sign_0.grad_0 | float32[batch, 1]
      var_0 → op_0_13
      op_0_12 → op_0_13  mul_2.grad_0 | float32[batch, 1]
      op_0_12 → op_0_14
      folded 0:7 0:9"
    `)
  })
})

describe("blocks", () => {
  test("lie within their operator, which gives them state and takes their results", () => {
    expect(drawn(loops(), { detail: "essential", names: false })).toMatchInlineSnapshot(`
      "part forward
        var_0 data x | float32[batch, 2]
        var_4 state total | float32[2]
        op_0_2 op reduceSum | axis: [0]
        op_0_3 op write
        scope outer
          var_1 parameter w | float32[2, 2]
          op_0_0 op relu
          operator test.repeat
            op_0_1 op test.repeat | count: 3
            block body
              var_2 data carried_0 | float32[batch, 2]
              op_1_0 op matmul | alpha: 1
              operator test.repeat
                op_1_1 op test.repeat | count: 2
                block body
                  var_3 data carried_1 | float32[batch, 2]
                  op_2_0 op mul
                  op_2_2 op add | y = 0.5
      var_0 → op_0_0
      var_2 → op_1_0
      var_1 → op_1_0
      var_3 → op_2_0
      op_2_0 → op_2_2  float32[batch, 2]
      op_1_0 → op_1_1  float32[batch, 2]
      op_2_2 → op_1_1  float32[batch, 2]
      op_1_1 ⇠ var_3
      op_0_0 → op_0_1  float32[batch, 2]
      op_1_1 → op_0_1  float32[batch, 2]
      op_0_1 ⇠ var_2
      op_0_1 → op_0_2  float32[batch, 2]
      op_0_2 → op_0_3  float32[2]
      op_0_3 ⇢ var_4
      folded 2:1
      legend forward · parameter · state · data · new value of state · not drawn: 1 fillConstant (1 operator)"
    `)
  })

  test("disappear with their operator into a collapsed scope", () => {
    expect(drawn(loops(), { collapse: "scope", legend: false })).toMatchInlineSnapshot(`
      "part forward
        var_0 data x | float32[batch, 2]
        var_1 state total | float32[2]
        group_0 group outer | 7 operators | → test_repeat_1.tmp_0 | keeps 1 parameter
        op_0_2 op reduceSum | axis: [0]
        op_0_3 op write
      var_0 → group_0
      group_0 → op_0_2  test_repeat_1.tmp_0 | float32[batch, 2]
      op_0_2 → op_0_3  reduce_sum_0.tmp_0 | float32[2]
      op_0_3 ⇢ var_1"
    `)
  })
})

test("an operator that reads and writes a state is joined to it once", () => {
  const { edges, nodes } = programGraph(net(1))
  const weight = nodes.find(({ title }) => title === "fc_0.w_0")
  const updates = edges.filter(({ to }) => to === weight?.id)
  expect(updates.map(({ kind, isExchange, tooltip }) => ({ kind, isExchange, tooltip }))).toMatchInlineSnapshot(`
    [
      {
        "isExchange": true,
        "kind": "write",
        "tooltip": [
          "sgd writes fc_0.w_0 float32[4, 1]",
          "fc_0.w_0 float32[4, 1] → sgd.param",
        ],
      },
    ]
  `)
  expect(edges.some(({ from, to }) => from === weight?.id && to === updates[0]?.from)).toBe(false)
})

test("a part that only writes a state of another part shows it", () => {
  const program = new Program()
  const x = dataOf(program, "x", 2)
  const total = stateOf(program, "total", [2])
  program.within({ role: "optimize" }, () => write(total, reduceSum(x, { axis: [0] })))
  expect(drawn(program, { parts: ["optimize"], legend: false })).toMatchInlineSnapshot(`
    "var_0 data x | float32[batch, 2]
    var_1 state total | float32[2]
    part update
      op_0_0 op reduceSum | axis: [0]
      op_0_1 op write
    var_0 → op_0_0
    op_0_0 → op_0_1  reduce_sum_0.update_0 | float32[2]
    op_0_1 ⇢ var_1"
  `)
})

test("a forward part that reads gradients cannot have backward beside it", () => {
  expect(programGraph(net(1)).isMirrored).toBe(true)
  expect(programGraph(net(1), { mirror: false }).isMirrored).toBe(false)
  const penalised = net(1)
  add(penalised.globalBlock().var("fc_0.b_0"), penalised.globalBlock().var("reduce_sum_0.grad_0"))
  expect(programGraph(penalised).isMirrored).toBe(false)
})

test("nested name scopes are nested clusters", () => {
  const program = new Program()
  const x = dataOf(program, "x", 4)
  programGuard(program, () => nameScope("encoder", () => nameScope("layer_0", () => relu(relu(x)))))
  expect(drawn(program, { legend: false })).toMatchInlineSnapshot(`
    "part forward
      var_0 data x | float32[batch, 4]
      scope encoder
        scope layer_0
          op_0_0 op relu
          op_0_1 op relu | → relu_1.tmp_0 | float32[batch, 4]
    var_0 → op_0_0
    op_0_0 → op_0_1  relu_0.tmp_0 | float32[batch, 4]"
  `)
})

test("an update in a branch: inside it is computed, and what owns the branch writes it", () => {
  const program = new Program()
  const [x, w, m] = [dataOf(program, "x", 2), stateOf(program, "w", [2]), stateOf(program, "m", [2])]
  const learningRate = stateOf(program, "rate", [])
  const train = () => {
    program.within({ role: "optimize" }, () => {
      const grad = reduceSum(x, { axis: [0] })
      write(m, add(m, grad))
      sgd(w, { grad, learningRate })
    })
  }
  cond(less(reduceSum(x), 0), train)
  expect(drawn(program, { legend: false, names: false })).toMatchInlineSnapshot(`
    "part forward
      var_0 data x | float32[batch, 2]
      var_1 state w | float32[2]
      var_2 state m | float32[2]
      var_3 state rate | float32[]
      op_0_0 op reduceSum | axis: [0, 1]
      op_0_1 op fillConstant | value: 0
      op_0_2 op less
      operator cond
        op_0_3 op cond
        block yes
          op_1_0 op reduceSum | axis: [0]
          op_1_1 op add
          op_1_2 op write
          op_1_3 op sgd
    var_0 → op_0_0
    op_0_0 → op_0_2  float32[]
    op_0_1 → op_0_2  float32[]
    var_0 → op_1_0
    var_2 → op_1_1
    op_1_0 → op_1_1  float32[2]
    op_1_1 → op_1_2  float32[2]
    var_1 → op_1_3
    op_1_0 → op_1_3
    var_3 → op_1_3
    op_0_2 → op_0_3  bool[]
    op_1_2 → op_0_3  float32[2]
    op_1_3 → op_0_3  float32[2]
    op_0_3 ⇠⇢ var_2
    op_0_3 ⇠⇢ var_1"
  `)
})

test("tooltips name the whole operator, and its line on request", () => {
  const { nodes } = programGraph(net(1), { sites: true })
  const tooltips = nodes.filter(({ title }) => title === "matmul").map(({ tooltip }) => tooltip)
  expect(tooltips.map((lines) => lines.slice(0, -1))).toMatchInlineSnapshot(`
    [
      [
        "fc_0.tmp_0 = matmul(x, fc_0.w_0)",
      ],
      [
        "matmul_0.grad_0 = matmul(x, mul_2.grad_0)",
        "for fc_0.tmp_2 = relu(fc_0.tmp_1)",
      ],
    ]
  `)
  for (const lines of tooltips) expect(lines.at(-1)).toMatch(/^built at packages\/viz\/test\/programs\.ts:\d+:\d+$/)
})

test("a picture leaves the program as it was", () => {
  const program = net(2)
  const before = [program.toString(), program.mutations]
  programGraph(program, { collapse: "scope" })
  expect([program.toString(), program.mutations]).toEqual(before)
})

test.each([
  ['{ "direction": "up" }', 'CF_BAD_ARGUMENT  picture: direction must be one of down, right, got "up"'],
  [
    '{ "collapse": "layers" }',
    'CF_BAD_ARGUMENT  picture: collapse must be one of auto, none, scope, layer, got "layers"\n  fix: did you mean "layer"?',
  ],
  [
    '{ "parts": ["forwards"] }',
    'CF_BAD_ARGUMENT  picture: an entry of parts must be one of forward, backward, optimize, schedule, got "forwards"\n  fix: did you mean "forward"?',
  ],
  [
    '{ "parts": [] }',
    "CF_BAD_ARGUMENT  picture: parts is empty: there is nothing to draw\n  fix: name some of forward, backward, optimize, schedule",
  ],
  ['{ "maxOps": 0 }', "CF_BAD_ARGUMENT  picture: maxOps must be a positive integer, got 0"],
])("refuses %s", (options, text) => {
  expect(() => programGraph(net(1), JSON.parse(options) as PictureOptions)).toThrow(text)
})
