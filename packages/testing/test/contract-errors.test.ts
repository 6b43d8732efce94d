// Bad input to an executor: each is refused before anything runs, with a code, the reason and what to do.

import { Executor } from "@counterflow/executor"
import { parseProgram, Program, type Variable } from "@counterflow/ir"
import { cpu } from "@counterflow/kernels-cpu"
import { data } from "@counterflow/layers"
import { add, cast, legalize, mean, mul, scale, write } from "@counterflow/ops"
import { afterEach, beforeEach, describe, expect, test } from "vitest"
import { build, input, parameter, refusalOf } from "./building.ts"

function example() {
  return build((program) => {
    const image = data({ name: "image", shape: [2, 3] })
    const label = data({ name: "label", shape: [1], dtype: "int64" })
    const flag = data({ name: "flag", shape: [2], dtype: "bool", appendBatchSize: false })
    const count = data({ name: "count", shape: [], dtype: "int32", appendBatchSize: false })
    const w = parameter(program, "weight", [3], { initialValue: 1 })
    const score = mul(mean(image), mean(cast(label, { dtype: "float32" })))
    const hits = mul(mean(cast(flag, { dtype: "float32" })), cast(count, { dtype: "float32" }))
    write(w, add(w, score))
    return { score, hits }
  })
}

const good = { image: new Float32Array(12), label: [1, 2], flag: [true, false], count: 3 }

let executor = new Executor(cpu(), { legalize })
let built = example()
let before: string[] = []

beforeEach(() => {
  executor = new Executor(cpu(), { legalize })
  built = example()
  executor.runSync(built.main, { feed: good })
  before = stateOf()
})

const stateOf = () => [...executor.scope.entries()].map(String)

// Whatever was refused: no state changed, and the next run works.
afterEach(() => {
  if (stateOf().join() !== before.join())
    throw new Error(`a refused call changed the state from ${before.join()} to ${stateOf().join()}`)
  executor.runSync(built.main, { feed: good, fetch: [built.score, built.hits] })
})

const refusedFeed = (feed: object) =>
  refusalOf(() =>
    executor.runSync(built.main, { feed: { ...good, ...feed } as never, fetch: [built.score, built.hits] }),
  )
const refusedFetch = (fetch: unknown) =>
  refusalOf(() => executor.runSync(built.main, { feed: good, fetch: fetch as never }))

describe("feeds: names", () => {
  test("unknown, with the nearest one suggested", () => {
    expect(refusedFeed({ lable: [1, 2] })).toMatchInlineSnapshot(`
      "CounterflowError: CF_FEED_UNKNOWN  the program has no data variable "lable"
        fix: did you mean "label"?"
    `)
    expect(refusedFeed({ somethingElse: [1] })).toMatchInlineSnapshot(`
      "CounterflowError: CF_FEED_UNKNOWN  the program has no data variable "somethingElse"
        fix: its data variables are image, label, flag, count"
    `)
    expect(refusedFeed({ weight: [1, 2, 3] })).toMatchInlineSnapshot(`
      "CounterflowError: CF_FEED_UNKNOWN  the program has no data variable "weight"
        fix: its data variables are image, label, flag, count"
    `)
  })

  test("missing", () => {
    expect(refusedFeed({ label: undefined })).toContain("CF_FEED")
    const { label: _label, ...rest } = good
    expect(refusalOf(() => executor.runSync(built.main, { feed: rest }))).toMatchInlineSnapshot(`
      "CounterflowError: CF_FEED_MISSING  label is needed by this run and was not fed
        fix: feed label; to predict without labels and without training, run main.clone({ forTest: true })"
    `)
  })
})

