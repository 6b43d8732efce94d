// counterflow as a peer among peers: every workload through the front door, as a user would write it.

import { cpu, Executor, wasm } from "counterflow"
import type { Source } from "../data.ts"
import type { Given, Job, Peer } from "../protocol.ts"
import { gemm, gpt, lenet, mlp, regression } from "../sizes.ts"
import * as dense from "./dense.ts"
import { gptTraining, withMask } from "./gpt.ts"
import { forward, training } from "./job.ts"
import * as kernels from "./kernels.ts"
import { lenetForward, lenetTraining } from "./lenet.ts"
import { partOf } from "./model.ts"

/** The backends that can be measured; the best last. */
export const backends = { cpu, wasm } as const

export type BackendName = keyof typeof backends

export function isBackendName(name: string): name is BackendName {
  return Object.hasOwn(backends, name)
}

export default function start(backend: string, { load }: Given): Peer {
  if (!isBackendName(backend)) {
    throw new Error(`there is no backend "${backend}"; there is ${Object.keys(backends).join(", ")}`)
  }
  return {
    version: `counterflow 0.0.0, backend ${backend}`,
    workloads: jobs(() => new Executor(backends[backend]()), load),
  }
}

/** Every workload by id. */
export function jobs(executor: () => Executor, load: Source): Record<string, () => Job> {
  const part = (name: string) => partOf(load, name)
  const labelled = (source: Source, batch: number) => ({
    x: source(`x.${batch}`),
    label: source(`labels.${batch}`),
  })
  const named: Record<string, () => Job> = {
    "elementwise.forward": () => kernels.chainForward(executor(), part("elementwise")),
    "elementwise.gradient": () => kernels.chainGradient(executor(), part("elementwise")),
    regression: () => {
      const source = part("regression")
      return training(executor(), dense.regression(regression), source, { x: source("x"), y: source("y") }, 10)
    },
    "mlp.forward": () => {
      const source = part("mlp")
      return forward(executor(), dense.mlpForward(mlp), source, { x: source("x.64") })
    },
    "lenet.forward": () => {
      const source = part("lenet")
      return forward(executor(), lenetForward(lenet), source, { x: source("x.32") })
    },
    "conv2d.forward": () => kernels.convolution(executor(), part("conv2d")),
    "conv2d.gradients": () => kernels.convolutionGradients(executor(), part("conv2d")),
    gpt: () => {
      const source = withMask(part("gpt"), gpt.length)
      const batch = { tokens: source("tokens"), label: source("targets") }
      return training(executor(), gptTraining(gpt), source, batch, 5)
    },
  }
  for (const form of gemm.forms) {
    for (const n of gemm.sizes) named[`gemm.${form}.${n}`] = () => kernels.product(executor(), part("gemm"), form, n)
  }
  for (const batch of mlp.batches) {
    const source = part("mlp")
    named[`mlp.${batch}`] = () => training(executor(), dense.mlpTraining(mlp), source, labelled(source, batch), 5)
  }
  for (const batch of lenet.batches) {
    const source = part("lenet")
    named[`lenet.${batch}`] = () => training(executor(), lenetTraining(lenet), source, labelled(source, batch), 10)
  }
  return named
}
