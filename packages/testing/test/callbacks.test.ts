// Callbacks of appendBackward: when they are called, what they see, and how they replace gradients (Fluid's error clip).

import { appendBackward, type BackwardCallback } from "@counterflow/autodiff"
import { Executor } from "@counterflow/executor"
import { type Operator, type Variable, verify } from "@counterflow/ir"
import { cpu } from "@counterflow/kernels-cpu"
import { add, clip, exp, legalize, mean, mul, scale, split, square, sum, tanh } from "@counterflow/ops"
import { describe, expect, test } from "vitest"
import { backwardOps, build, input, namesOf, parameter, refusalOf } from "./building.ts"

function fanOut() {
  return build((program) => {
    const w = parameter(program, "w", [3], { initialValue: 0.5 })
    const h = exp(w)
    return { w, h, loss: mean(mul(add(h, square(h)), tanh(h))) }
  })
}

describe("calls", () => {
  test("after each appended operator, sums and copies included, the seed not, in list order", () => {
    const { main, loss } = fanOut()
    const seen: [string, Operator][] = []
    const named = (name: string): BackwardCallback => {
      return ({ block, context }) => {
        expect(block).toBe(main.globalBlock())
        expect(block.ops.at(-1)).toBe(context.currentOp)
        expect(context.get("__current_op_desc__")).toBe(context.currentOp)
        seen.push([name, context.currentOp])
      }
    }
    appendBackward(loss, { callbacks: [named("a"), named("b")] })
    const [seed, ...rest] = backwardOps(main)
    expect(seed?.type).toBe("fillConstant")
    expect(rest.map(({ type }) => type)).toContain("sum")
    expect(seen).toEqual(
      rest.flatMap((op) => [
        ["a", op],
        ["b", op],
      ]),
    )
  })

  test("zero fills count as operators", () => {
    const { main, pairs, seen } = build((program) => {
      const seen: Operator[] = []
      const [first] = split(parameter(program, "w", [6]), { numOrSections: 3, axis: 0 })
      const pairs = appendBackward(mean(first as Variable), {
        callbacks: [({ context }) => seen.push(context.currentOp)],
      })
      return { pairs, seen }
    })
    expect(namesOf(pairs)).toEqual([["w", "w@GRAD"]])
    expect(seen).toEqual(backwardOps(main).slice(1))
  })

  test("context knows the forward variable of every gradient that the forward operator's rule has answered", () => {
    const { main, h, loss } = fanOut()
    const known: (string | undefined)[] = []
    appendBackward(loss, {
      callbacks: [
        ({ context }) => {
          for (const output of context.currentOp.outputList()) {
            const found = context.get(output.name)
            if (output.gradientOf !== null) known.push(output.name)
            expect(found ?? null).toBe(output.gradientOf)
          }
          expect(context.get("nobody@GRAD")).toBe(undefined)
        },
      ],
    })
    expect(known).toContain(`${h.name}@GRAD`)
    expect(known).toContain("w@GRAD")
    expect(known.filter((name) => name === "w@GRAD")).toHaveLength(1)
    verify(main)
  })

  test("gradients that a later operator of the same rule makes are known already", () => {
    const { loss } = build((program) => {
      const [v, w] = [parameter(program, "v"), parameter(program, "w")]
      return { loss: mean(mul(v, w)) }
    })
    const atFirst: (Variable | Operator | undefined)[] = []
    appendBackward(loss, {
      callbacks: [
        ({ context }) => {
          if (context.currentOp.derivedFrom?.type === "mul" && atFirst.length === 0)
            atFirst.push(context.get("v@GRAD"), context.get("w@GRAD"))
        },
      ],
    })
    expect(atFirst.map((variable) => (variable as Variable | undefined)?.name)).toEqual(["v", "w"])
  })

  test("operators that a callback appends are not called back, and have the role backward", () => {
    const { main, loss, h } = fanOut()
    let calls = 0
    appendBackward(loss, {
      callbacks: [
        ({ context }) => {
          calls++
          const [output] = context.currentOp.outputList()
          if (output?.name === `${h.name}@GRAD`) scale(output, { scale: 3 })
        },
      ],
    })
    const own = backwardOps(main).filter(({ type, attrs }) => type === "scale" && attrs["scale"] === 3)
    expect(own).toHaveLength(1)
    expect(calls).toBe(backwardOps(main).length - 2)
    verify(main)
  })
})

/** Fluid's error clip: the gradient of one variable is clipped before anything reads it. */
function errorClip(variable: Variable, max: number): BackwardCallback {
  return ({ context }) => {
    for (const output of context.currentOp.outputList()) {
      if (context.get(output.name) === variable && output.name === `${variable.name}@GRAD`) {
        context.replaceGradient(output, clip(output, { min: -max, max }))
      }
    }
  }
}

