// The MLP in jax-js, trained for one step, which is jitted whole.

import * as jax from "@jax-js/jax"
import { batch, labels, parameters, report, x } from "../../dist/cold/sample.js"
import { adam, adamState, crossEntropy, train } from "../jax/training.mjs"

globalThis.navigator ??= {}
await jax.init("wasm")
jax.defaultDevice("wasm")
const { numpy: np, nn } = jax
const loss = (p, x, labels) => {
  const h1 = nn.relu(np.matmul(x, p[0]).add(p[1]))
  const h2 = nn.relu(np.matmul(h1, p[2]).add(p[3]))
  return crossEntropy({ jax }, np.matmul(h2, p[4]).add(p[5]), labels, 10).div(batch)
}
const initial = parameters.map(({ data, shape }) => np.array(data).reshape(shape))
const data = [np.array(x).reshape([batch, 784]), np.array(labels, { dtype: np.int32 })]
const { check } = await train({ jax }, adamState({ jax }, initial), adam({ jax }, loss), data, 1)
report(check)
