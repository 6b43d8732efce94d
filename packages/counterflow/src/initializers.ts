// Initial values of parameters.

export { Constant, FromArray, MSRA, Normal, TruncatedNormal, Uniform, Xavier } from "@counterflow/layers"