describe("feeds: shapes", () => {
  test("a length that is no multiple of one sample", () => {
    expect(refusedFeed({ image: new Float32Array(13) })).toMatchInlineSnapshot(`
      "CounterflowError: CF_FEED_SHAPE  the feed of image does not fit: its 13 elements are no multiple of 6, the elements of one batch
          image is float32[batch, 2, 3]"
    `)
    expect(refusedFeed({ flag: [true] })).toMatchInlineSnapshot(`
      "CounterflowError: CF_FEED_SHAPE  the feed of flag does not fit: it takes 2 elements, got 1
          flag is bool[2]"
    `)
    expect(refusedFeed({ count: [1, 2] })).toMatchInlineSnapshot(`
      "CounterflowError: CF_FEED_SHAPE  the feed of count does not fit: it takes 1 elements, got 2
          count is int32[]"
    `)
  })

  test("a rank or size that differs", () => {
    expect(refusedFeed({ image: { data: new Float32Array(12), shape: [4, 3] } })).toMatchInlineSnapshot(`
      "CounterflowError: CF_FEED_SHAPE  image is float32[batch, 2, 3] but was fed [4, 3]: ranks differ
        fix: feed an array of shape [batch, 2, 3]"
    `)
    expect(refusedFeed({ image: { data: new Float32Array(12), shape: [2, 3, 2] } })).toMatchInlineSnapshot(`
      "CounterflowError: CF_FEED_SHAPE  image is float32[batch, 2, 3] but was fed [2, 3, 2]: axis 1 must be 2
        fix: feed an array of shape [batch, 2, 3]"
    `)
    expect(refusedFeed({ image: { data: new Float32Array(12), shape: [3, 2, 3] } })).toMatchInlineSnapshot(`
      "CounterflowError: CF_FEED_SHAPE  the feed of image does not fit: its shape [3, 2, 3] does not fit its 12 elements
          image is float32[batch, 2, 3]"
    `)
    expect(refusedFeed({ image: { data: new Float32Array(12), shape: [2, 2, -3] } })).toMatchInlineSnapshot(`
      "CounterflowError: CF_FEED_SHAPE  the feed of image does not fit: its shape is [2,2,-3]
          image is float32[batch, 2, 3]
        fix: give the shape as a list of sizes"
    `)
  })

  test("batches that disagree", () => {
    expect(refusedFeed({ label: [1, 2, 3] })).toMatchInlineSnapshot(`
      "CounterflowError: CF_FEED_SHAPE  the feed of label does not fit: it takes 2 elements with batch = 2 as the other feeds say, got 3
          label is int64[batch, 1]"
    `)
  })

  test("nested arrays with ragged rows or depths", () => {
    expect(
      refusedFeed({
        image: [
          [
            [1, 2, 3],
            [4, 5],
          ],
        ],
      }),
    ).toMatchInlineSnapshot(`
      "CounterflowError: CF_FEED_SHAPE  the feed of image does not fit: its rows differ in length: 3 and 2
          image is float32[batch, 2, 3]"
    `)
    expect(refusedFeed({ image: [[[1, 2, 3], 4]] })).toMatchInlineSnapshot(`
      "CounterflowError: CF_FEED_SHAPE  the feed of image does not fit: its rows are nested to different depths
          image is float32[batch, 2, 3]"
    `)
  })

  test("what is no data at all", () => {
    expect(refusedFeed({ image: null })).toMatchInlineSnapshot(`
      "CounterflowError: CF_FEED_SHAPE  the feed of image does not fit: it was fed null
          image is float32[batch, 2, 3]
        fix: feed a typed array, an array of numbers, or { data, shape, dtype }"
    `)
    expect(refusedFeed({ image: "zeros" })).toMatchInlineSnapshot(`
      "CounterflowError: CF_FEED_SHAPE  the feed of image does not fit: it was fed the string zeros
          image is float32[batch, 2, 3]
        fix: feed a typed array, an array of numbers, or { data, shape, dtype }"
    `)
    expect(refusedFeed({ image: { values: [1] } })).toMatchInlineSnapshot(`
      "CounterflowError: CF_FEED_SHAPE  the feed of image does not fit: it was fed a Object
          image is float32[batch, 2, 3]
        fix: feed a typed array, an array of numbers, or { data, shape, dtype }"
    `)
    expect(refusedFeed({ image: new DataView(new ArrayBuffer(48)) })).toMatchInlineSnapshot(`
      "CounterflowError: CF_FEED_SHAPE  the feed of image does not fit: it was fed a DataView
          image is float32[batch, 2, 3]
        fix: feed a typed array, an array of numbers, or { data, shape, dtype }"
    `)
    expect(refusedFeed({ image: ["a", ...Array.from({ length: 11 }, () => 1)] })).toMatchInlineSnapshot(`
      "CounterflowError: CF_FEED_SHAPE  the feed of image does not fit: element 0 is the string a, not a number
          image is float32[batch, 2, 3]"
    `)
  })
})

