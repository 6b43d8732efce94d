// Draws the data and the initial weights, and keeps them as raw little-endian files (float32; int32 for integers), which the
// peers read in whatever language they are written in. index.json beside them holds the shapes.

import { mkdirSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { arrays, type ArraySpec, type Draw } from "./sizes.ts"

export interface Values {
  readonly data: Float32Array | Int32Array
  readonly shape: readonly number[]
}

/** Arrays by name. */
export type Source = (name: string) => Values

/** Tommy Ettinger's Mulberry32: uniform in [0, 1), 32 bits of state. */
function mulberry32(seed: number): () => number {
  let state = seed | 0
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), state | 1)
    t = (t + Math.imul(t ^ (t >>> 7), t | 61)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32
  }
}

/** One array of `elements`, from the stream of this number. */
export function draw(kind: Draw, elements: number, stream: number): Float32Array | Int32Array {
  const next = mulberry32(stream * 7919)
  switch (kind.kind) {
    case "constant":
      return new Float32Array(elements).fill(kind.value)
    case "integers":
      return Int32Array.from({ length: elements }, () => Math.floor(next() * kind.below))
    case "uniform":
      return Float32Array.from({ length: elements }, () => kind.low + (kind.high - kind.low) * next())
  }
}

/** The arrays with their stream numbers, from 1; constants need none. */
export function streams(specs: readonly ArraySpec[]): [ArraySpec, number][] {
  let last = 0
  return specs.map((spec) => [spec, spec.draw.kind === "constant" ? 0 : ++last])
}

/** Draws everything in `specs` into `folder`, unless it is there already. */
export function writeData(folder: string, specs: readonly ArraySpec[] = arrays): void {
  const index = JSON.stringify(Object.fromEntries(specs.map(({ name, ...rest }) => [name, rest])))
  const indexFile = join(folder, "index.json")
  if (textOf(indexFile) === index) return
  mkdirSync(folder, { recursive: true })
  for (const [spec, stream] of streams(specs)) {
    const values = draw(spec.draw, elementsOf(spec.shape), stream)
    writeFileSync(join(folder, `${spec.name}.bin`), new Uint8Array(values.buffer))
  }
  // Last, so that a run that was interrupted draws again.
  writeFileSync(indexFile, index)
}

/** The arrays of a folder that `writeData` filled. */
export function readData(folder: string): Source {
  const index = JSON.parse(readFileSync(join(folder, "index.json"), "utf8")) as Record<string, Omit<ArraySpec, "name">>
  return (name) => {
    const spec = index[name]
    if (spec === undefined) throw new Error(`there is no array ${name}`)
    // A copy, because a typed array wants an aligned start.
    const bytes = Uint8Array.from(readFileSync(join(folder, `${name}.bin`))).buffer
    return { data: spec.draw.kind === "integers" ? new Int32Array(bytes) : new Float32Array(bytes), shape: spec.shape }
  }
}

export function elementsOf(shape: readonly number[]): number {
  return shape.reduce((product, size) => product * size, 1)
}

function textOf(file: string): string | null {
  try {
    return readFileSync(file, "utf8")
  } catch {
    return null
  }
}
