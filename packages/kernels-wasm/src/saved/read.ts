// Reads a file of compiled steps and trusts nothing: every name, size, place and range is checked before it is used. What a
// module does is not checked: it can touch its own memory and nothing else.

import { type DType, fail, isDType } from "@counterflow/ir"
import { decodeText } from "../host.ts"
import { storageOf } from "../memory.ts"
import type { OperatorTrace } from "../running.ts"
import { magic, prefixBytes, type Range, type SavedState, type SavedStep, type SavedVar, version } from "./format.ts"

export interface SavedFile {
  readonly relaxed: boolean
  readonly states: readonly SavedState[]
  readonly steps: readonly SavedStep[]
  section(range: Range): Uint8Array<ArrayBuffer>
}

type Json = Readonly<Record<string, unknown>>

export function damaged(why: string, cause?: unknown): never {
  return fail("CF_BAD_FILE", why, { op: "loadSteps", fix: "fetch the file again, or save the steps anew", cause })
}

/** CF_BAD_FILE for what is no such file, or only part of one; CF_NEWER_VERSION for one of a later version. */
export function readSteps(bytes: Uint8Array): SavedFile {
  if (bytes.length < prefixBytes || magic.some((byte, i) => bytes[i] !== byte))
    damaged("the bytes do not begin like a file of compiled steps")
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const found = view.getUint32(8, true)
  if (found > version) {
    fail("CF_NEWER_VERSION", `the steps were saved in version ${found} of the format, this package reads ${version}`, {
      op: "loadSteps",
      fix: "update counterflow, or save the steps with the version that loads them",
    })
  }
  if (found < 1) damaged("it names version 0 of the format, which there never was")
  const start = prefixBytes + view.getUint32(12, true)
  if (start > bytes.length) damaged(`it ends after ${bytes.length} bytes, inside its header of ${start}`)
  const held = bytes.length - start
  const header = objectOf(parse(bytes.subarray(prefixBytes, start)), "the header")
  const states = listOf(header["states"], "states").map((state, i) => readState(state, `states[${i}]`, held))
  const names = new Set(states.map(({ name }) => name))
  const steps = listOf(header["steps"], "steps").map((step, i) => readStep(step, `steps[${i}]`, held, names))
  return {
    relaxed: header["relaxed"] === true,
    states,
    steps,
    section: ([from, length]) => bytes.slice(start + from, start + from + length) as Uint8Array<ArrayBuffer>,
  }
}

function parse(text: Uint8Array): unknown {
  try {
    return JSON.parse(decodeText(text))
  } catch (cause) {
    return damaged("its header is no JSON", cause)
  }
}

function readState(json: unknown, path: string, held: number): SavedState {
  const state = objectOf(json, path)
  const tensor = readTensor(state, path)
  const { values, fill } = state
  const address = countOf(state["address"], `${path}.address`)
  if (fill !== undefined) return { ...tensor, address, fill: textOf(fill, `${path}.fill`) }
  if (values === undefined) return { ...tensor, address }
  const range = rangeOf(values, `${path}.values`, held)
  const expected = bytesOf(tensor)
  if (range[1] !== expected) damaged(`${path}.values has ${range[1]} bytes, and ${tensor.name} takes ${expected}`)
  return { ...tensor, address, values: range }
}

function readStep(json: unknown, path: string, held: number, states: ReadonlySet<string>): SavedStep {
  const step = objectOf(json, path)
  const count = (key: string) => countOf(step[key], `${path}.${key}`)
  const arenaBytes = count("arenaBytes")
  const vars = listOf(step["vars"], `${path}.vars`).map((item, i, all) =>
    readVar(item, `${path}.vars[${i}]`, { arenaBytes, states, count: all.length }),
  )
  vars.forEach(({ state }, i) => {
    if (state !== undefined && vars[state]?.kind !== "state") damaged(`${path}.vars[${i}].state is no state`)
  })
  const idOf = (item: unknown, where: string, needs: (variable: SavedVar) => boolean): number => {
    const id = countOf(item, where)
    const variable = vars[id]
    return variable !== undefined && needs(variable) ? id : damaged(`${where} is ${id}, which is no such variable`)
  }
  const ids = (key: string, needs: (variable: SavedVar) => boolean) =>
    listOf(step[key], `${path}.${key}`).map((item, i) => idOf(item, `${path}.${key}[${i}]`, needs))
  const isState = ({ kind }: SavedVar) => kind === "state"
  const isPlaced = ({ offset, state, kind }: SavedVar) =>
    offset !== undefined || state !== undefined || kind === "state"
  return {
    name: textOf(step["name"], `${path}.name`),
    module: rangeOf(step["module"], `${path}.module`, held),
    vars,
    feeds: ids("feeds", ({ kind, offset }) => kind === "data" && offset !== undefined),
    fetches: ids("fetches", isPlaced),
    states: ids("states", isState),
    reads: ids("reads", isState),
    writes: ids("writes", isState),
    commits: listOf(step["commits"], `${path}.commits`).map((item, i) => {
      const where = `${path}.commits[${i}]`
      const [state, value] = listOf(item, where)
      const pair = [idOf(state, where, isState), idOf(value, where, isPlaced)] as const
      const [to, from] = [vars[pair[0]], vars[pair[1]]]
      const fits = to?.dtype === from?.dtype && to?.shape.join() === from?.shape.join()
      return fits ? pair : damaged(`${where} gives a state a value of another type`)
    }),
    peakBytes: count("peakBytes"),
    arenaBytes,
    parameterBytes: count("parameterBytes"),
    stateBytes: count("stateBytes"),
    bytesPerTrip: count("bytesPerTrip"),
    flops: count("flops"),
    mayBeEndless: step["mayBeEndless"] === true,
    traces: listOf(step["traces"], `${path}.traces`).map((item, i) => readTrace(item, `${path}.traces[${i}]`)),
  }
}