describe("feeds: dtypes", () => {
  test("narrowing is refused, naming cast", () => {
    expect(refusedFeed({ image: new Float64Array(12) })).toMatchInlineSnapshot(`
      "CounterflowError: CF_FEED_DTYPE  image is float32 and was fed float64: that could lose values
        fix: convert the data, or declare image as float64 and use cast(image, { dtype: "float32" })"
    `)
    expect(refusedFeed({ count: new Float32Array([1]) })).toMatchInlineSnapshot(`
      "CounterflowError: CF_FEED_DTYPE  count is int32 and was fed float32: that could lose values
        fix: convert the data, or declare count as float32 and use cast(count, { dtype: "int32" })"
    `)
    expect(refusedFeed({ image: { data: new Float32Array(12), shape: [2, 2, 3], dtype: "float16" } }))
      .toMatchInlineSnapshot(`
      "CounterflowError: CF_FEED_DTYPE  the feed of image says dtype "float16"
        fix: use one of float32, float64, int32, int64, uint8, bool"
    `)
  })

  test("fractions, bigints and large numbers where they do not belong", () => {
    expect(refusedFeed({ count: 1.5 })).toMatchInlineSnapshot(
      `"CounterflowError: CF_FEED_DTYPE  count is int32, but element 0 of its feed is 1.5"`,
    )
    expect(refusedFeed({ count: 2 ** 31 })).toMatchInlineSnapshot(`
      "CounterflowError: CF_INT_RANGE  element 0 of the feed of count is 2147483648, outside -2147483648 … 2147483647
        fix: count is int32"
    `)
    expect(refusedFeed({ flag: [2, 0] })).toMatchInlineSnapshot(`
      "CounterflowError: CF_INT_RANGE  element 0 of the feed of flag is 2, outside 0 … 1
        fix: flag is bool"
    `)
    expect(refusedFeed({ flag: new Uint8Array([7, 0]) })).toMatchInlineSnapshot(`
      "CounterflowError: CF_FEED_SHAPE  the feed of flag does not fit: a bool feed holds 0 and 1 only
          flag is bool[2]"
    `)
    expect(refusedFeed({ image: Array.from({ length: 12 }, () => 1n) })).toMatchInlineSnapshot(`
      "CounterflowError: CF_FEED_DTYPE  image is float32 and was fed a bigint
        fix: convert the data with Number(…)"
    `)
  })

  test("integers beyond 2^53", () => {
    expect(refusedFeed({ label: new BigInt64Array([1n, 2n ** 53n]) })).toMatchInlineSnapshot(`
      "CounterflowError: CF_INT_RANGE  element 1 of the feed of label is 9007199254740992, outside -9007199254740991 … 9007199254740991
        fix: counterflow's int64 holds integers within ±(2^53 − 1)"
    `)
    expect(refusedFeed({ label: [-(2 ** 53), 1] })).toMatchInlineSnapshot(`
      "CounterflowError: CF_INT_RANGE  element 0 of the feed of label is -9007199254740992, outside -9007199254740991 … 9007199254740991
        fix: counterflow's int64 holds integers within ±(2^53 − 1)"
    `)
    expect(refusedFeed({ label: [2n ** 60n, 1n] })).toMatchInlineSnapshot(`
      "CounterflowError: CF_INT_RANGE  element 0 of the feed of label is 1152921504606846976, outside -9007199254740991 … 9007199254740991
        fix: counterflow's int64 holds integers within ±(2^53 − 1)"
    `)
  })

  test("an integer that grew beyond 2^53 on the way is refused when it is fetched", () => {
    const { main, z } = build((program) => ({ z: mul(input(program, "i", [1], "int64"), 1_000_000) }))
    const run = (i: number) => () => executor.runSync(main, { feed: { i: [i] }, fetch: [z] })[0].data[0]
    expect(run(5)()).toBe(5_000_000n)
    expect(refusalOf(run(2 ** 40))).toMatchInlineSnapshot(`
      "CounterflowError: CF_INT_RANGE  mul_0.tmp_0 holds 1099511627776000000, which lies outside ±(2^53 − 1)
        fix: compute in float64, or with smaller integers"
    `)
  })
})

