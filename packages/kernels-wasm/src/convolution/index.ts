// Convolution of float32 images and its two gradients, emitted for their shapes; and the plain form of any dtype.
//
//   relation   the shapes                           schedule         which way, and in which blocks
//   emit       one operator, its kernels            parts            what may run at the same time
//   finish     the epilogue
//   columns    the matrix of columns                by-columns       products with it
//   winograd-schedule, winograd-tiles, winograd-filters, by-winograd: Winograd's F(2 × 2, 3 × 3)
//   depthwise  channels that are not summed
//   band, rows, lanes, places                       what both are made of
//   plain      any dtype, from the definition

export { emitConvolution, type Operands, workspaceBytes } from "./emit.ts"
export { plainConv, plainFilterGrad, plainInputGrad, type PlainSpec } from "./plain.ts"
export { relationOf } from "./relation.ts"
