// The fast float32 matrix product: shapes are constants of the emitted code.
//
//   spec         what is asked                        schedule     how it is computed: roles, parts, blocks, scratch
//   gemm         the function of one product          procedure    functions that products of a module share
//   walk-blocks  panels, pieces of k, bands of rows   tile-outer   the tile of outer products
//   walk-dots    few columns                          tile-dot     the tile of dot products
//   walk-stream  one row times a large matrix         store        sums to C, with the epilogue
//   pack         copies in the order of reading       lanes        partial vectors, transposes
//   cut          independent parts of a large product     sums         whether bits stay the same

export { emitGemm, gemmWorkspaceBytes } from "./gemm.ts"
export { type Box, cutGemm, cutLines, partsWorth, type Run } from "./cut.ts"
export { sumsOf } from "./sums.ts"
export type { GemmForm, GemmSpec, GemmTuning } from "./spec.ts"
export type { Epilogue, EpiloguePoint } from "./store.ts"
