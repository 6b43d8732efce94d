// Data variables: what a run is fed.

import {
  defaultMainProgram,
  describeValue,
  type Dim,
  DimExpr,
  dtypes,
  type DType,
  fail,
  isDType,
  type Program,
  symbol,
  type Variable,
} from "@counterflow/ir"
import { builtBy } from "@counterflow/ops"
import { checkOptions } from "./options.ts"

/** A size, a name for one that feeds will tell, or −1 (or null) for one without a name. */
export type DataDim = Dim | string | null

export interface DataOptions {
  name: string
  shape: readonly DataDim[]
  dtype?: DType
  /**
   * Whether the shape is that of one sample, so that the dimension `batch` goes before it. Unless said, it is one if it holds
   * neither a −1, as in Fluid, nor `batch` itself.
   */
  appendBatchSize?: boolean
}

/** A variable of the default main program whose value is fed. Gradients stop at it unless `stopGradient` is set to false. */
export function data(options: DataOptions): Variable {
  return builtBy(data, "data", () => {
    checkOptions(options, { name: "name", shape: "any", dtype: "any", appendBatchSize: "bool" })
    const { name, shape, dtype = "float32" } = options
    if (typeof name !== "string") fail("CF_BAD_ATTRIBUTE", "name is missing: feeds go by it")
    if (!isDType(dtype)) {
      fail("CF_BAD_ATTRIBUTE", `dtype must be one of ${dtypes.join(", ")}, got ${describeValue(dtype)}`)
    }
    if (!Array.isArray(shape)) fail("CF_BAD_ATTRIBUTE", `shape must be an array, got ${describeValue(shape)}`)
    const program = defaultMainProgram()
    return program.transaction(() => {
      const dims = shape.map((dim: DataDim) => dimOf(dim, program))
      const isWhole = shape.some((dim: DataDim) => isOpen(dim) || isBatch(dim))
      const hasBatch = options.appendBatchSize ?? !isWhole
      return program.globalBlock().createVar({
        name,
        shape: hasBatch ? [symbol(batch), ...dims] : dims,
        dtype,
        isData: true,
        stopGradient: true,
      })
    })
  })
}

const batch = "batch"

function isBatch(dim: DataDim): boolean {
  return dim === batch || (dim instanceof DimExpr && dim.key === batch)
}

function isOpen(dim: unknown): boolean {
  return dim === -1 || dim === null
}

function dimOf(dim: DataDim, program: Program): Dim {
  if (isOpen(dim)) return program.freshSymbol()
  if (dim instanceof DimExpr || (typeof dim === "number" && Number.isSafeInteger(dim) && dim >= 0)) return dim
  if (typeof dim === "string") {
    try {
      return symbol(dim)
    } catch (cause) {
      fail("CF_BAD_ATTRIBUTE", cause instanceof Error ? cause.message : String(cause), { cause })
    }
  }
  return fail("CF_BAD_ATTRIBUTE", `shape holds ${describeValue(dim)}, which is no size`, {
    fix: "use a size, −1 for one that the feed tells, or a name for it",
  })
}
