// Phase 5: what becomes one loop, and what must not. Without a backend: the plan's operators are read.
import { bindSymbols, compile, idsOf, type Plan } from "@counterflow/compiler"
import { Program, programGuard, type Variable } from "@counterflow/ir"
import { data, fc } from "@counterflow/layers"
import { add, exp, greater, legalize, mean, mul, reduceSum, relu, sigmoid, sub, where, write } from "@counterflow/ops"
import { SGD } from "@counterflow/optim"
import { describe, expect, test } from "vitest"

function planOf(
  build: (main: Program) => readonly Variable[],
  feeds: Record<string, readonly number[]>,
  fuses = true,
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
  return compile(lowered, { fetches, bindings, model, fuses })
}

/** One line per operator: its type, what it reads, and with which strides. */
function operators(plan: Plan): string[] {
  return plan.block.ops.map((op) => {
    const inputs = Object.entries(op.inputs).map(([slot, [id = -1]]) => {
      const strides = op.reads?.[slot]
      return `${plan.vars[id]?.name}${strides === undefined ? "" : ` by [${strides.join(", ")}]`}`
    })
    return `${op.type}(${inputs.join(", ")})`
  })
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
        "add+sigmoid(matmul_2, fc_0.b_0 by [0, 1])",
        "mul(fc_0.tmp_2)",
        "reduceSum(mul_0.tmp_0)",
        "div(reduceSum_8)",
        "fillConstant()",
        "div(mean_0.tmp_0@GRAD)",
        "mul(div_0.grad_0 by [0, 0], fc_0.tmp_2)",
        "add+scale+mul+mul(fc_0.tmp_2@GRAD@PART_0, fc_0.tmp_2)",
        "assign(fc_0.tmp_1@GRAD)",
        "reduceSum(fc_0.tmp_0@GRAD)",
        "matmul(x, fc_0.tmp_0@GRAD)",
        "mul+sub(fc_0.w_0, fc_0.w_0@GRAD, learning_rate_0 by [0, 0])",
        "mul+sub(fc_0.b_0, fc_0.b_0@GRAD, learning_rate_0 by [0])",
      ]
    `)
  })
})

describe("what stays", () => {
  test("a fetched intermediate cuts its own edge only", () => {
    const build = (fetchesMiddle: boolean) => () => {
      const a = exp(data({ name: "x", shape: [3] }))
      const b = sigmoid(a)
      return fetchesMiddle ? [relu(b), b] : [relu(b)]
    }
    expect(operators(planOf(build(false), { x: [4, 3] }))).toEqual(["exp+sigmoid+relu(x)"])
    expect(operators(planOf(build(true), { x: [4, 3] }))).toEqual(["exp+sigmoid(x)", "relu(sigmoid_0.tmp_0)"])
  })

  test("a value with two readers is computed once", () => {
    const plan = planOf(
      () => {
        const a = exp(data({ name: "x", shape: [3] }))
        return [relu(a), reduceSum(a)]
      },
      { x: [4, 3] },
    )
    expect(operators(plan)).toEqual(["exp(x)", "relu(exp_0.tmp_0)", "reduceSum(exp_0.tmp_0)"])
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
