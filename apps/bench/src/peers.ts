// Who takes part: counterflow on each of its backends, and the peers.

import { join } from "node:path"
import { backends } from "./counterflow/peer.ts"
import { buildFolder, ownModule, peersFolder } from "./folders.ts"
import type { Command } from "./process.ts"

export interface PeerSpec {
  readonly name: string
  /** Whether it is counterflow itself. */
  readonly isOwn: boolean
  /** Whether it lives on packages that must be installed first. */
  readonly needsPackages: boolean
  /** The workloads or groups it is for; all. */
  readonly only?: readonly string[]
  readonly command: Command
}

export const dataFolder: string = join(buildFolder, "data")

/** The Python that PyTorch is looked for in. */
export const python: string = process.env["BENCH_PYTHON"] ?? "python3"
export const oneThread: Readonly<Record<string, string>> = { OMP_NUM_THREADS: "1", OPENBLAS_NUM_THREADS: "1" }

function node(name: string, module: string, variant: string, isOwn = false): PeerSpec {
  const args = [ownModule("child"), module, variant, dataFolder]
  return { name, isOwn, needsPackages: !isOwn, command: { program: process.execPath, args } }
}

function foreign(name: string, folder: string, variant: string): PeerSpec {
  return node(name, join(peersFolder, folder, "peer.mjs"), variant)
}

const torch: PeerSpec = {
  name: "torch",
  isOwn: false,
  needsPackages: false,
  command: { program: python, args: [join(peersFolder, "torch", "peer.py"), dataFolder], env: oneThread },
}

/** In the order of the tables; ratios refer to the first. */
export const peers: readonly PeerSpec[] = [
  ...Object.keys(backends).map((backend) =>
    node(`counterflow-${backend}`, ownModule("counterflow/peer"), backend, true),
  ),
  { ...node("simd-peak", ownModule("peak"), ""), needsPackages: false, only: ["gemm"] },
  foreign("tfjs-cpu", "tfjs", "cpu"),
  foreign("tfjs-wasm", "tfjs", "wasm"),
  foreign("tfjs-wasm-tuned", "tfjs", "wasm-tuned"),
  foreign("jax-wasm", "jax", "wasm"),
  foreign("ort-web", "onnxruntime", "web"),
  foreign("ort-node", "onnxruntime", "node"),
  torch,
]
