// The one blocked matrix product: C = alpha·A·B + beta·C over strided float arrays, and its plain int32 sibling.
// Both operands are packed into float64 panels, so the hot loop sees a single array type whatever the dtype, converts
// nothing, and never de-optimizes. The inner dimension is never split: every entry of C is one float64 sum in the
// order p = 0 … k-1, bit for bit the sum that the textbook triple loop forms.
//
//   workspace  | tile: 8 | strip of A: k × 4 | block of B: panels of k × 2, side by side |
//
// A 4×2 tile with two steps of k unrolled keeps 8 sums and 6 operands in the 16 vector registers of x64; measured
// against 2×4, 3×4, 4×4 and 6×2 it ties with the best (3×4) and wastes less on the usual even sizes.

export type Reals = Float32Array | Float64Array

const tileRows = 4
const tileCols = 2
const tileSize = tileRows * tileCols
/** Elements of B packed at a time: 2 MiB, so that a block stays in the outer caches while strips of A pass over it. */
const blockSize = 1 << 18
/** A narrower block would repack A too often to be worth its place in the cache. */
const leastBlockCols = 64

function blockCols(n: number, k: number): number {
  const fitting = Math.max(leastBlockCols, Math.floor(blockSize / k))
  return roundUp(Math.min(n, fitting), tileCols)
}

function roundUp(count: number, multiple: number): number {
  return Math.ceil(count / multiple) * multiple
}

/** One or two rows would leave most of the tile idle: those products are computed as Cᵀ = Bᵀ·Aᵀ. */
function isFlat(m: number, n: number): boolean {
  return m <= tileCols && m < n
}

/** Elements that `pack` must have for `gemm` of these sizes. */
export function gemmWorkspace(m: number, n: number, k: number): number {
  if (m === 0 || n === 0 || k === 0) return 0
  return tileSize + tileRows * k + blockCols(isFlat(m, n) ? m : n, k) * k
}

/**
 * C = alpha·A·B + beta·C with A [m, k] and B [k, n] under any strides (a transpose swaps two strides), C [m, n] with
 * rows `cRowStride` apart and contiguous columns. With beta = 0 the old C is not read. `pack` is scratch of
 * `gemmWorkspace(m, n, k)` elements. C must not overlap A or B.
 */
export function gemm(
  m: number,
  n: number,
  k: number,
  alpha: number,
  a: Reals,
  aOffset: number,
  aRowStride: number,
  aColStride: number,
  b: Reals,
  bOffset: number,
  bRowStride: number,
  bColStride: number,
  beta: 0 | 1,
  c: Reals,
  cOffset: number,
  cRowStride: number,
  pack: Float64Array,
): void {
  if (k === 0) {
    if (beta === 0) for (let i = 0; i < m; i++) c.fill(0, cOffset + i * cRowStride, cOffset + i * cRowStride + n)
  } else if (isFlat(m, n)) {
    multiplyBlocks(
      n,
      m,
      k,
      alpha,
      b,
      bOffset,
      bColStride,
      bRowStride,
      a,
      aOffset,
      aColStride,
      aRowStride,
      beta,
      c,
      cOffset,
      1,
      cRowStride,
      pack,
    )
  } else {
    multiplyBlocks(
      m,
      n,
      k,
      alpha,
      a,
      aOffset,
      aRowStride,
      aColStride,
      b,
      bOffset,
      bRowStride,
      bColStride,
      beta,
      c,
      cOffset,
      cRowStride,
      1,
      pack,
    )
  }
}

function multiplyBlocks(
  m: number,
  n: number,
  k: number,
  alpha: number,
  a: Reals,
  aOffset: number,
  aRowStride: number,
  aColStride: number,
  b: Reals,
  bOffset: number,
  bRowStride: number,
  bColStride: number,
  beta: 0 | 1,
  c: Reals,
  cOffset: number,
  cRowStride: number,
  cColStride: number,
  pack: Float64Array,
): void {
  const stripAt = tileSize
  const panelsAt = stripAt + tileRows * k
  const width = blockCols(n, k)
  for (let left = 0; left < n; left += width) {
    const right = Math.min(n, left + width)
    for (let j = left; j < right; j += tileCols) {
      const at = panelsAt + (j - left) * k
      packPanel(k, Math.min(tileCols, right - j), b, bOffset + j * bColStride, bRowStride, bColStride, pack, at)
    }
    for (let i = 0; i < m; i += tileRows) {
      const rows = Math.min(tileRows, m - i)
      packStrip(k, rows, a, aOffset + i * aRowStride, aRowStride, aColStride, pack, stripAt)
      for (let j = left; j < right; j += tileCols) {
        multiplyTile(k, pack, stripAt, panelsAt + (j - left) * k)
        const cols = Math.min(tileCols, right - j)
        const at = cOffset + i * cRowStride + j * cColStride
        storeTile(rows, cols, alpha, pack, beta, c, at, cRowStride, cColStride)
      }
    }
  }
}

