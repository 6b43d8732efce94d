// What recomputation promises: copies are emitted where they are needed and nowhere else, and save the memory.

import { appendBackward, gradients } from "@counterflow/autodiff"
import { Executor } from "@counterflow/executor"
import { Program, type Variable, verify } from "@counterflow/ir"
import { cpu } from "@counterflow/kernels-cpu"
import { batchNorm, data, dropout } from "@counterflow/layers"
import { cond, greater, mean, mul, reduceSum, legalize, scale, scan, square, tanh } from "@counterflow/ops"
import { SGD } from "@counterflow/optim"
import { describe, expect, test } from "vitest"
import { build, input, parameter, refusalOf } from "./building.ts"
import { observed } from "./passes-observed.ts"
import { copies } from "./recompute-run.ts"

/** tanh after tanh, with every `each`-th for a checkpoint. */
function chain(length: number, each: number | null) {
  return build((program) => {
    const w = parameter(program, "w", [100])
    const checkpoints: Variable[] = []
    let x: Variable = w
    for (let i = 1; i <= length; i++) {
      x = tanh(x)
      if (each !== null && i % each === 0) checkpoints.push(x)
    }
    const loss = reduceSum(x)
    const [pair] = appendBackward(loss, each === null ? {} : { checkpoints })
    return { loss, gradient: pair![1] }
  })
}

describe("memory", () => {
  test("a chain of n needs 2 √n instead of n", () => {
    const peak = (each: number | null) => {
      const { main, gradient } = chain(144, each)
      return observed(main, [gradient], {}).plan.memory.peakBytes / 400
    }
    expect(peak(null)).toBeGreaterThan(140)
    expect(peak(12)).toBeLessThan(12 + 12 + 6)
    expect(peak(36)).toBeGreaterThan(36)
  })

  test("the last part, which is needed at once, is kept", () => {
    const { main } = build((program) => {
      const checkpoint = tanh(parameter(program, "w"))
      appendBackward(reduceSum(tanh(tanh(checkpoint))), { checkpoints: [checkpoint] })
      return {}
    })
    expect(copies(main)).toEqual([])
  })
})

