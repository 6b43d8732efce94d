// Phase 5: what becomes one loop, and what must not. Without a backend: the plan's operators are read.
import { bindSymbols, compile, idsOf, type Plan } from "@counterflow/compiler"
import { Program, programGuard, type Scalar, type Variable } from "@counterflow/ir"
import { data, fc } from "@counterflow/layers"
import {
  add,
  div,
  exp,
  greater,
  legalize,
  matmul,
  mean,
  mul,
  reduceSum,
  relu,
  reshape,
  sigmoid,
  sub,
  where,
  write,
} from "@counterflow/ops"
import { Adam, SGD } from "@counterflow/optim"
import fastCheck from "fast-check"
import { describe, expect, test } from "vitest"

function planOf(
  build: (main: Program) => readonly Variable[],
  feeds: Record<string, readonly number[]>,
  fuses = true,
  takers: readonly string[] = [],
): Plan {
  const main = new Program()
  const fetches = programGuard(main, new Program(), () => build(main)).map(({ name }) => name)
  const lowered = legalize(main, { fetches, keep: new Set() })
  const bindings = bindSymbols(lowered, new Map(Object.entries(feeds)))
  const model = {
    bytes: ({ elements }: { elements: number }) => 4 * elements,
    workspaceBytes: () => 0,
    updatesInPlace: true,
  }
  const takes = ({ type }: { type: string }) => takers.includes(type)
  return compile(lowered, { fetches, bindings, model, fuses, absorbs: takes, computes: takes })
}

/** One line per operator: its type, what it reads, and with which strides; » stands before an epilogue, « behind a prologue. */
function operators(plan: Plan): string[] {
  return plan.block.ops.map((op) => {
    const inputs = Object.entries(op.inputs).map(([slot, [id = -1]]) => {
      const strides = op.reads?.[slot]
      return `${plan.vars[id]?.name}${strides === undefined ? "" : ` by [${strides.join(", ")}]`}`
    })
    const before = op.prologue === undefined ? "" : `${functionsOf(op.prologue.scalar)} « `
    const after = op.epilogue === undefined ? "" : ` » ${functionsOf(op.epilogue)}`
    return `${before}${op.type}${after}(${inputs.join(", ")})`
  })
}

/** The operations of an expression, from the outermost on. */
function functionsOf(scalar: Scalar): string {
  if (scalar.op === "input" || scalar.op === "const") return ""
  const parts = [scalar.x, ...("y" in scalar ? [scalar.y] : [])].map(functionsOf)
  return [...parts, scalar.op].filter((part) => part !== "").join(" ")
}

describe("one loop", () => {
  test("a chain, with its broadcasts as strides and its constants as literals", () => {
    const plan = planOf(
      () => {
        const x = data({ name: "x", shape: [3] })
        const row = data({ name: "row", shape: [3], appendBatchSize: false })
        const column = data({ name: "column", shape: [1] })
        return [relu(add(mul(sub(x, row), column), 0.5))]
      },
      { x: [4, 3], row: [3], column: [4, 1] },
    )
    expect(operators(plan)).toMatchInlineSnapshot(`
      [
        "sub+mul+add+relu(x, row by [0, 1], column by [1, 0])",
      ]
    `)
  })

  test("bias, activation and update of a training step", () => {
    const plan = planOf(
      () => {
        const hidden = fc(data({ name: "x", shape: [3] }), { size: 2, act: "sigmoid" })
        const loss = mean(mul(hidden, hidden))
        new SGD({ learningRate: 0.1 }).minimize(loss)
        return [loss]
      },
      { x: [4, 3] },
    )
    expect(operators(plan)).toMatchInlineSnapshot(`
      [
        "matmul(x, fc_0.w_0)",
        "add+sigmoid & mul & mul & add+scale+mul+mul(matmul_2, fc_0.b_0 by [0, 1])",
        "reduceSum(mul_0.tmp_0)",
        "div(reduceSum_8)",
        "reduceSum(fc_0.tmp_1@GRAD)",
        "matmul(x, fc_0.tmp_1@GRAD)",
        "mul+sub(fc_0.w_0, fc_0.w_0@GRAD, learning_rate_0 by [0, 0])",
        "mul+sub(fc_0.b_0, fc_0.b_0@GRAD, learning_rate_0 by [0])",
      ]
    `)
  })
})

