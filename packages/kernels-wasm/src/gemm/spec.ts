// What a matrix product is asked to be: C = alpha · op(A) op(B), or C += …, for every matrix of a batch. All of it is
// known when the kernel is emitted; only the addresses come at run time.

/** For A and B: N as it is read, T stored transposed. */
export type GemmForm = "NN" | "NT" | "TN" | "TT"

export interface GemmSpec {
  /** C is m × n, op(A) m × k, op(B) k × n; float32, rows first. */
  readonly m: number
  readonly n: number
  readonly k: number
  /** NN. */
  readonly form?: GemmForm
  /** 1. */
  readonly batch?: number
  /** 1. */
  readonly alpha?: number
  /** Add to what C holds instead of replacing it. */
  readonly accumulate?: boolean
  /** Elements from one stored row to the next: none between them. */
  readonly lda?: number
  readonly ldb?: number
  readonly ldc?: number
  /** Elements from one matrix of the batch to the next: one behind the other. 0 where all products share one. */
  readonly aStep?: number
  readonly bStep?: number
  readonly cStep?: number
  /** Fuse multiplication and addition where the host does: faster, and not the same on every machine. */
  readonly relaxed?: boolean
  readonly tuning?: Partial<GemmTuning>
}

/**
 * What may be tried out for a host. All but `vectors`, which decides how columns end, leave every bit of the result as
 * it is.
 */
export interface GemmTuning {
  /**
   * Rows and vectors of 4 columns that are summed in registers: 4 × 2, and 6 × 2 if `relaxed`, where products take no
   * registers. More than that spill on x64.
   */
  readonly rows: number
  readonly vectors: number
  /** Columns that are packed together, and rows that pass by them: 256 and 192. */
  readonly columnBlock: number
  readonly rowBlock: number
}

export type FullSpec = Required<Omit<GemmSpec, "tuning">> & { readonly tuning: GemmTuning }

export function complete(spec: GemmSpec): FullSpec {
  const { m, n, k, form = "NN", tuning } = spec
  const [aRows, aColumns] = form.startsWith("N") ? [m, k] : [k, m]
  const [bRows, bColumns] = form.endsWith("N") ? [k, n] : [n, k]
  const { lda = aColumns, ldb = bColumns, ldc = n, relaxed = false } = spec
  return {
    m,
    n,
    k,
    form,
    lda,
    ldb,
    ldc,
    batch: spec.batch ?? 1,
    alpha: spec.alpha ?? 1,
    accumulate: spec.accumulate ?? false,
    aStep: spec.aStep ?? aRows * lda,
    bStep: spec.bStep ?? bRows * ldb,
    cStep: spec.cStep ?? m * ldc,
    relaxed,
    tuning: { rows: relaxed ? 6 : 4, vectors: 2, columnBlock: 256, rowBlock: 192, ...tuning },
  }
}
