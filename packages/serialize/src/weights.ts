// Weights and other state between a scope and safetensors, as bytes or files. All checks come before the first value is set.

import { type DType, fail, formatShape, nearest, type Program, type TypedArray } from "@counterflow/ir"
import { readBytes, writeBytes } from "./file.ts"
import { decodeSafetensors, encodeSafetensors, type NamedSafeTensor } from "./safetensors.ts"

/** What is needed of an executor's scope. */
export interface WeightScope {
  names(): string[]
  get(name: string): { readonly data: TypedArray; readonly shape: readonly number[]; readonly dtype: DType }
  set(name: string, value: { data: TypedArray; shape: readonly number[]; dtype: DType }): void
}

export interface SaveWeightsOptions {
  /** Only the persistable variables of this program; its parameters alone with `parametersOnly`. */
  program?: Program
  parametersOnly?: boolean
  /** Text kept in the file's header. */
  metadata?: Readonly<Record<string, string>>
}

/**
 * The scope's state as safetensors bytes, in name order; also written to `file` if one is given (Node). Without a program it is
 * everything the scope holds: parameters, moments, running statistics, counters.
 */
export async function saveWeights(
  scope: WeightScope,
  file?: string | URL | SaveWeightsOptions,
  options?: SaveWeightsOptions,
): Promise<Uint8Array> {
  const isFile = typeof file === "string" || file instanceof URL
  const chosen = (isFile ? options : file) ?? {}
  const wanted =
    chosen.program === undefined ? null : new Set(stateNames(chosen.program, chosen.parametersOnly ?? false))
  const names = scope.names().filter((name) => wanted === null || wanted.has(name))
  const held = new Set(names)
  const missing = [...(wanted ?? [])].find((name) => !held.has(name) && !startsByItself(chosen.program, name))
  if (missing !== undefined) {
    fail("CF_STATE_MISSING", `the scope holds no ${missing}`, {
      op: "saveWeights",
      fix: "run the startup program first",
    })
  }
  const tensors = names.sort().map((name): NamedSafeTensor => {
    const { data, shape, dtype } = scope.get(name)
    return { name, data, shape, dtype } as NamedSafeTensor
  })
  const bytes = encodeSafetensors(tensors, { ...chosen.metadata })
  if (isFile) await writeBytes(file, bytes)
  return bytes
}

export interface LoadWeightsOptions {
  /** Load only what this program declares, check shapes and dtypes against it, and refuse files that lack any of it. */
  program?: Program
  parametersOnly?: boolean
}

/** Sets the scope's state from safetensors bytes or a file (Node). Answers the names that were set. */
export async function loadWeights(
  scope: WeightScope,
  source: string | URL | Uint8Array,
  options: LoadWeightsOptions = {},
): Promise<string[]> {
  const { tensors } = decodeSafetensors(source instanceof Uint8Array ? source : await readBytes(source))
  const { program } = options
  const names = program === undefined ? [...tensors.keys()] : stateNames(program, options.parametersOnly ?? false)
  const found = names.flatMap((name) => {
    const tensor = tensors.get(name)
    if (tensor === undefined && startsByItself(program, name)) return []
    if (tensor === undefined) {
      const near = nearest(name, tensors.keys())
      return fail("CF_BAD_FILE", `the file holds no "${name}", which the program needs`, {
        op: "loadWeights",
        fix: near === undefined ? "load the file this program was saved to" : `it holds "${near}"`,
      })
    }
    const declared = program?.globalBlock().var(name)
    if (
      declared !== undefined &&
      (declared.dtype !== tensor.dtype || formatShape(declared.shape) !== formatShape(tensor.shape))
    ) {
      fail(
        "CF_STATE_MISMATCH",
        `the file holds ${name} as ${tensor.dtype}${formatShape(tensor.shape)}, the program as ${declared.type}`,
        {
          op: "loadWeights",
        },
      )
    }
    return [{ name, tensor }]
  })
  const held = new Set(scope.names())
  for (const { name, tensor } of found) {
    if (!held.has(name)) continue
    const { dtype, shape } = scope.get(name)
    if (dtype !== tensor.dtype || formatShape(shape) !== formatShape(tensor.shape)) {
      fail(
        "CF_STATE_MISMATCH",
        `the file holds ${name} as ${tensor.dtype}${formatShape(tensor.shape)}, the scope as ${dtype}${formatShape(shape)}`,
        {
          op: "loadWeights",
        },
      )
    }
  }
  for (const { name, tensor } of found) scope.set(name, tensor)
  return found.map(({ name }) => name)
}

/** State with an initial value (a counter) need not be saved: without a value it starts from that. */
function startsByItself(program: Program | undefined, name: string): boolean {
  return program?.globalBlock().vars.get(name)?.initialValue !== undefined
}

function stateNames(program: Program, parametersOnly: boolean): string[] {
  if (parametersOnly) return program.allParameters().map(({ name }) => name)
  return [...program.globalBlock().vars.values()].flatMap(({ persistable, name }) => (persistable ? [name] : []))
}
