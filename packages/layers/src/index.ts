// Layers: parameters, their initializers, and the ops that use them.

export type { Activation } from "./activation.ts"
export type { ParamAttr, ParamAttrLike } from "./attribute.ts"
export { conv2d, type Conv2dOptions, conv2dTranspose, type Conv2dTransposeOptions } from "./convolution.ts"
export { createParameter, type CreateParameterOptions } from "./create.ts"
export { data, type DataDim, type DataOptions } from "./data.ts"
export { embedding, type EmbeddingOptions } from "./embedding.ts"
export { MSRA, type MsraOptions, Xavier, type XavierOptions } from "./fans.ts"
export { fc, type FcOptions } from "./fc.ts"
export {
  type ArrayLikeValues,
  Constant,
  FromArray,
  type Initializer,
  Normal,
  TruncatedNormal,
  Uniform,
} from "./initializer.ts"
export { type Layer, layer, type LayerInit, type WeightInit } from "./layer.ts"
export { batchNorm, type BatchNormOptions, layerNorm, type LayerNormOptions } from "./normalization.ts"
export type { OptionKind, OptionKinds } from "./options.ts"
export type { RecurrentOptions } from "./recurrence.ts"
export { gru, type GruOptions, lstm, type LstmOptions, rnn, type RnnOptions } from "./recurrent.ts"
export {
  adaptivePool2d,
  type AdaptivePool2dOptions,
  dropout,
  type DropoutOptions,
  pool2d,
  type Pool2dOptions,
} from "./plain.ts"