function readVar(
  json: unknown,
  path: string,
  { arenaBytes, states, count }: { arenaBytes: number; states: ReadonlySet<string>; count: number },
): SavedVar {
  const variable = objectOf(json, path)
  const tensor = readTensor(variable, path)
  const { kind, offset, state } = variable
  if (kind === "state" && !states.has(tensor.name)) damaged(`${path} is no state of the file`)
  if (kind !== "data" && kind !== "state" && kind !== "value") return damaged(`${path}.kind is ${JSON.stringify(kind)}`)
  if (offset !== undefined) {
    const start = countOf(offset, `${path}.offset`)
    const isAligned = start % storageOf[tensor.dtype].BYTES_PER_ELEMENT === 0
    if (!isAligned || start + bytesOf(tensor) > arenaBytes) damaged(`${path} lies outside the arena`)
    return { ...tensor, kind, offset: start }
  }
  if (state === undefined) return { ...tensor, kind }
  const shared = countOf(state, `${path}.state`)
  return shared < count ? { ...tensor, kind, state: shared } : damaged(`${path}.state is no variable`)
}

function readTrace(json: unknown, path: string): readonly [number, OperatorTrace] {
  const [number, trace] = listOf(json, path)
  const { op, where, notes } = objectOf(trace, path)
  return [
    countOf(number, path),
    {
      op: textOf(op, `${path}.op`),
      where: textOf(where, `${path}.where`),
      notes: listOf(notes, `${path}.notes`).map((note) => textOf(note, `${path}.notes`)),
    },
  ]
}

function readTensor(json: Json, path: string): { name: string; dtype: DType; shape: number[] } {
  const { dtype } = json
  if (!isDType(dtype)) return damaged(`${path}.dtype is ${JSON.stringify(dtype)}`)
  const shape = listOf(json["shape"], `${path}.shape`).map((size) => countOf(size, `${path}.shape`))
  if (!Number.isSafeInteger(elementsOf(shape) * 8)) damaged(`${path}.shape holds more than can be counted`)
  return { name: textOf(json["name"], `${path}.name`), dtype, shape }
}

export function elementsOf(shape: readonly number[]): number {
  return shape.reduce((product, size) => product * size, 1)
}

function bytesOf({ dtype, shape }: { dtype: DType; shape: readonly number[] }): number {
  return elementsOf(shape) * storageOf[dtype].BYTES_PER_ELEMENT
}

function rangeOf(json: unknown, path: string, held: number): Range {
  const [from, length] = listOf(json, path)
  const range = [countOf(from, path), countOf(length, path)] as const
  return range[0] + range[1] <= held
    ? range
    : damaged(`it ends after ${held} bytes of data, and ${path} reaches to ${range[0] + range[1]}`)
}

function objectOf(json: unknown, path: string): Json {
  return typeof json === "object" && json !== null && !Array.isArray(json)
    ? (json as Json)
    : damaged(`${path} is no object`)
}

function listOf(json: unknown, path: string): readonly unknown[] {
  return Array.isArray(json) ? json : damaged(`${path} is no list`)
}

function textOf(json: unknown, path: string): string {
  return typeof json === "string" ? json : damaged(`${path} is no text`)
}

function countOf(json: unknown, path: string): number {
  return typeof json === "number" && Number.isSafeInteger(json) && json >= 0
    ? json
    : damaged(`${path} is no whole number from 0`)
}