describe("copies", () => {
  test("repeat an operator: its attributes, its line, its draws, but not what it writes", () => {
    const { main } = build(() => {
      const x = data({ name: "x", shape: [3, 4, 4] })
      const h = tanh(dropout(batchNorm(scale(x, { scale: 2 })), { dropoutProb: 0.5 }))
      const checkpoint = scale(h, { scale: 3 })
      new SGD({ learningRate: 1 }).minimize(mean(square(checkpoint)), { checkpoints: [checkpoint] })
      return {}
    })
    verify(main)
    const again = copies(main).map(({ producer }) => producer!)
    expect(new Set(again.map(({ type }) => type))).toEqual(new Set(["scale", "batchNorm", "dropout", "tanh"]))
    for (const op of again) {
      const first = op.derivedFrom!
      expect([op.type, op.attrs, op.site, op.role, op.writes]).toEqual([
        first.type,
        first.attrs,
        first.site,
        "backward",
        [],
      ])
    }
    expect(main.globalBlock().ops.filter(({ type, writes }) => type === "batchNorm" && writes.length > 0)).toHaveLength(
      1,
    )
  })

  test("are emitted for what is read, in front of who reads it, and once", () => {
    const { main } = build((program) => {
      const a = scale(parameter(program, "w"), { scale: 2 })
      const unread = scale(a, { scale: 3 })
      const b = tanh(unread)
      const checkpoint = mul(b, b)
      appendBackward(reduceSum(checkpoint), { checkpoints: [checkpoint] })
      return {}
    })
    const lines = main.globalBlock().ops.filter(({ role }) => role === "backward")
    expect(lines.map((op) => `${op.segment} ${op}`)).toMatchInlineSnapshot(`
      [
        "1 reduce_sum_0.tmp_0@GRAD = fillConstant()",
        "1 mul_0.tmp_0@GRAD = broadcastTo(reduce_sum_0.tmp_0@GRAD)",
        "2 scale_0.tmp_0@AGAIN = scale(w)",
        "2 scale_1.tmp_0@AGAIN = scale(scale_0.tmp_0@AGAIN)",
        "2 tanh_0.tmp_0@AGAIN = tanh(scale_1.tmp_0@AGAIN)",
        "2 tanh_0.tmp_0@GRAD@PART_0 = mul(mul_0.tmp_0@GRAD, tanh_0.tmp_0@AGAIN)",
        "2 tanh_0.tmp_0@GRAD@PART_1 = mul(mul_0.tmp_0@GRAD, tanh_0.tmp_0@AGAIN)",
        "2 tanh_0.tmp_0@GRAD = sum(tanh_0.tmp_0@GRAD@PART_0, tanh_0.tmp_0@GRAD@PART_1)",
        "2 square_0.grad_0 = square(tanh_0.tmp_0@AGAIN)",
        "2 scale_2.grad_0 = scale(square_0.grad_0)",
        "2 scale_1.tmp_0@GRAD = mul(tanh_0.tmp_0@GRAD, scale_2.grad_0)",
        "2 scale_0.tmp_0@GRAD = scale(scale_1.tmp_0@GRAD)",
        "2 w@GRAD = scale(scale_0.tmp_0@GRAD)",
      ]
    `)
  })

  test("of a loop hand out what its gradient asks for later", () => {
    const { main } = build((program) => {
      const [w, x] = [parameter(program, "w"), input(program, "x", [3, 2])]
      const [last, sums] = scan((carry, each) => [tanh(mul(carry, w)), mul(carry, each)], { init: w, xs: x })
      // The square reads the sums, so the copy is there when the loop's own gradient wants what is in its body.
      const checkpoint = mul(last, reduceSum(square(sums), { axis: 0 }))
      appendBackward(reduceSum(checkpoint), { checkpoints: [checkpoint] })
      return {}
    })
    verify(main)
    const scans = main.globalBlock().ops.filter(({ type }) => type === "scan")
    expect(scans.map(({ segment, derivedFrom }) => [segment, derivedFrom === scans[0]])).toEqual([
      [0, false],
      [2, true],
      [2, true],
    ])
    expect(scans[1]!.outputs["saved"]!.length).toBe(scans[0]!.outputs["saved"]!.length)
    expect(scans[2]!.inputs["xs"]!.filter(({ producer }) => producer === scans[1]).length).toBeGreaterThan(0)
    expect(scans[2]!.inputs["xs"]!.filter(({ producer }) => producer === scans[0])).toEqual([])
  })

  test("can be differentiated", () => {
    const second = (isKept: boolean) =>
      build((program) => {
        const w = input(program, "w", [3])
        const h = tanh(tanh(w))
        const options = isKept ? { checkpoints: [h] } : {}
        const [pair] = appendBackward(reduceSum(square(h)), { parameterList: [w], ...options })
        return { slope: gradients(pair![1], w)[0]! }
      })
    const run = ({ main, slope }: ReturnType<typeof second>) =>
      new Executor(cpu(), { legalize }).runSync(main, { feed: { w: [1, -0.5, 0.25] }, fetch: [slope] })[0].data
    // Parts of a sum come from first and second computations, so they are added in another order.
    const expected = run(second(false))
    run(second(true)).forEach((value, i) => expect(Number(value)).toBeCloseTo(Number(expected[i]), 6))
  })

  test("of what a later part reads are none: it is kept", () => {
    const { main } = build((program) => {
      const shared = tanh(parameter(program, "w"))
      const checkpoint = tanh(scale(shared, { scale: 2 }))
      appendBackward(reduceSum(mul(checkpoint, shared)), { checkpoints: [checkpoint] })
      return {}
    })
    expect(copies(main)).toEqual([])
  })
})

describe("checkpoints that are none", () => {
  const refused = (checkpoints: (program: Program, hidden: Variable) => unknown) =>
    refusalOf(() =>
      build((program) => {
        const w = parameter(program, "w")
        let hidden: Variable = w
        const branch = () => {
          hidden = tanh(w)
          return hidden
        }
        const y = cond(greater(reduceSum(w), 0), branch, () => w)
        appendBackward(reduceSum(y), { checkpoints: checkpoints(program, hidden) as Variable[] })
        return {}
      }),
    )

  test("are refused", () => {
    expect(refused(() => ["v"])).toContain(
      'CF_UNKNOWN_NAME  appendBackward: checkpoints names "v", which the program does not',
    )
    expect(refused((_program, hidden) => hidden)).toContain("checkpoints must be a list of names or Variables, got")
    expect(refused(() => [parameter(new Program(), "other")])).toContain("CF_FOREIGN_VARIABLE")
    expect(refused((_program, hidden) => [hidden])).toContain("which belongs to a sub-block")
  })

  test("with data, parameters, and none at all nothing is computed again", () => {
    for (const names of [[], ["w"]]) {
      const { main } = build((program) => {
        appendBackward(reduceSum(tanh(tanh(parameter(program, "w")))), { checkpoints: names })
        return {}
      })
      expect(copies(main)).toEqual([])
    }
  })
})

test("a chain of 10,000 operators", { timeout: 30_000 }, () => {
  const { main } = chain(10_000, 9_999)
  expect(copies(main)).toHaveLength(9_998)
  verify(main)
})
