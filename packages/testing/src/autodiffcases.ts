// The conformance of autodiff on a backend: the table of numbers, and the programs whose structure is part of the contract.

import { appendBackward } from "@counterflow/autodiff"
import { type Backend, Executor } from "@counterflow/executor"
import { fail, Program, programGuard, type Variable, verify } from "@counterflow/ir"
import { cpu } from "@counterflow/kernels-cpu"
import { batchNorm, data, embedding, fc } from "@counterflow/layers"
import { add, cast, concat, legalize, mean, mul, relu, sigmoid, square, sum, tanh } from "@counterflow/ops"
import { input, parameter, table, type TableRow } from "./autodifftable.ts"
import { type Case, check, checkClose, checkEqual } from "./case.ts"
import { gradCheck } from "./gradcheck.ts"

/** Every row of the conformance table of autodiff, run on a backend (kernels-cpu unless said). */
export function autodiffCases(makeBackend: () => Backend = cpu): Case[] {
  return [...table.map((row) => numberCase(row, makeBackend)), ...programCases(makeBackend)]
}

function numberCase({ name, build }: TableRow, makeBackend: () => Backend): Case {
  return {
    name,
    run: async () => {
      const program = new Program()
      const { feed, expected } = programGuard(program, () => build(program))
      verify(program)
      const executor = new Executor(makeBackend(), { legalize })
      const values = await executor.run(program, { feed, fetch: expected.map(([variable]) => variable) })
      executor.close()
      expected.forEach(([variable, numbers], at) => {
        const { shape = [], data = [], dtype = "" } = values[at] ?? {}
        checkClose({ data, shape, dtype }, { data: numbers, shape, dtype }, 1e-6, `${name}: ${variable.name}`)
      })
    },
  }
}

function programCases(makeBackend: () => Backend): Case[] {
  return [
    { name: "x·x inside one operator: one sum of two partial gradients", run: oneSum },
    { name: "fan-out of 3 agrees with differences", run: () => fanOut(makeBackend()) },
    { name: "a table used 3 times, one of them off the path", run: () => sharedTable(makeBackend()) },
    { name: "noGradSet with an embedding's output", run: noEmbedding },
    { name: "noGradSet with a bias", run: () => noBias(makeBackend()) },
    { name: "stopGradient on a hidden variable", run: stopped },
    { name: "the same loss twice", run: () => twice(makeBackend()) },
    { name: "a chain of integers has no gradient operators", run: integers },
    { name: "running statistics receive no gradient", run: runningStatistics },
  ]
}

function built<T>(body: (program: Program, startup: Program) => T): T & { main: Program; startup: Program } {
  const [main, startup] = [new Program(), new Program()]
  const result = { ...programGuard(main, startup, () => body(main, startup)), main, startup }
  verify(main)
  return result
}

/** The types of the backward operators that came from an operator of this type. */
function backwardOf(program: Program, type: string): string[] {
  return [...program.operators()]
    .filter((op) => op.role === "backward" && op.derivedFrom?.type === type)
    .map((op) => op.type)
}

function checkNames(pairs: readonly [Variable, Variable][], expected: readonly string[]): void {
  const names = pairs.map(([variable]) => variable.name)
  check(names.join() === expected.join(), () => `the pairs are of ${names.join(", ")}, expected ${expected.join(", ")}`)
  for (const [variable, gradient] of pairs) {
    check(gradient.gradientOf === variable, () => `${gradient.name} is not linked to ${variable.name}`)
  }
}

async function oneSum(): Promise<void> {
  const { main } = built((program) => {
    const x = parameter(program, "x", [2], 3)
    return { pairs: appendBackward(mean(mul(x, x))) }
  })
  const sums = [...main.operators()].filter((op) => op.role === "backward" && op.type === "sum")
  check(
    sums.length === 1 && sums[0]?.inputList().length === 2,
    () => `expected one sum of two parts in\n${main.toString()}`,
  )
}

async function fanOut(backend: Backend): Promise<void> {
  const { main, loss } = built((program) => {
    const w = parameter(program, "w", [3], 0.3)
    return { loss: mean(sum([relu(w), sigmoid(w), tanh(w)])) }
  })
  const report = await gradCheck(main, { loss, wrt: ["w"], order: 2, backend })
  check(report.ok, () => report.toString())
}

/** Three look-ups in one table; the last does not reach the loss. */
function lookups() {
  return built(() => {
    const ids = ["a", "b", "c"].map((name) => data({ name, shape: [1], dtype: "int64" }))
    const found = ids.map((id) => embedding(id, { size: [5, 2], paramAttr: { name: "table" } }))
    const [one, two, three] = found
    if (one === undefined || two === undefined || three === undefined)
      return fail("CF_INTERNAL", "there are three look-ups")
    const joined = concat([one, two], { axis: 2 })
    const predict = fc(joined, { size: 1, numFlattenDims: 2 })
    return { loss: mean(square(predict)), joined, unused: mean(three), found }
  })
}

