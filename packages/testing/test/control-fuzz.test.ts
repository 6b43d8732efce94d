// Random nests of branches and loops: the values are bit for bit those of the same program written out, and gradients of orders 1
// and 2 agree with differences. So they do on every backend, and between the passes of the compiler.

import { gradients } from "@counterflow/autodiff"
import { type BoundProgram, type PassName, passNames, verifyBound } from "@counterflow/compiler"
import { type Backend, Executor } from "@counterflow/executor"
import { parseProgram, type Program, type Variable, verify } from "@counterflow/ir"
import { cpu } from "@counterflow/kernels-cpu"
import { wasm } from "@counterflow/kernels-wasm"
import { add, fillConstant, legalize, reduceSum, registry, resolve, square } from "@counterflow/ops"
import { gradCheck, toFloat64 } from "@counterflow/testing"
import { describe, expect, test } from "vitest"
import { feed, nestOf, nests } from "./control-nests.ts"

type Values = number[][]

/** Values on a backend; what every pass of the compiler makes of the program is checked. */
function run(
  program: Program,
  fetch: readonly string[],
  backend: Backend = cpu(),
  off: readonly PassName[] = [],
): Values {
  const passes = { off, observe: (_name: PassName | "bind", bound: BoundProgram) => verifyBound(bound) }
  const executor = new Executor(backend, { legalize, passes })
  const values = executor.runSync(program, { feed, fetch }).map(({ data }) => Array.from(data, Number))
  executor.close()
  return values
}

function expectClose(found: Values, expected: Values, digits: number): void {
  found.flat().forEach((value, i) => expect(value).toBeCloseTo(expected.flat()[i]!, digits))
}

type Nest = ReturnType<typeof nestOf>

/** Names of the gradients of a nest, and of those of the sum of their squares; zeros where there are none. */
function differentiate({ main, x, w, y }: Nest): string[] {
  const of = (target: Variable) =>
    gradients(target, [x, w]).map((found) => found ?? fillConstant({ shape: [2], value: 0, program: main }))
  const first = of(y)
  const second = of(first.map((gradient) => reduceSum(square(gradient))).reduce((a, b) => add(a, b)))
  verify(main)
  return [...first, ...second].map(({ name }) => name)
}

// A machine may be busy with other tests.
describe("random nests", { timeout: 30_000 }, () => {
  test("hold what they are to show", () => {
    const kinds = JSON.stringify(nests).match(/"kind":"(cond|scan|while)"/g) ?? []
    const count = (kind: string) => kinds.filter((each) => each.includes(kind)).length
    expect(Math.min(count("cond"), count("scan"), count("while"))).toBeGreaterThan(15)
  })

  for (const [index, list] of nests.entries()) {
    test(`nest ${index}`, async () => {
      const [nest, plain] = [nestOf(list, "limited"), nestOf(list, "written out")]
      verify(nest.main)
      expect(run(nest.main, [nest.y.name])).toEqual(run(plain.main, [plain.y.name]))

      const [names, plainNames] = [differentiate(nest), differentiate(plain)]
      const exact = run(toFloat64(nest.main), names)
      expectClose(exact, run(toFloat64(plain.main), plainNames), 9)
      expectClose(run(nest.main, [nest.y.name, ...names], wasm()), run(nest.main, [nest.y.name, ...names]), 3)
      expectClose(run(toFloat64(nest.main), names, wasm()), exact, 9)
      const off = passNames[index % passNames.length]!
      expectClose(run(toFloat64(nest.main), names, wasm(), [off]), exact, 9)
      const text = String(nest.main)
      expect(String(resolve(parseProgram(text), registry))).toBe(text)

      const { main, y } = nestOf(list, "limited")
      const wrt = ["x", "w"].filter((name) => gradients(y, main.globalBlock().var(name))[0] !== null)
      if (wrt.length === 0) return
      const report = await gradCheck(main, { targets: [y], wrt, feed, order: index % 4 === 0 ? 2 : 1 })
      expect(report.toString()).toContain(": ok")
    })
  }

  const withLoops = [...nests.entries()].filter(([, list]) => JSON.stringify(list).includes('"while"'))
  for (const [at, [index, list]] of withLoops.filter((_, place) => place % 2 === 0).entries()) {
    const form = at % 2 === 0 ? "open" : "mixed"
    test(`nest ${index}, ${form}: whether stacks are planned or lie on the tape changes no bit`, () => {
      const [found, limited] = ([form, "limited"] as const).map((each) => {
        const nest = nestOf(list, each)
        const names = [nest.y.name, ...differentiate(nest)]
        return [cpu(), wasm()].map((backend) => run(nest.main, names, backend))
      })
      expect(found).toEqual(limited)
    })
  }
})