describe("fetches", () => {
  test("unknown names, with the nearest one suggested", () => {
    expect(refusedFetch(["mean_0.tmp_00"])).toMatchInlineSnapshot(`
      "CounterflowError: CF_FETCH_UNKNOWN  the program has no variable "mean_0.tmp_00" to fetch
        fix: did you mean "mean_0.tmp_0"?"
    `)
    expect(refusedFetch(["entirely different"])).toMatchInlineSnapshot(`
      "CounterflowError: CF_FETCH_UNKNOWN  the program has no variable "entirely different" to fetch
        fix: fetch a variable of this program"
    `)
  })

  test("a variable of another program, by name or not at all", () => {
    const { z } = build((program) => ({ z: scale(input(program, "elsewhere"), { scale: 2 }) }))
    expect(refusedFetch([z])).toMatchInlineSnapshot(`
      "CounterflowError: CF_FETCH_UNKNOWN  the program has no variable "scale_0.tmp_0" to fetch
        fix: did you mean "cast_0.tmp_0"?"
    `)
  })

  test("what is neither a name nor a variable", () => {
    expect(refusedFetch("mean_0.tmp_0")).toMatchInlineSnapshot(`
      "CounterflowError: CF_FETCH_UNKNOWN  fetch must be a list, got the string mean_0.tmp_0
        fix: fetch: [loss]"
    `)
    expect(refusedFetch([built.score, 3])).toMatchInlineSnapshot(
      `"CounterflowError: CF_FETCH_UNKNOWN  a fetch must be a Variable or a name, got the number 3"`,
    )
    expect(refusedFetch([null])).toMatchInlineSnapshot(
      `"CounterflowError: CF_FETCH_UNKNOWN  a fetch must be a Variable or a name, got null"`,
    )
  })
})

describe("programs", () => {
  test("what is no program, and one whose ops are not known", () => {
    expect(refusalOf(() => executor.runSync("main" as never))).toMatchInlineSnapshot(
      `"CounterflowError: CF_BAD_ARGUMENT  run: a Program is needed, got the string main"`,
    )
    const read = parseProgram(built.main.toString())
    expect(refusalOf(() => executor.runSync(read, { feed: good }))).toMatchInlineSnapshot(`
      "CounterflowError: CF_UNKNOWN_OP  mean: the record of mean is not attached, so it cannot run
        fix: it was read from a file: call resolve(program, registry), or make the Executor with { registry }"
    `)
  })

  test("an executor with a registry attaches records; an unknown op is named, with the nearest", () => {
    const text = built.main.toString().replaceAll(" mean(", " maen(")
    const other = new Executor(cpu(), {
      legalize,
      registry: { mean: built.main.globalBlock().ops[0]?.record as never },
    })
    expect(refusalOf(() => other.runSync(parseProgram(text), { feed: good }))).toMatchInlineSnapshot(`
      "CounterflowError: CF_UNKNOWN_OP  the registry has no op "maen"
        it assigns mean_0.tmp_0 float32[]
        fix: did you mean "mean"?"
    `)
  })

  test("an empty program runs to nothing", () => {
    expect(executor.runSync(new Program())).toEqual([])
  })
})