describe("loops with several results", () => {
  test("the state of an optimizer in one pass, in place", () => {
    const plan = planOf(
      () => {
        const hidden = fc(data({ name: "x", shape: [3] }), { size: 2, biasAttr: false })
        const loss = mean(hidden)
        new Adam({ learningRate: 0.1 }).minimize(loss)
        return [loss]
      },
      { x: [4, 3] },
    )
    const updates = plan.block.ops.filter(({ outputs }) => Object.keys(outputs).length > 1)
    const weights = updates.find(({ inputs }) => idsOf(inputs).some((id) => plan.vars[id]?.name === "fc_0.w_0"))
    expect(idsOf(weights?.outputs ?? {}).map((id) => plan.vars[id]?.shape)).toEqual([
      [3, 2],
      [3, 2],
      [3, 2],
    ])
    expect(plan.commits).toEqual([])
  })

  test("what only the loop itself reads is not stored", () => {
    const plan = planOf(
      () => {
        const a = exp(data({ name: "x", shape: [3] }))
        const [b, c] = [sub(a, 1), mul(a, a)]
        return [add(b, c), mul(b, c)]
      },
      { x: [4, 3] },
    )
    expect(operators(plan)).toHaveLength(1)
    expect(idsOf(plan.block.ops[0]?.outputs ?? {}).map((id) => plan.vars[id]?.name)).toEqual(
      expect.arrayContaining(plan.fetches.map((id) => plan.vars[id]?.name)),
    )
    expect(idsOf(plan.block.ops[0]?.outputs ?? {})).toHaveLength(2)
  })

  test("not around an operator that needs the first and is needed by the second", () => {
    const plan = planOf(
      () => {
        const a = exp(data({ name: "x", shape: [3] }))
        return [a, div(a, reduceSum(a, { axis: [1], keepDim: true }))]
      },
      { x: [4, 3] },
    )
    expect(operators(plan)).toEqual([
      "exp(x)",
      "reduceSum(exp_0.tmp_0)",
      "div(exp_0.tmp_0, reduce_sum_0.tmp_0 by [1, 0])",
    ])
  })

  test("every value is made before it is read, whatever is joined", () => {
    const wide = fastCheck.array(fastCheck.tuple(fastCheck.nat(9), fastCheck.nat(99), fastCheck.nat(99)), {
      minLength: 3,
      maxLength: 30,
    })
    fastCheck.assert(
      fastCheck.property(wide, (steps) => {
        const plan = planOf(
          () => {
            const values: Variable[] = [data({ name: "x", shape: [3] }), data({ name: "y", shape: [3] })]
            const pick = (at: number) => values[at % values.length] as Variable
            for (const [op, x, y] of steps) {
              if (op < 3) values.push(relu(pick(x)))
              else if (op < 7) values.push(add(pick(x), pick(y)))
              else values.push(mul(pick(x), reduceSum(pick(y), { axis: [1], keepDim: true })))
            }
            return values.slice(2).filter((_, i) => i % 4 === 3 || i === values.length - 3)
          },
          { x: [4, 3], y: [4, 3] },
          true,
          ["reduceSum"],
        )
        const made = new Set(plan.feeds)
        for (const op of plan.block.ops) {
          expect(idsOf(op.inputs).filter((id) => !made.has(id))).toEqual([])
          for (const id of idsOf(op.outputs)) {
            expect(made.has(id)).toBe(false)
            made.add(id)
          }
          expect(Object.keys(op.inputs).length).toBeLessThanOrEqual(9)
          expect(Object.keys(op.outputs).length).toBeLessThanOrEqual(4)
        }
        expect(plan.fetches.filter((id) => !made.has(id))).toEqual([])
      }),
      { seed: 5, numRuns: 80 },
    )
  })
})

