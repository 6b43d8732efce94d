// What Fluid users find under `layers`: every op, the schedules, and the layers, which shadow the op of the same name.

export * from "@counterflow/ops"
export {
  adaptivePool2d,
  batchNorm,
  conv2d,
  conv2dTranspose,
  createParameter,
  data,
  dropout,
  embedding,
  fc,
  gru,
  layerNorm,
  lstm,
  pool2d,
  rnn,
} from "@counterflow/layers"
export {
  cosineDecay,
  exponentialDecay,
  inverseTimeDecay,
  linearLrWarmup,
  naturalExpDecay,
  noamDecay,
  piecewiseDecay,
  polynomialDecay,
} from "@counterflow/optim"
