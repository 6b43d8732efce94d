// The sizes of the workloads, and where every array of data and initial weights comes from. All peers read these arrays.

export const gemm = { sizes: [64, 128, 256, 512, 1024], forms: ["nn", "nt", "tn"] } as const
export const elementwise = { elements: 1_000_000 } as const
export const regression = { rows: 32, width: 13, learningRate: 0.01 } as const
export const mlp = { width: 784, hidden: [256, 128], classes: 10, batches: [64, 128] } as const
export const lenet = {
  image: [1, 28, 28],
  filters: [8, 16],
  filterSize: 5,
  hidden: [120, 84],
  classes: 10,
  batches: [32, 64],
} as const
export const conv2d = { batch: 8, channels: 64, image: 56, filters: 64, filterSize: 3 } as const
export const gpt = { vocabulary: 256, length: 128, batch: 4, width: 128, heads: 4, blocks: 2 } as const
export const lstm = { vocabulary: 256, lengths: [64, 512], batch: 32, width: 128 } as const

/** How an array is drawn. */
export type Draw =
  | { readonly kind: "uniform"; readonly low: number; readonly high: number }
  | { readonly kind: "integers"; readonly below: number }
  | { readonly kind: "constant"; readonly value: number }

export interface ArraySpec {
  readonly name: string
  readonly shape: readonly number[]
  readonly draw: Draw
}

const uniform = (high: number, low = -high): Draw => ({ kind: "uniform", low, high })
const below = (limit: number): Draw => ({ kind: "integers", below: limit })
const constant = (value: number): Draw => ({ kind: "constant", value })
/** Weights that keep the variance of what they are multiplied with; √2 more in front of a relu. */
const weight = (fanIn: number, gain = Math.SQRT2): Draw => uniform(gain * Math.sqrt(3 / fanIn))

function blockArrays(block: number): ArraySpec[] {
  const { width } = gpt
  const wide = 4 * width
  const array = (name: string, shape: number[], draw: Draw) => ({ name: `gpt.${block}.${name}`, shape, draw })
  return [
    array("norm1.scale", [width], constant(1)),
    array("norm1.shift", [width], constant(0)),
    ...["query", "key", "value", "output"].map((name) => array(name, [width, width], weight(width, 1))),
    array("norm2.scale", [width], constant(1)),
    array("norm2.shift", [width], constant(0)),
    array("up", [width, wide], weight(width, 1)),
    array("up.bias", [wide], constant(0)),
    array("down", [wide, width], weight(wide, 1)),
    array("down.bias", [width], constant(0)),
  ]
}

/** Each array has a stream of its own, numbered by its place among those that are drawn: new ones go to the end. */
export const arrays: readonly ArraySpec[] = [
  { name: "gemm.a", shape: [1024, 1024], draw: uniform(1) },
  { name: "gemm.b", shape: [1024, 1024], draw: uniform(1) },
  ...["a", "b", "c"].map((name) => ({ name: `elementwise.${name}`, shape: [elementwise.elements], draw: uniform(2) })),
  { name: "regression.x", shape: [32, 13], draw: uniform(1) },
  { name: "regression.y", shape: [32, 1], draw: uniform(1) },
  { name: "regression.w", shape: [13, 1], draw: uniform(0.5) },
  { name: "regression.b", shape: [1], draw: constant(0) },
  { name: "mlp.x.64", shape: [64, 784], draw: uniform(1, 0) },
  { name: "mlp.labels.64", shape: [64], draw: below(10) },
  { name: "mlp.w1", shape: [784, 256], draw: weight(784) },
  { name: "mlp.b1", shape: [256], draw: constant(0) },
  { name: "mlp.w2", shape: [256, 128], draw: weight(256) },
  { name: "mlp.b2", shape: [128], draw: constant(0) },
  { name: "mlp.w3", shape: [128, 10], draw: weight(128) },
  { name: "mlp.b3", shape: [10], draw: constant(0) },
  { name: "lenet.x.32", shape: [32, 1, 28, 28], draw: uniform(1, 0) },
  { name: "lenet.labels.32", shape: [32], draw: below(10) },
  { name: "lenet.k1", shape: [8, 1, 5, 5], draw: weight(25) },
  { name: "lenet.c1", shape: [8], draw: constant(0) },
  { name: "lenet.k2", shape: [16, 8, 5, 5], draw: weight(200) },
  { name: "lenet.c2", shape: [16], draw: constant(0) },
  { name: "lenet.w1", shape: [256, 120], draw: weight(256) },
  { name: "lenet.b1", shape: [120], draw: constant(0) },
  { name: "lenet.w2", shape: [120, 84], draw: weight(120) },
  { name: "lenet.b2", shape: [84], draw: constant(0) },
  { name: "lenet.w3", shape: [84, 10], draw: weight(84) },
  { name: "lenet.b3", shape: [10], draw: constant(0) },
  { name: "conv2d.x", shape: [8, 64, 56, 56], draw: uniform(1) },
  { name: "conv2d.w", shape: [64, 64, 3, 3], draw: uniform(0.1) },
  { name: "conv2d.dy", shape: [8, 64, 56, 56], draw: uniform(1) },
  { name: "gpt.tokens", shape: [4, 128], draw: below(256) },
  { name: "gpt.targets", shape: [4, 128], draw: below(256) },
  { name: "gpt.embedding", shape: [256, 128], draw: uniform(0.05) },
  { name: "gpt.positions", shape: [128, 128], draw: uniform(0.05) },
  ...blockArrays(0),
  ...blockArrays(1),
  { name: "gpt.norm.scale", shape: [128], draw: constant(1) },
  { name: "gpt.norm.shift", shape: [128], draw: constant(0) },
  { name: "gpt.head", shape: [128, 256], draw: weight(128, 1) },
  { name: "mlp.x.128", shape: [128, 784], draw: uniform(1, 0) },
  { name: "mlp.labels.128", shape: [128], draw: below(10) },
  { name: "lenet.x.64", shape: [64, 1, 28, 28], draw: uniform(1, 0) },
  { name: "lenet.labels.64", shape: [64], draw: below(10) },
  ...lstm.lengths.flatMap((length) => [
    { name: `lstm.tokens.${length}`, shape: [lstm.batch, length], draw: below(256) },
    { name: `lstm.targets.${length}`, shape: [lstm.batch, length], draw: below(256) },
  ]),
  { name: "lstm.embedding", shape: [256, 128], draw: uniform(1) },
  { name: "lstm.input", shape: [128, 512], draw: weight(128, 1) },
  { name: "lstm.state", shape: [128, 512], draw: weight(128, 1) },
  { name: "lstm.bias", shape: [512], draw: constant(0) },
  { name: "lstm.head", shape: [128, 256], draw: weight(128, 1) },
]