describe("operators that take over", () => {
  test("what follows a product, also behind a view; what a sum folds", () => {
    const build = () => {
      const x = data({ name: "x", shape: [2, 3] })
      const bias = data({ name: "bias", shape: [5], appendBatchSize: false })
      const skip = data({ name: "skip", shape: [2, 5] })
      const w = data({ name: "w", shape: [3, 5], appendBatchSize: false })
      const flat = matmul(reshape(x, { shape: [-1, 3] }), w)
      const y = add(relu(add(reshape(flat, { shape: [-1, 2, 5] }), bias)), skip)
      return [reduceSum(mul(sub(y, 1), bias), { axis: [2] })]
    }
    const feeds = { x: [4, 2, 3], w: [3, 5], bias: [5], skip: [4, 2, 5] }
    expect(operators(planOf(build, feeds, true, ["matmul", "reduceSum"]))).toMatchInlineSnapshot(`
      [
        "reshape(x)",
        "matmul » add max add sub mul(reshape_0.tmp_0, w, bias by [0, 1], skip)",
        "view(matmul_0.tmp_0)",
        "reduceSum(mul_0.tmp_0)",
      ]
    `)
    expect(operators(planOf(build, feeds))).toMatchInlineSnapshot(`
      [
        "reshape(x)",
        "matmul(reshape_0.tmp_0, w)",
        "add+relu+add+sub+mul(matmul_0.tmp_0, bias by [0, 0, 1], skip)",
        "reduceSum(mul_0.tmp_0)",
      ]
    `)
  })

  test("not a value that others read, nor a new state", () => {
    const plan = planOf(
      (main) => {
        const s = main.globalBlock().createVar({ name: "s", shape: [4, 5], dtype: "float32", persistable: true })
        const x = data({ name: "x", shape: [3] })
        const w = data({ name: "w", shape: [3, 5], appendBatchSize: false })
        const y = matmul(x, w)
        write(s, sub(s, matmul(mul(x, 2), w)))
        return [y, relu(y)]
      },
      { x: [4, 3], w: [3, 5] },
      true,
      ["matmul"],
    )
    expect(plan.block.ops.filter(({ epilogue }) => epilogue !== undefined)).toEqual([])
    expect([...plan.layout.inPlace]).toHaveLength(1)
  })
})

describe("what stays", () => {
  test("a fetched intermediate is stored by the loop that goes on with it", () => {
    const build = (fetchesMiddle: boolean) => () => {
      const a = exp(data({ name: "x", shape: [3] }))
      const b = sigmoid(a)
      return fetchesMiddle ? [relu(b), b] : [relu(b)]
    }
    expect(operators(planOf(build(false), { x: [4, 3] }))).toEqual(["exp+sigmoid+relu(x)"])
    expect(operators(planOf(build(true), { x: [4, 3] }))).toEqual(["exp+sigmoid & relu(x)"])
  })

  test("a value with two readers is computed once", () => {
    const plan = planOf(
      () => {
        const a = exp(data({ name: "x", shape: [3] }))
        return [relu(a), reduceSum(a)]
      },
      { x: [4, 3] },
    )
    expect(operators(plan)).toEqual(["exp & relu(x)", "reduceSum(exp_0.tmp_0)"])
  })

  test("a literal stands only beside something that gives it its dtype: of two constants one stays a tensor", () => {
    const plan = planOf(
      () => {
        const x = data({ name: "x", shape: [3] })
        return [where(greater(x, 0), 1, 2) as Variable]
      },
      { x: [4, 3] },
    )
    const [last] = plan.block.ops.slice(-1)
    const constants = idsOf(last?.inputs ?? {}).filter((id) => plan.vars[id]?.name.startsWith("fill_constant"))
    expect([last?.type, constants.length]).toEqual(["greater+where", 1])
  })

  test("state that is read with strides is not updated in place", () => {
    const layout = (fuses: boolean) => {
      const plan = planOf(
        (main) => {
          const s = main.globalBlock().createVar({ name: "s", shape: [1], dtype: "float32", persistable: true })
          const x = data({ name: "x", shape: [1], appendBatchSize: false })
          write(s, add(s, x))
          return []
        },
        { x: [1] },
        fuses,
      )
      return plan.layout.inPlace.size
    }
    expect([layout(false), layout(true)]).toEqual([1, 1])
  })
})
