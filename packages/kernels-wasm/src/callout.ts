// Calls out of generated code: an operator's JavaScript kernel on views of linear memory, and on copies where its int64 is
// stored in a form that kernels do not compute with.

import type { BoundBlock, BoundOp } from "@counterflow/compiler"
import type { StorageArray } from "@counterflow/executor"
import type { DType, VarId } from "@counterflow/ir"
import type { AnyHostCall, HostBind, HostBlock, HostKernel, HostTensor, NumberArray } from "./generate/hostkernel.ts"
import { bySlot } from "./generate/program.ts"

/** What a call needs of the plan that makes it. */
export interface CalloutHost {
  view(id: VarId): StorageArray
  type(id: VarId): { readonly shape: readonly number[]; readonly dtype: DType }
  workspace(op: BoundOp): NumberArray
  run(block: BoundBlock): void
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
  const mirrors = new Mirrors(host)
  const results = block.results.map((id) => mirrors.tensor(id))
  return {
    run: () => {
      host.run(block)
      mirrors.read()
    },
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