/** The 4×2 tile A-strip · B-panel, left in the first eight elements of `pack`. */
function multiplyTile(k: number, pack: Float64Array, stripAt: number, panelAt: number): void {
  let c00 = 0
  let c01 = 0
  let c10 = 0
  let c11 = 0
  let c20 = 0
  let c21 = 0
  let c30 = 0
  let c31 = 0
  let s = stripAt
  let t = panelAt
  const pairsEnd = stripAt + (k & ~1) * tileRows
  while (s < pairsEnd) {
    const x0 = pack[t]!
    const x1 = pack[t + 1]!
    const a0 = pack[s]!
    c00 += a0 * x0
    c01 += a0 * x1
    const a1 = pack[s + 1]!
    c10 += a1 * x0
    c11 += a1 * x1
    const a2 = pack[s + 2]!
    c20 += a2 * x0
    c21 += a2 * x1
    const a3 = pack[s + 3]!
    c30 += a3 * x0
    c31 += a3 * x1
    const y0 = pack[t + 2]!
    const y1 = pack[t + 3]!
    const a4 = pack[s + 4]!
    c00 += a4 * y0
    c01 += a4 * y1
    const a5 = pack[s + 5]!
    c10 += a5 * y0
    c11 += a5 * y1
    const a6 = pack[s + 6]!
    c20 += a6 * y0
    c21 += a6 * y1
    const a7 = pack[s + 7]!
    c30 += a7 * y0
    c31 += a7 * y1
    s += 2 * tileRows
    t += 2 * tileCols
  }
  if ((k & 1) === 1) {
    const x0 = pack[t]!
    const x1 = pack[t + 1]!
    c00 += pack[s]! * x0
    c01 += pack[s]! * x1
    c10 += pack[s + 1]! * x0
    c11 += pack[s + 1]! * x1
    c20 += pack[s + 2]! * x0
    c21 += pack[s + 2]! * x1
    c30 += pack[s + 3]! * x0
    c31 += pack[s + 3]! * x1
  }
  pack[0] = c00
  pack[1] = c01
  pack[2] = c10
  pack[3] = c11
  pack[4] = c20
  pack[5] = c21
  pack[6] = c30
  pack[7] = c31
}

/** Writes the part of the tile that lies inside C; what hangs over the edge was computed from zeros and is dropped. */
function storeTile(
  rows: number,
  cols: number,
  alpha: number,
  pack: Float64Array,
  beta: 0 | 1,
  c: Reals,
  at: number,
  cRowStride: number,
  cColStride: number,
): void {
  for (let i = 0; i < rows; i++) {
    for (let j = 0; j < cols; j++) {
      const sum = alpha * pack[i * tileCols + j]!
      const to = at + i * cRowStride + j * cColStride
      c[to] = beta === 0 ? sum : sum + c[to]!
    }
  }
}

/** Four rows of A, interleaved: strip[4p + i] = A[i, p]; rows past the end are zeros. */
function packStrip(
  k: number,
  rows: number,
  a: Reals,
  aOffset: number,
  rowStride: number,
  colStride: number,
  pack: Float64Array,
  at: number,
): void {
  let from = aOffset
  if (rows === tileRows) {
    for (let to = at, end = at + k * tileRows; to < end; to += tileRows) {
      pack[to] = a[from]!
      pack[to + 1] = a[from + rowStride]!
      pack[to + 2] = a[from + 2 * rowStride]!
      pack[to + 3] = a[from + 3 * rowStride]!
      from += colStride
    }
    return
  }
  for (let to = at, end = at + k * tileRows; to < end; to += tileRows) {
    for (let i = 0; i < tileRows; i++) pack[to + i] = i < rows ? a[from + i * rowStride]! : 0
    from += colStride
  }
}

/** Two columns of B, interleaved: panel[2p + j] = B[p, j]; a column past the end is zeros. */
function packPanel(
  k: number,
  cols: number,
  b: Reals,
  bOffset: number,
  rowStride: number,
  colStride: number,
  pack: Float64Array,
  at: number,
): void {
  let from = bOffset
  for (let to = at, end = at + k * tileCols; to < end; to += tileCols) {
    pack[to] = b[from]!
    pack[to + 1] = cols === tileCols ? b[from + colStride]! : 0
    from += rowStride
  }
}

/** The same product over int32, exact modulo 2^32; addition is associative there, so C itself takes the sums. */
export function gemmInt(
  m: number,
  n: number,
  k: number,
  alpha: number,
  a: Int32Array,
  aOffset: number,
  aRowStride: number,
  aColStride: number,
  b: Int32Array,
  bOffset: number,
  bRowStride: number,
  bColStride: number,
  beta: 0 | 1,
  c: Int32Array,
  cOffset: number,
  cRowStride: number,
): void {
  for (let i = 0; i < m; i++) {
    const row = cOffset + i * cRowStride
    if (beta === 0) c.fill(0, row, row + n)
    for (let p = 0; p < k; p++) {
      const factor = Math.imul(alpha, a[aOffset + i * aRowStride + p * aColStride]!)
      const from = bOffset + p * bRowStride
      for (let j = 0; j < n; j++) c[row + j] = c[row + j]! + Math.imul(factor, b[from + j * bColStride]!)
    }
  }
}
