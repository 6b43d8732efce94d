// A GPT: learned positions, blocks of causal attention and a wide layer, each behind a layer norm and added to what it reads;
// a last layer norm and a head that is not tied to the embedding.

import { layers, ops, optim, type Variable } from "counterflow"
import { elementsOf, type Source } from "../data.ts"
import { crossEntropy } from "./dense.ts"
import { type Model, model } from "./model.ts"

export interface GptSizes {
  readonly vocabulary: number
  /** Tokens in a sequence. */
  readonly length: number
  readonly width: number
  readonly heads: number
  readonly blocks: number
}

/** What attention adds to the scores of later tokens. */
const never = -1e9

/** A parameter that no optimizer trains, named "mask": above the diagonal −10⁹, else 0. */
function causalMask(length: number): Variable {
  return layers.createParameter({ shape: [length, length], attr: { name: "mask", trainable: false } })
}

/** The source with the mask beside the weights. */
export function withMask(source: Source, length: number): Source {
  const shape = [length, length]
  const mask = Float32Array.from({ length: elementsOf(shape) }, (_, i) =>
    i % length > Math.floor(i / length) ? never : 0,
  )
  return (name) => (name === "mask" ? { data: mask, shape } : source(name))
}

/** Normalizes each token. */
function norm(x: Variable, name: string): Variable {
  return layers.layerNorm(x, { beginNormAxis: 2, paramAttr: `${name}.scale`, biasAttr: `${name}.shift` })
}

/** The same linear map for each token. */
function linear(x: Variable, size: number, name: string, biasAttr: string | false = false): Variable {
  return layers.fc(x, { size, numFlattenDims: 2, paramAttr: name, biasAttr })
}

/** [batch, length, width] → [batch, heads, length, width / heads] */
function split(x: Variable, heads: number): Variable {
  return ops.transpose(ops.reshape(x, { shape: [0, 0, heads, -1] }), { perm: [0, 2, 1, 3] })
}

/** The inverse of `split`. */
function join(x: Variable, width: number): Variable {
  return ops.reshape(ops.transpose(x, { perm: [0, 2, 1, 3] }), { shape: [0, 0, width] })
}

function attention(x: Variable, mask: Variable, { width, heads }: GptSizes, name: string): Variable {
  const [query, key, value] = ["query", "key", "value"].map((part) => split(linear(x, width, `${name}.${part}`), heads))
  if (query === undefined || key === undefined || value === undefined) throw new Error("three maps were asked for")
  const scores = ops.matmul(query, key, { transposeY: true, alpha: 1 / Math.sqrt(width / heads) })
  const weights = ops.softmax(ops.add(scores, mask))
  return linear(join(ops.matmul(weights, value), width), width, `${name}.output`)
}

function wideLayer(x: Variable, width: number, name: string): Variable {
  const wide = ops.gelu(linear(x, 4 * width, `${name}.up`, `${name}.up.bias`), { approximate: true })
  return linear(wide, width, `${name}.down`, `${name}.down.bias`)
}

/** `keep` is shown what each block reads, and what the last one makes. */
function logits(sizes: GptSizes, keep: (x: Variable) => void): Variable {
  const { vocabulary, length, width, blocks } = sizes
  const tokens = layers.data({ name: "tokens", shape: [length], dtype: "int32" })
  const embedded = layers.embedding(tokens, { size: [vocabulary, width], paramAttr: "embedding" })
  const mask = causalMask(length)
  let x = ops.add(embedded, layers.createParameter({ shape: [length, width], name: "positions" }))
  for (let block = 0; block < blocks; block++) {
    keep(x)
    x = ops.add(x, attention(norm(x, `${block}.norm1`), mask, sizes, `${block}`))
    x = ops.add(x, wideLayer(norm(x, `${block}.norm2`), width, `${block}`))
  }
  keep(x)
  return linear(norm(x, "norm"), vocabulary, "head")
}

/** Fed tokens and label, trained by Adam. `options` is given what lies between the blocks. */
export function gptTraining(
  sizes: GptSizes,
  options: (between: readonly Variable[]) => optim.MinimizeOptions = () => ({}),
): Model {
  const between: Variable[] = []
  const loss = () => crossEntropy(logits(sizes, (x) => between.push(x)))
  return model(loss, new optim.Adam({ learningRate: 1e-3 }), () => options(between))
}
