// counterflow as a peer among peers: every workload through the front door, as a user would write it.

import { cpu, Executor, wasm } from "counterflow"
import type { Source } from "../data.ts"
import type { Given, Job, Peer } from "../protocol.ts"
import { gemm, gpt, lenet, lstm, mlp, regression } from "../sizes.ts"
import * as dense from "./dense.ts"
import { gptTraining, withMask } from "./gpt.ts"
import { forward, type Training, training, trainingByRun } from "./job.ts"
import * as kernels from "./kernels.ts"
import { lenetForward, lenetTraining } from "./lenet.ts"
import { lstmTraining } from "./lstm.ts"
import { partOf } from "./model.ts"

/** The backends that can be measured; ratios refer to the first. */
export const backends = { wasm: () => wasm(), "wasm-2threads": () => wasm({ threads: 2 }), cpu: () => cpu() } as const

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

/** The models that are trained, by workload. */
export function trainings(load: Source): Record<string, () => Training> {
  const part = (name: string) => partOf(load, name)
  const labelled = (source: Source, batch: number) => ({
    x: source(`x.${batch}`),
    label: source(`labels.${batch}`),
  })
  const named: Record<string, () => Training> = {
    regression: () => {
      const source = part("regression")
      return { model: dense.regression(regression), source, batch: { x: source("x"), y: source("y") }, steps: 10 }
    },
    gpt: () => {
      const source = withMask(part("gpt"), gpt.length)
      const batch = { tokens: source("tokens"), label: source("targets") }
      return { model: gptTraining(gpt), source, batch, steps: 5 }
    },
  }
  const lstmOf = (length: number, isUnrolled: boolean) => () => {
    const source = part("lstm")
    const batch = { tokens: source(`tokens.${length}`), label: source(`targets.${length}`) }
    return { model: lstmTraining({ ...lstm, length }, isUnrolled), source, batch, steps: 5 }
  }
  for (const length of lstm.lengths) named[`lstm.${length}`] = lstmOf(length, false)
  named["lstm.unrolled"] = lstmOf(lstm.lengths[0], true)
  for (const batch of mlp.batches) {
    const source = part("mlp")
    named[`mlp.${batch}`] = () => ({ model: dense.mlpTraining(mlp), source, batch: labelled(source, batch), steps: 5 })
  }
  for (const batch of lenet.batches) {
    const source = part("lenet")
    named[`lenet.${batch}`] = () => ({ model: lenetTraining(lenet), source, batch: labelled(source, batch), steps: 10 })
  }
  return named
}

/** Every workload by id. */
export function jobs(executor: () => Executor, load: Source): Record<string, () => Job> {
  const part = (name: string) => partOf(load, name)
  const models = trainings(load)
  const named: Record<string, () => Job> = {
    "elementwise.forward": () => kernels.chainForward(executor(), part("elementwise")),
    "elementwise.gradient": () => kernels.chainGradient(executor(), part("elementwise")),
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
  }
  for (const form of gemm.forms) {
    for (const n of gemm.sizes) named[`gemm.${form}.${n}`] = () => kernels.product(executor(), part("gemm"), form, n)
  }
  for (const [id, make] of Object.entries(models)) {
    named[id] = () => training(executor(), make())
    if (id === "regression") named[`${id}.run`] = () => trainingByRun(executor(), make())
  }
  return named
}
