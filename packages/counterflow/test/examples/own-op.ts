// An op from outside: one record, one kernel, no registration. It is run, differentiated, saved and read back.
import {
  appendBackward,
  cpu,
  Executor,
  extend,
  layers,
  parseProgram,
  Program,
  programGuard,
  type Variable,
} from "counterflow"
import type { CpuTable } from "@counterflow/kernels-cpu"
import { emit, mul, primitive, registry, sub } from "@counterflow/ops"

/** x / (1 + |x| / limit): goes to ±limit, smoothly. */
function softClip(x: Variable, { limit }: { limit: number }): Variable {
  return emit(softClipOp, { x }, { limit }, softClip).z
}

const softClipOp = primitive({
  name: "softClip",
  inputs: { x: "tensor" },
  outputs: ["z"],
  attrs: { limit: "number" },
  infer: ({ x }) => ({ z: x }),
  // forward   z = x / (1 + |x| / limit)
  // backward  dx = dz / (1 + |x| / limit)² = dz (1 − |z| / limit)²
  grad: (_inputs, { z }, { z: dz }, { limit }) => ({
    x: mul(dz, layers.square(sub(1, layers.scale(layers.abs(z), { scale: 1 / limit })))),
  }),
  facts: { kind: "opaque" },
})

const kernels = {
  softClip: ({ inputs: { x }, outputs: { z }, attrs: { limit } }) => {
    return () => {
      for (let i = 0; i < z.data.length; i++) z.data[i] = x.data[i]! / (1 + Math.abs(x.data[i]!) / limit)
    }
  },
} satisfies CpuTable<{ softClip: typeof softClipOp }>

const own = extend(registry, { softClip: softClipOp })
const main = new Program()
const startup = new Program()
programGuard(main, startup, () => {
  const x = layers.data({ name: "x", shape: [2] })
  x.stopGradient = false
  const loss = layers.reduceSum(softClip(x, { limit: 2 }))
  appendBackward(loss, { parameterList: [x] })
})

const results: unknown[] = []
for (const program of [main, parseProgram(main.toString(), own), Program.fromJSON(JSON.stringify(main))]) {
  const exe = new Executor(cpu({ kernels }), { registry: own })
  const [z, dx] = await exe.run(program, { feed: { x: [[2, -6]] }, fetch: ["soft_clip_0.tmp_0", "x@GRAD"] })
  results.push({ z: z.toArray(), dx: dx.toArray() })
}

console.log(JSON.stringify(results))
