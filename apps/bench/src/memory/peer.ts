// A GPT that takes its memory: one step of its training with all values kept, and with some computed again in the backward part.

import { Executor, type optim, type Variable, wasm } from "counterflow"
import { type GptSizes, gptTraining, withMask } from "../counterflow/gpt.ts"
import type { Job, Peer } from "../protocol.ts"
import { memory } from "../workloads.ts"

const sizes: GptSizes = { vocabulary: 256, length: 256, width: 256, heads: 8, blocks: 12 }
const batch = 8

/** What is kept, by name: everything, what lies between the blocks, what pays, and what fits. */
export const ways: Readonly<Record<string, (between: readonly Variable[]) => optim.MinimizeOptions>> = {
  "everything kept": () => ({}),
  "checkpoints between blocks": (between) => ({ checkpoints: between }),
  "recompute: auto": () => ({ recompute: "auto" }),
  "recompute: 300 MB": () => ({ recompute: { budgetBytes: 300e6, symbols: { batch } } }),
}

export default function start(way: string): Peer {
  return { version: `counterflow 0.0.0, ${way}`, workloads: { [memory]: () => memoryJob(way, sizes, batch) } }
}

export function memoryJob(way: string, sizes: GptSizes, batch: number): Job {
  const options = ways[way]
  if (options === undefined) throw new Error(`there is no way "${way}"; there is ${Object.keys(ways).join(", ")}`)
  const { main, startup, result } = gptTraining(sizes, options)
  const executor = new Executor(wasm())
  startup.randomSeed = 1
  executor.runSync(startup)
  const noWeights = (name: string): never => {
    throw new Error(`${name} is drawn by the startup program`)
  }
  executor.scope.set("mask", withMask(noWeights, sizes.length)("mask"))
  const shape = [batch, sizes.length]
  const step = executor.compileSync(main, { feed: { tokens: shape, label: shape }, fetch: [result] })
  const tokens = Int32Array.from({ length: batch * sizes.length }, (_, i) => (i * 7 + (i >> 3)) % sizes.vocabulary)
  const feed = { tokens, label: tokens.map((token) => (token + 7) % sizes.vocabulary) }
  const loss = new Float32Array(1)
  const run = () => {
    step.runSync(feed, { into: [loss] })
  }
  run()
  // All that Adam keeps of the gradients is in its state.
  const state = executor.scope.names().map((name) => executor.scope.get(name).data)
  return { step: run, check: fingerprint([loss, ...state]), peakBytes: step.memory.peakBytes }
}

/** FNV-1a over the bits. */
function fingerprint(arrays: readonly ArrayBufferView[]): number {
  let hash = 0x811c9dc5
  for (const { buffer, byteOffset, byteLength } of arrays) {
    for (const byte of new Uint8Array(buffer, byteOffset, byteLength)) hash = Math.imul(hash ^ byte, 0x01000193)
  }
  return hash >>> 0
}