describe("state", () => {
  test("of another shape or dtype in another program", () => {
    const clash = (shape: Variable["shape"], dtype: Variable["dtype"]) => {
      const { main, z } = build((program) => {
        const w = program.globalBlock().createVar({ name: "weight", shape, dtype, persistable: true })
        return { z: scale(w, { scale: 2 }) }
      })
      return refusalOf(() => executor.runSync(main, { fetch: [z] }))
    }
    expect(clash([4], "float32")).toMatchInlineSnapshot(`
      "CounterflowError: CF_STATE_MISMATCH  the program has weight as float32[4], the scope holds it as float32[3]
        fix: programs that share an executor share state by name: rename one, or use another executor"
    `)
    expect(clash([3], "float64")).toMatchInlineSnapshot(`
      "CounterflowError: CF_STATE_MISMATCH  the program has weight as float64[3], the scope holds it as float32[3]
        fix: programs that share an executor share state by name: rename one, or use another executor"
    `)
  })

  test("without a value", () => {
    const { main, z } = build((program) => {
      const w = program.globalBlock().createParameter({ name: "fresh", shape: [3], dtype: "float32" })
      return { z: scale(w, { scale: 2 }) }
    })
    expect(refusalOf(() => executor.runSync(main, { fetch: [z] }))).toMatchInlineSnapshot(`
      "CounterflowError: CF_STATE_MISSING  fresh has no value yet
        fix: run the startup program first, or load weights"
    `)
  })

  test("set with a wrong shape, dtype or name, or read under a name that is not there", () => {
    const { scope } = executor
    expect(refusalOf(() => scope.get("wieght"))).toMatchInlineSnapshot(`
      "CounterflowError: CF_UNKNOWN_NAME  scope.get: the scope holds no "wieght"
        fix: did you mean "weight"?"
    `)
    expect(refusalOf(() => scope.set("weight", [1, 2]))).toMatchInlineSnapshot(
      `"CounterflowError: CF_STATE_MISMATCH  scope.set: "weight" is float32[3], got 2 elements"`,
    )
    expect(refusalOf(() => scope.set("weight", { data: [1, 2, 3], shape: [1, 3] }))).toMatchInlineSnapshot(
      `"CounterflowError: CF_STATE_MISMATCH  scope.set: "weight" is float32[3], got [1, 3]"`,
    )
    expect(refusalOf(() => scope.set("weight", new Float64Array(3)))).toMatchInlineSnapshot(`
      "CounterflowError: CF_FEED_DTYPE  weight is float32 and was fed float64: that could lose values
        fix: convert the data, or declare weight as float64 and use cast(weight, { dtype: "float32" })"
    `)
    expect(refusalOf(() => scope.set("unheard", [1, 2]))).toMatchInlineSnapshot(`
      "CounterflowError: CF_BAD_ARGUMENT  scope.set: "unheard" is new, so its shape must be given
        fix: set("unheard", { data, shape, dtype })"
    `)
  })
})

describe("options", () => {
  test("of an executor and of compile", () => {
    expect(refusalOf(() => new Executor(cpu(), { legalize, maxPlans: 0 }))).toMatchInlineSnapshot(
      `"CounterflowError: CF_BAD_ARGUMENT  maxPlans must be a positive integer, got 0"`,
    )
    expect(refusalOf(() => new Executor(cpu(), { legalize, memoryLimit: -1 }))).toMatchInlineSnapshot(
      `"CounterflowError: CF_BAD_ARGUMENT  memoryLimit must be positive, got -1"`,
    )
    expect(refusalOf(() => executor.compileSync(built.main, { feed: { imge: [1, 2, 3] } }))).toMatchInlineSnapshot(`
      "CounterflowError: CF_FEED_UNKNOWN  the program has no data variable "imge"
        fix: did you mean "image"?"
    `)
    expect(refusalOf(() => executor.compileSync(built.main, { feed: { image: 7 as never } }))).toMatchInlineSnapshot(`
      "CounterflowError: CF_FEED_SHAPE  compile: the shape of feed image must be a list of sizes, got 7
        fix: compile(program, { feed: { image: [64, 13] } })"
    `)
  })

  test("of a compiled step", () => {
    const step = executor.compileSync(built.main, {
      feed: { image: [2, 2, 3], label: [2, 1], flag: [2], count: [] },
      fetch: [built.score],
    })
    expect(refusalOf(() => step.runSync({ ...good, image: new Float32Array(18) }))).toMatchInlineSnapshot(`
      "CounterflowError: CF_FEED_SHAPE  the feed of image does not fit: it takes 12 elements, got 18
          image is float32[2, 2, 3]"
    `)
    expect(refusalOf(() => step.runSync({ ...good, extra: [1] }))).toMatchInlineSnapshot(`
      "CounterflowError: CF_FEED_UNKNOWN  the program has no data variable "extra"
        fix: its data variables are image, label, flag, count"
    `)
    expect(refusalOf(() => step.runSync(good, { into: [new Float64Array(1)] }))).toMatchInlineSnapshot(
      `"CounterflowError: CF_BAD_ARGUMENT  step.run: into[0] must be an array of 1 float32 elements for mul_0.tmp_0"`,
    )
    step.close()
    expect(refusalOf(() => step.runSync(good))).toMatchInlineSnapshot(`
      "CounterflowError: CF_CLOSED  the step was closed
        fix: compile it again"
    `)
  })
})
