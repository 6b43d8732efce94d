// Embedding: rows of a table looked up by id. Its gradient touches only the rows that were looked up.

import { fail, formatShape, numel, type Shape, site, type Variable } from "@counterflow/ir"
import { notEqual, where } from "./comparison.ts"
import { composite } from "./define.ts"
import { describe } from "./describe.ts"
import { emit } from "./emit.ts"
import { indexDTypes } from "./lookup.ts"
import { reshapeTo } from "./reshape.ts"
import { gather, scatterAdd } from "./selection.ts"
import { requireDType, requireFloat, requireRank } from "./shapes.ts"

/**
 * Rows of `w` [vocabulary, width] by id, of shape ids.shape + [width] as in `fluid.embedding` (the older `lookup_table` drops a
 * last axis of size 1: squeeze the ids for that). The row `paddingIdx` (from the end if negative) reads as zeros and gets no
 * gradient. An id outside the vocabulary is refused when the program runs.
 */
export function embedding(ids: Variable, w: Variable, options: { paddingIdx?: number | null } = {}): Variable {
  const { paddingIdx = null } = options
  return site(
    embedding,
    () => emit(embeddingOp, { ids, w }, { paddingIdx: resolvePadding(paddingIdx, w.shape) }, embedding).z,
  )
}

function resolvePadding(paddingIdx: number | null, [vocabulary]: Shape): number | null {
  if (paddingIdx === null || paddingIdx >= 0) return paddingIdx
  if (typeof vocabulary === "number") return paddingIdx + vocabulary
  return fail(
    "CF_BAD_ATTRIBUTE",
    `paddingIdx ${paddingIdx} counts from the end of a vocabulary whose size is not known`,
    { op: "embedding" },
  )
}

/** Values where the id is not the padding, else 0. */
function withoutPadding(values: Variable, ids: Variable, paddingIdx: number | null): Variable {
  return paddingIdx === null ? values : where(notEqual(reshapeTo(ids, [...ids.shape, 1]), paddingIdx), values, 0)
}

export const embeddingOp = /*#__PURE__*/ composite({
  name: "embedding",
  inputs: { ids: "index", w: "tensor" },
  outputs: ["z"],
  attrs: { paddingIdx: "int?" },
  infer: ({ ids, w }, { paddingIdx }) => {
    requireDType("ids", ids, indexDTypes)
    requireFloat("w", w)
    requireRank("w", w, 2)
    const [vocabulary = 0, width = 0] = w.shape
    if (paddingIdx !== null && !(paddingIdx >= 0 && (typeof vocabulary !== "number" || paddingIdx < vocabulary))) {
      fail("CF_BAD_ATTRIBUTE", `paddingIdx ${paddingIdx} is no row of w ${formatShape(w.shape)}`)
    }
    return { z: { shape: [...ids.shape, width], dtype: w.dtype } }
  },
  // forward   z[i] = w[ids[i]], 0 where ids[i] is the padding
  // backward  dw[k] = Σ dz[i] over all i with ids[i] = k, 0 for the padding
  grad: ({ ids, w }, _outputs, { z: dz }, { paddingIdx }) => {
    const [count, width = 1] = [numel(ids.shape), w.shape[1]]
    const updates = reshapeTo(withoutPadding(dz, ids, paddingIdx), [count, width])
    return { w: scatterAdd(updates, reshapeTo(ids, [count]), { shape: w.shape }) }
  },
  decompose: ({ ids, w }, { paddingIdx }) => ({ z: withoutPadding(gather(w, ids), ids, paddingIdx) }),
})

export const embeddingDoc = /*#__PURE__*/ describe(embeddingOp, {
  summary: "Rows of an embedding table by id.",
  formula: "z[i] = w[ids[i]]",
  source: "Fluid 1.8, fluid.embedding (lookup_table_v2)",
  samples: [
    { in: { ids: { shape: [4], dtype: "int64", values: [2, 0, 2, 1] }, w: [3, 2] }, attrs: { paddingIdx: null } },
    {
      in: { ids: { shape: [2, 3], dtype: "int32", values: [1, 0, 3, 3, 1, 1] }, w: [4, 2] },
      attrs: { paddingIdx: 1 },
      note: "the row of the padding reads as zeros",
    },
    { in: { ids: { shape: [2, 1], dtype: "int64", values: [4, 1] }, w: [5, 1] }, attrs: { paddingIdx: null } },
    { in: { ids: { shape: [], dtype: "int32", values: [1] }, w: [2, 3] }, attrs: { paddingIdx: null } },
    { in: { ids: { shape: [0], dtype: "int64" }, w: [2, 3] }, attrs: { paddingIdx: 0 } },
  ],
  errorSamples: [
    {
      in: { ids: [2], w: [3, 2] },
      attrs: { paddingIdx: null },
      code: "CF_DTYPE_MISMATCH",
      text: /ids must be int32 or int64, got float/,
    },
    {
      in: { ids: { shape: [2], dtype: "int64", values: [0, 1] }, w: [6] },
      attrs: { paddingIdx: null },
      code: "CF_SHAPE_MISMATCH",
      text: /w must have rank 2, got \[6\]/,
    },
    {
      in: { ids: { shape: [2], dtype: "int64", values: [0, 1] }, w: [3, 2] },
      attrs: { paddingIdx: 3 },
      code: "CF_BAD_ATTRIBUTE",
      text: /paddingIdx 3 is no row of w \[3, 2\]/,
    },
  ],
})
