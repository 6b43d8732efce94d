// Calling one kernel of the table as a plan would: outputs by the op's shape rule, scratch as asked for and nothing more.
// Outputs and scratch start as NaN, and scratch begins at an odd element, so that what a kernel leaves unset shows.

import type { DType, TensorType } from "@counterflow/ir"
import type { Op } from "@counterflow/ops"
import type { AnyKernel, HostTensor, NumberArray } from "../src/kernel.ts"
import { kernels } from "../src/kernels/index.ts"
import { count } from "../src/strides.ts"

export function allocate(dtype: DType, length: number): NumberArray {
  switch (dtype) {
    case "float32":
      return new Float32Array(length)
    case "float64":
    case "int64":
      return new Float64Array(length)
    case "int32":
      return new Int32Array(length)
    case "uint8":
    case "bool":
      return new Uint8Array(length)
  }
}

export function tensor(
  shape: readonly number[],
  values: ArrayLike<number> | (() => number),
  dtype: DType = "float64",
): HostTensor {
  const data = allocate(dtype, count(shape))
  for (let i = 0; i < data.length; i++) data[i] = typeof values === "function" ? values() : (values[i] ?? NaN)
  return { data, shape, dtype }
}

/** Reproducible numbers in [-1, 1). */
export function numbers(seed: number): () => number {
  let state = seed | 0
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) | 0
    return state / 2 ** 31
  }
}

/** The outputs of one operator, after two runs of one bound kernel, the second of which must not see the first. */
export function call(op: Op, inputs: Record<string, HostTensor>, attrs: object): Record<string, HostTensor> {
  const kernel = kernelOf(op)
  const types = op.inferTypes(inputs, { ...attrs }, { blocks: {} })
  const outputs = Object.fromEntries(Object.entries(types).map(([slot, type]) => [slot, unset(type)]))
  const isBare = typeof kernel === "function"
  const asked = isBare ? 0 : kernel.workspace({ inputs, outputs, attrs: { ...attrs } })
  const storage = Object.values(outputs)[0]?.dtype ?? "float64"
  const workspace = allocate(storage, asked + 1)
    .fill(NaN)
    .subarray(1)
  const given = { inputs, outputs, attrs: { ...attrs }, workspace, blocks: {} }
  const run = isBare ? kernel(given) : kernel.bind(given)
  run()
  run()
  return outputs
}

function kernelOf(op: Op): AnyKernel {
  const found = Object.entries(kernels).find(([name]) => name === op.name)
  if (found === undefined) throw new Error(`no kernel for ${op.name}`)
  return found[1] as AnyKernel
}

function unset(type: TensorType | readonly TensorType[]): HostTensor {
  if (!("dtype" in type)) throw new Error("a list of outputs is not expected here")
  const shape = type.shape.map(Number)
  const data = allocate(type.dtype, count(shape))
  return { data: data.fill(type.dtype.startsWith("float") ? NaN : 111), shape, dtype: type.dtype }
}
