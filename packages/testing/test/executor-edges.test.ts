// Corners of the driver: what a run needs and does not need, closed things, state that takes other state's value.
import { Executor } from "@counterflow/executor"
import { Program, programGuard, type Variable } from "@counterflow/ir"
import { cpu } from "@counterflow/kernels-cpu"
import { data } from "@counterflow/layers"
import { add, legalize, mul, write } from "@counterflow/ops"
import { describe, expect, test } from "vitest"

function build<T>(body: (state: (name: string, initialValue: number) => Variable) => T): { main: Program; made: T } {
  const main = new Program()
  const state = (name: string, initialValue: number) =>
    main.globalBlock().createVar({ name, shape: [2], dtype: "float32", persistable: true, initialValue })
  return { main, made: programGuard(main, () => body(state)) }
}

const executor = () => new Executor(cpu(), { legalize })

describe("what a run needs", () => {
  test("a fetched data variable must be fed, and comes back as it is", () => {
    const { main, made } = build(() => data({ name: "x", shape: [3] }))
    expect(() => executor().runSync(main, { fetch: [made] })).toThrow("CF_FEED_MISSING")
    const [x] = executor().runSync(main, { feed: { x: [1, 2, 3] }, fetch: [made] })
    expect(x?.toArray()).toEqual([[1, 2, 3]])
  })

  test("a known feed that nothing needs is allowed and still gives sizes", () => {
    const { main, made } = build(() => {
      data({ name: "x", shape: [3] })
      return mul(data({ name: "y", shape: [1] }), 2)
    })
    const [z] = executor().runSync(main, { feed: { x: new Float32Array(6), y: [1, 2] }, fetch: [made] })
    expect(z?.toArray()).toEqual([[2], [4]])
    expect(() => executor().runSync(main, { feed: { x: new Float32Array(9), y: [1, 2] }, fetch: [made] })).toThrow(
      "it takes 3 elements with batch = 3 as the other feeds say, got 2",
    )
  })
})

describe("state", () => {
  test("two states that swap values: commits do not depend on their order", () => {
    const { main } = build((state) => {
      const [a, b] = [state("a", 1), state("b", 2)]
      write(a, b)
      write(b, a)
    })
    const exe = executor()
    exe.runSync(main)
    expect([exe.scope.get("a").toArray(), exe.scope.get("b").toArray()]).toEqual([
      [2, 2],
      [1, 1],
    ])
    exe.runSync(main)
    expect(exe.scope.get("a").toArray()).toEqual([1, 1])
  })

  test("a reader after the update still sees the value at the start of the step; a fetch sees the committed one", () => {
    const { main, made } = build((state) => {
      const a = state("a", 1)
      const next = write(a, add(a, 1))
      return { a, next, later: mul(a, 10) }
    })
    const [a, next, later] = executor().runSync(main, { fetch: [made.a, made.next, made.later] })
    expect([a?.toArray(), next?.toArray(), later?.toArray()]).toEqual([
      [2, 2],
      [2, 2],
      [10, 10],
    ])
  })
})

describe("closed things", () => {
  test("a closed step and a closed executor say so", async () => {
    const { main } = build((state) => {
      const a = state("a", 1)
      write(a, add(a, 1))
    })
    const exe = executor()
    const step = await exe.compile(main)
    step.runSync()
    step.close()
    expect(() => step.runSync()).toThrow("CF_CLOSED")
    exe.runSync(main)
    expect(exe.scope.get("a").toArray()).toEqual([3, 3])
    exe.close()
    expect(() => exe.runSync(main)).toThrow("CF_CLOSED")
    await expect(exe.run(main)).rejects.toThrow("CF_CLOSED")
  })
})
