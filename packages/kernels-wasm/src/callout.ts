// Calls out of generated code: an operator's JavaScript kernel on views of linear memory, and on copies where its int64 is
// stored in a form that kernels do not compute with.

import type { BoundBlock, BoundOp } from "@counterflow/compiler"
import type { StorageArray } from "@counterflow/executor"
import type { DType, VarId } from "@counterflow/ir"
import type { Op } from "@counterflow/ops"
import {
  type AnyHostCall,
  type HostBind,
  type HostBlock,
  HostKernel,
  type HostKernelOf,
  type HostTensor,
  type NumberArray,
} from "./generate/hostkernel.ts"
import { bySlot } from "./generate/program.ts"

/** A kernel in JavaScript for an op from outside: `wasm({ kernels: { "vendor.softClip": hostKernel<typeof softClipOp>(kernel) } })`. */
export function hostKernel<R extends Op>(kernel: HostKernelOf<R>): HostKernel {
  const { bind, workspace } = typeof kernel === "function" ? { bind: kernel, workspace: () => 0 } : kernel
  return new HostKernel(bind, workspace, bindCallout)
}

/** What a call needs of the plan that makes it. */
export interface CalloutHost {
  view(id: VarId): StorageArray
  type(id: VarId): { readonly shape: readonly number[]; readonly dtype: DType }
  workspace(op: BoundOp): NumberArray
  run(block: BoundBlock, trip: number): void
}

/** An int64 tensor and the copy of it that a kernel sees. */
interface Mirror {
  readonly stored: BigInt64Array
  readonly seen: Float64Array
}

/** Binds a kernel to memory as it is now; what it answers is the call. */
export function bindCallout(op: BoundOp, kernel: HostKernel, host: CalloutHost): () => void {
  const [inputs, outputs] = [new Mirrors(host), new Mirrors(host)]
  const blocks = Object.entries(op.blocks).map(([name, block]) => [name, hostBlock(block, host)] as const)
  const call: AnyHostCall = {
    inputs: bySlot(op.inputs, op.listInputs, (id) => inputs.tensor(id)),
    outputs: bySlot(op.outputs, op.listOutputs, (id) => outputs.tensor(id)),
    attrs: op.attrs,
    workspace: host.workspace(op),
    blocks: Object.fromEntries(blocks),
  }
  // The signature of the op vouches for the call: plans are made from the same signature.
  const run = (kernel.bind as HostBind<AnyHostCall>)(call)
  return () => {
    inputs.read()
    run()
    outputs.write()
  }
}

function hostBlock(block: BoundBlock, host: CalloutHost): HostBlock {
  const [given, made] = [new Mirrors(host), new Mirrors(host)]
  const params = block.params.map((id) => given.tensor(id))
  const results = block.results.map((id) => made.tensor(id))
  return {
    run: (trip = 0) => {
      given.write()
      host.run(block, trip)
      made.read()
    },
    params,
    results,
  }
}

class Mirrors {
  readonly #host: CalloutHost
  readonly #mirrors: Mirror[] = []

  constructor(host: CalloutHost) {
    this.#host = host
  }

  tensor(id: VarId): HostTensor {
    const stored = this.#host.view(id)
    const { shape, dtype } = this.#host.type(id)
    if (!(stored instanceof BigInt64Array)) return { data: stored, shape, dtype }
    const seen = new Float64Array(stored.length)
    this.#mirrors.push({ stored, seen })
    return { data: seen, shape, dtype }
  }

  read(): void {
    for (const { stored, seen } of this.#mirrors) for (let i = 0; i < seen.length; i++) seen[i] = Number(stored[i])
  }

  write(): void {
    for (const { stored, seen } of this.#mirrors) for (let i = 0; i < seen.length; i++) stored[i] = BigInt(seen[i]!)
  }
}
