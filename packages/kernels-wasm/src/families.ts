// The kernels in families, each a value: a backend is made of those that its programs need, and a bundle has no others. A module
// of its own, because some bundlers drop what nobody uses of a module, but not of a namespace that another one exports.

export { arrays } from "./generate/movement/row.ts"
export { branching as control } from "./generate/flow/branching.ts"
export { convolution } from "./generate/convolution.ts"
export { crossEntropyGenerators as crossEntropy } from "./generate/composite/crossentropy.ts"
export { scan as cumulative } from "./generate/reduction/scan.ts"
export { gaussian } from "./generate/random/normal.ts"
export { layerNormGenerators as layerNorm } from "./generate/composite/layernorm.ts"
export { matmulGenerators as matmul } from "./generate/matmul/matmul.ts"
export { maxPooling } from "./generate/pooling/max.ts"
export { meanPooling } from "./generate/pooling/mean.ts"
export { random } from "./generate/random/random.ts"
export { reduction } from "./generate/reduction/reduction.ts"
export { selection } from "./generate/movement/selection.ts"
export { softmaxGenerators as softmax } from "./generate/composite/softmax.ts"
export { threads } from "./threads/family.ts"
export { erf, power, trigonometry } from "./math/families.ts"
