// The fast float32 matrix product: shapes are constants of the emitted code.
//
//   spec      what is asked                      schedule  how it is computed: roles, blocks, workspace
//   gemm      the function of one product        blocks    panels and pieces of k;  dots  few columns
//   outer     the tile of outer products         dot       the tile of dot products
//   pack      panels of the right operand        store     sums to C, with the epilogue

export { emitGemm, gemmWorkspaceBytes } from "./gemm.ts"
export type { GemmForm, GemmSpec, GemmTuning } from "./spec.ts"
export type { Epilogue, EpiloguePoint } from "./store.ts"
