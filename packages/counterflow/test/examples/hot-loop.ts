// A step compiled once: everything it costs is known before it runs, and running it allocates nothing but its results.
import { cpu, Executor, layers, optim, Program, programGuard } from "counterflow"

const main = new Program()
const startup = new Program()
const loss = programGuard(main, startup, () => {
  const x = layers.data({ name: "x", shape: [4] })
  const y = layers.data({ name: "y", shape: [1] })
  const cost = layers.mean(layers.squareErrorCost(layers.fc(x, { size: 1 }), y))
  new optim.SGD({ learningRate: 0.05 }).minimize(cost)
  return cost
})

const exe = new Executor(cpu())
await exe.run(startup)
const step = await exe.compile(main, { feed: { x: [8, 4], y: [8, 1] }, fetch: [loss] })
const { memory, flops } = step
const known = { ...memory, flops, plan: step.plan.toString().split("\n").length }

const x = Float32Array.from({ length: 32 }, (_, i) => Math.sin(i))
const y = Float32Array.from({ length: 8 }, (_, i) => x[4 * i]! - 2 * x[4 * i + 1]! + 0.5)
const allocated = exe.memory
const into = [new Float32Array(1)] as const
const losses: number[] = []
for (let i = 0; i < 1000; i++) {
  step.runSync({ x, y }, { into })
  losses.push(into[0][0] ?? NaN)
}
const [result] = await step.run({ x, y })

console.log(
  JSON.stringify({
    known,
    allocated,
    allocatedAfter: exe.memory,
    first: losses[0],
    last: losses.at(-1),
    next: result.item(),
    w: exe.scope.get("fc_0.w_0").toArray(),
  }),
)
