// The programs that train the MLP for one step, each a process of its own.

import { join } from "node:path"
import { buildFolder, ownModule, peersFolder } from "../folders.ts"
import { oneThread, python } from "../peers.ts"

export interface ColdProgram {
  readonly name: string
  readonly file: string
  readonly program: string
  /** Run as it stands, with its packages beside it. */
  readonly runsAsIs: boolean
  /** What a browser must load beside the bundle; null for what is not bundled. */
  readonly beside: readonly string[] | null
  readonly env?: Readonly<Record<string, string>>
  /** Makes what is beside the bundle, before anything is measured. */
  readonly prepare?: () => Promise<void>
}

const wasmFolder = join(peersFolder, "node_modules", "@tensorflow", "tfjs-backend-wasm", "dist")
const wasmFile = join(wasmFolder, "tfjs-backend-wasm-simd.wasm")
const wasmEnv = { TFJS_WASM: wasmFolder }

const stepsFile = join(buildFolder, "cold", "steps.bin")

function script(name: string, rest: Partial<ColdProgram> = {}): ColdProgram {
  return {
    name,
    file: join(peersFolder, "cold", `${name}.mjs`),
    program: process.execPath,
    runsAsIs: true,
    beside: [],
    ...rest,
  }
}

export const programs: readonly ColdProgram[] = [
  script("counterflow", { file: ownModule("cold/counterflow") }),
  script("counterflow-saved", {
    file: ownModule("cold/saved"),
    beside: [stepsFile],
    env: { COUNTERFLOW_STEPS: stepsFile },
    prepare: async () => (await import("./steps.ts")).writeSteps(stepsFile),
  }),
  // The parts of TensorFlow.js are modules written for bundlers, which Node does not load as they stand.
  script("tfjs-cpu", { runsAsIs: false }),
  script("tfjs-wasm", { runsAsIs: false, beside: [wasmFile], env: wasmEnv }),
  script("tfjs-full-cpu"),
  script("tfjs-full-wasm", { beside: [wasmFile], env: wasmEnv }),
  script("jax-wasm"),
  // The file cannot be called torch.py: it would be what it imports.
  script("torch", {
    file: join(peersFolder, "cold", "pytorch.py"),
    program: python,
    beside: null,
    env: oneThread,
  }),
  script("empty", { beside: null }),
]
