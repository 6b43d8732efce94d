// What a worker runs, as text: a file of its own would have to be found by every bundler and server. It is plain JavaScript for
// Node and browsers alike, and does no more than hand modules to instances and wait where no instance does.

import { words } from "./words.ts"

const at = (address: number) => address / Int32Array.BYTES_PER_ELEMENT

/** To a worker, in order. `lead`: answer messages only, and run whole steps when told to; else help whoever runs one. */
export type ToWorker =
  | { readonly kind: "begin"; readonly memory: object; readonly lead: boolean }
  | { readonly kind: "load"; readonly plan: number; readonly module: object }
  | { readonly kind: "drop"; readonly plan: number }
  | {
      readonly kind: "run"
      readonly plan: number
      readonly arena: number
      readonly timeBudget: number
      /** Not 0: the step is to end. */
      readonly word: Int32Array | undefined
    }

/** From the worker that leads. `error` is there if the step broke off. */
export type FromWorker =
  | { readonly kind: "ready"; readonly plan: number }
  | { readonly kind: "ran"; readonly failed: number; readonly error?: string }

export const script = `"use strict"
const node = globalThis.process?.getBuiltinModule?.("node:worker_threads")?.parentPort
const port = node ?? self
const plans = new Map()
let memory, control, lead = false, received = 0
let end = Infinity, word

function receive(message) {
  received++
  switch (message.kind) {
    case "begin":
      ({ memory, lead } = message)
      control = new Int32Array(memory.buffer)
      break
    case "load": {
      const imports = { host: { memory, refuel, call() { throw new Error("a step in a worker calls out") } } }
      plans.set(message.plan, new WebAssembly.Instance(message.module, imports).exports)
      if (lead) port.postMessage({ kind: "ready", plan: message.plan })
      break
    }
    case "drop":
      plans.delete(message.plan)
      break
    case "run":
      run(message)
  }
  if (!lead) help()
}

function refuel() {
  const isOver = performance.now() > end || Atomics.load(control, ${at(words.isAborted)}) !== 0
  return isOver || (word !== undefined && Atomics.load(word, 0) !== 0) ? 0 : 256
}

function run({ plan, arena, timeBudget, word: given }) {
  end = performance.now() + timeBudget
  word = given
  Atomics.store(control, ${at(words.plan)}, plan)
  Atomics.store(control, ${at(words.arena)}, arena)
  Atomics.store(control, ${at(words.hasHelp)}, 1)
  try {
    port.postMessage({ kind: "ran", failed: plans.get(plan).step(arena) })
  } catch (error) {
    port.postMessage({ kind: "ran", failed: 0, error: String(error) })
  }
}

function help() {
  for (;;) {
    const seen = Atomics.load(control, ${at(words.signal)})
    if (Atomics.load(control, ${at(words.mail)}) !== received) return
    const plan = Atomics.load(control, ${at(words.plan)})
    const instance = plans.get(plan)
    if (instance === undefined) {
      Atomics.add(control, ${at(words.sleepers)}, 1)
      Atomics.wait(control, ${at(words.signal)}, seen)
      Atomics.sub(control, ${at(words.sleepers)}, 1)
    } else {
      try {
        instance.help(plan, received)
      } catch {
        Atomics.store(control, ${at(words.isBroken)}, 1)
        Atomics.add(control, ${at(words.done)}, 1)
        Atomics.notify(control, ${at(words.done)})
      }
    }
  }
}

if (node) node.on("message", receive)
else self.onmessage = ({ data }) => receive(data)
`