async function sharedTable(backend: Backend): Promise<void> {
  const { main, startup, loss, found } = lookups()
  const feed = { a: [0, 2], b: [2, 4], c: [1, 1] }
  const report = await gradCheck(main, { loss, wrt: ["table"], feed, startup, order: 2, backend })
  check(report.ok, () => report.toString())
  const pairs = appendBackward(loss)
  verify(main)
  checkNames(pairs, ["table", "fc_0.w_0", "fc_0.b_0"])
  const reached = new Set([...main.operators()].filter((op) => op.role === "backward").map((op) => op.derivedFrom))
  check(
    !reached.has(found[2]?.producer ?? null),
    () => "the look-up that does not reach the loss has gradient operators",
  )
  const parts = [...main.operators()].find((op) => op.outputList().includes(pairs[0]?.[1] ?? loss))
  check(
    parts?.type === "sum" && parts.inputList().length === 2,
    () => `the table's gradient must be a sum of two, got ${String(parts)}`,
  )
  const executor = new Executor(backend, { legalize })
  await executor.run(startup)
  const [gradient] = await executor.run(main, { feed, fetch: [pairs[0]?.[1] ?? loss] })
  executor.close()
  const rows = [0, 1, 2, 3, 4].map((row) => [0, 1].some((column) => Number(gradient?.data[2 * row + column]) !== 0))
  check(
    rows.join() === "true,false,true,false,true",
    () => `only the rows looked up have a gradient, got ${String(gradient)}`,
  )
}

async function noEmbedding(): Promise<void> {
  const { main, loss, found } = lookups()
  checkNames(appendBackward(loss, { noGradSet: found }), ["fc_0.w_0", "fc_0.b_0"])
  const left = backwardOf(main, "embedding")
  check(left.length === 0, () => `there are gradient operators of the embedding: ${left.join(", ")}`)
}

async function noBias(backend: Backend): Promise<void> {
  const values = async (noGradSet: string[]) => {
    const { main, startup, loss } = lookups()
    const pairs = appendBackward(loss, { noGradSet })
    checkNames(pairs, noGradSet.length === 0 ? ["table", "fc_0.w_0", "fc_0.b_0"] : ["table", "fc_0.w_0"])
    const executor = new Executor(backend, { legalize })
    await executor.run(startup)
    const fetch = pairs.slice(0, 2).map(([, gradient]) => gradient)
    const found = await executor.run(main, { feed: { a: [0, 2], b: [2, 4] }, fetch })
    executor.close()
    return found
  }
  const [all, without] = [await values([]), await values(["fc_0.b_0"])]
  all.forEach((value, at) =>
    checkEqual(without[at] ?? { data: [], shape: [], dtype: "" }, value, "gradient without the bias"),
  )
}

async function stopped(): Promise<void> {
  const { main, pairs } = built(() => {
    const hidden = fc(data({ name: "x", shape: [3] }), { size: 4, act: "tanh" })
    hidden.stopGradient = true
    return { pairs: appendBackward(mean(fc(hidden, { size: 1 }))) }
  })
  checkNames(pairs, ["fc_1.w_0", "fc_1.b_0"])
  const upstream = backwardOf(main, "tanh")
  check(upstream.length === 0, () => `there are gradient operators above the stop: ${upstream.join(", ")}`)
}

async function twice(backend: Backend): Promise<void> {
  const { main, startup, first, second } = built(() => {
    const loss = mean(square(fc(data({ name: "x", shape: [3] }), { size: 2 })))
    return { first: appendBackward(loss), second: appendBackward(loss) }
  })
  const names = (pairs: typeof first) => pairs.map(([, { name }]) => name)
  checkNames(
    second,
    first.map(([{ name }]) => name),
  )
  check(
    names(first).every((name) => !names(second).includes(name)),
    () => "the two calls share gradients",
  )
  const executor = new Executor(backend, { legalize })
  await executor.run(startup)
  const values = await executor.run(main, { feed: { x: [1, 2, 3] }, fetch: [...names(first), ...names(second)] })
  executor.close()
  first.forEach((_, at) => {
    const [one, two] = [values[at], values[first.length + at]]
    check(one !== undefined && two !== undefined, () => "a gradient was not answered")
    checkEqual(two, one, `gradient ${at} of the second call`)
  })
}

async function integers(): Promise<void> {
  const { main, pairs } = built((program) => {
    const w = parameter(program, "w", [2], 1.5)
    const counts = cast(cast(w, { dtype: "int32" }), { dtype: "float32" })
    const label = cast(data({ name: "label", shape: [2], dtype: "int64", appendBatchSize: false }), {
      dtype: "float32",
    })
    return { pairs: appendBackward(mean(mul(add(w, counts), label))) }
  })
  checkNames(pairs, ["w"])
  const casts = backwardOf(main, "cast")
  check(casts.length === 0, () => `there are gradient operators of a cast from or to integers: ${casts.join(", ")}`)
}

async function runningStatistics(): Promise<void> {
  const { main, pairs, x } = built((program) => {
    const x = input(program, "x", [4, 3])
    const loss = mean(square(batchNorm(x)))
    const parts = ["w_0", "b_0", "w_1", "w_2"].map((part) => `batch_norm_0.${part}`)
    return { x, pairs: appendBackward(loss, { parameterList: [x, ...parts] }) }
  })
  checkNames(pairs, [x.name, "batch_norm_0.w_0", "batch_norm_0.b_0"])
  const statistics = ["batch_norm_0.w_1", "batch_norm_0.w_2"].map((name) => main.globalBlock().var(name))
  const owed = [...main.variables.values()].filter(
    ({ gradientOf }) => gradientOf !== null && statistics.includes(gradientOf),
  )
  check(owed.length === 0, () => `running statistics have gradients: ${owed.join(", ")}`)
}