describe("replaceGradient", () => {
  test("an error clip on a hidden variable: every later reader uses the clipped gradient", () => {
    const { main, loss, h, w } = fanOut()
    const pairs = appendBackward(loss, { callbacks: [errorClip(h, 0.01)], parameterList: [w, h] })
    verify(main)
    const clipped = main
      .globalBlock()
      .ops.find(({ type }) => type === "clip")
      ?.outputList()[0]
    expect(pairs[1]?.[1]).toBe(clipped)
    expect(clipped?.gradientOf).toBe(h)
    const original = main.globalBlock().var(`${h.name}@GRAD`)
    const readers = backwardOps(main).filter((op) => op.inputList().includes(original))
    expect(readers.map(({ type }) => type)).toEqual(["clip"])
    const executor = new Executor(cpu(), { legalize })
    const [dw, dh, dhBefore] = executor.runSync(main, { fetch: [pairs[0]?.[1] ?? w, pairs[1]?.[1] ?? h, original] })
    expect(Math.min(...(dhBefore?.data as Float32Array))).toBeGreaterThan(0.02)
    expect(dh?.toArray()).toEqual([0.01, 0.01, 0.01].map(Math.fround))
    // dw = dh ∘ eʷ
    for (const value of Array.from(dw.data, Number)) expect(value).toBeCloseTo(0.01 * Math.exp(0.5), 6)
  })

  test("the returned pairs use the replacement of a parameter's gradient", () => {
    const { main, loss, w } = fanOut()
    const [pair] = appendBackward(loss, { callbacks: [errorClip(w, 0.5)] })
    verify(main)
    expect(pair?.[1].producer?.type).toBe("clip")
    expect(pair?.[1].gradientOf).toBe(w)
  })

  test("a replacement may be replaced", () => {
    const { main, loss, w } = fanOut()
    let first: Variable | null = null
    const twice: BackwardCallback = ({ context }) => {
      const [output] = context.currentOp.outputList()
      if (output?.name !== "w@GRAD") return
      first = scale(output, { scale: 2 })
      context.replaceGradient(output, first)
      context.replaceGradient(first, scale(first, { scale: 5 }))
    }
    const [pair] = appendBackward(loss, { callbacks: [twice] })
    expect(pair?.[0]).toBe(w)
    expect(pair?.[1].producer?.attrs["scale"]).toBe(5)
    expect(pair?.[1].producer?.inputList()).toEqual([first])
    verify(main)
  })

  test("operators of the same rule that are still to be appended use it too", () => {
    // The rule of a sum of products: its second operator reads the gradient that its first one makes.
    const { main, v } = build((program) => {
      const v = parameter(program, "v", [2])
      appendBackward(mean(sum([mul(v, v), v])), {
        callbacks: [
          ({ context }) => {
            const [output] = context.currentOp.outputList()
            if (output?.gradientOf?.producer?.type === "mul")
              context.replaceGradient(output, scale(output, { scale: 7 }))
          },
        ],
      })
      return { v }
    })
    verify(main)
    const executor = new Executor(cpu(), { legalize })
    const [gradient] = executor.runSync(main, { fetch: [`${v.name}@GRAD`] })
    // d/dv of (v² + v)/2 with the first part's cotangent times 7: (7 · 2v + 1)/2 at v = 1.
    expect(gradient?.toArray()).toEqual([7.5, 7.5])
  })

  test("shape and dtype must be those of the gradient, the program too", () => {
    const { main, loss } = fanOut()
    const before = main.toString()
    const replacing = (by: (gradient: Variable) => Variable) => () =>
      appendBackward(loss, {
        callbacks: [
          ({ context }) => {
            const [output] = context.currentOp.outputList()
            if (output !== undefined && output.name === "w@GRAD") context.replaceGradient(output, by(output))
          },
        ],
      })
    expect(refusalOf(replacing((gradient) => mean(gradient)))).toMatchInlineSnapshot(`
      "CounterflowError: CF_BAD_ARGUMENT  replaceGradient: mean_0.grad_0 float32[] cannot stand for w@GRAD float32[3]: shape and dtype must be equal
        called at LINE"
    `)
    const { x } = build((program) => ({ x: input(program, "x", [3]) }))
    expect(refusalOf(replacing(() => x))).toMatchInlineSnapshot(`
      "CounterflowError: CF_BAD_ARGUMENT  replaceGradient: x float32[3] cannot stand for w@GRAD float32[3]: shape and dtype must be equal
        called at LINE"
    `)
    expect(refusalOf(replacing((gradient) => gradient))).toMatchInlineSnapshot(`
      "CounterflowError: CF_BAD_ARGUMENT  replaceGradient: w@GRAD is replaced by w@GRAD already
        called at LINE"
    `)
    expect(main.toString()).toBe(before)
  })
})

describe("a callback that throws", () => {
  test("is rethrown, and the program is what it was before", () => {
    const { main, loss, h } = fanOut()
    const spare = main
      .globalBlock()
      .createVar({ name: "spare", shape: [3], dtype: "float32", persistable: true, initialValue: 0 })
    const before = [main.toString(), JSON.stringify(main)]
    const reason = new Error("enough")
    const callback: BackwardCallback = ({ context }) => {
      const [output] = context.currentOp.outputList()
      // Between the replacement and the end: half of the backward part is there.
      if (spare.gradientOf !== null) throw reason
      if (output?.name === `${h.name}@GRAD`) context.replaceGradient(output, spare)
      scale(output as Variable, { scale: 2 })
    }
    let thrown: unknown = null
    try {
      appendBackward(loss, { callbacks: [callback] })
    } catch (error) {
      thrown = error
    }
    expect(thrown).toBe(reason)
    expect([main.toString(), JSON.stringify(main)]).toEqual(before)
    expect(spare.gradientOf).toBe(null)
    expect(main.globalBlock().staged).toBe(null)
    verify(main)
    // And it can be had another time.
    expect(namesOf(appendBackward(loss))).toEqual([["w", "w@GRAD"]])
  })
})
