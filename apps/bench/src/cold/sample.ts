// What the cold programs train on, without a file: data and initial weights of the MLP 784-256-128-10 by a formula, the same for
// all of them, Python's included; and how they report their first step.

export const batch = 64
export const sizes: readonly (readonly [number, number])[] = [
  [784, 256],
  [256, 128],
  [128, 10],
]

/** Multiples of 1/32768 in [−1, 1), which no run of consecutive ones repeats soon. */
function spread(elements: number, scale: number): Float32Array {
  return Float32Array.from({ length: elements }, (_, i) => (((i * 40503) % 65536) / 32768 - 1) * scale)
}

export const x: Float32Array = spread(batch * 784, 1)
export const labels: Int32Array = Int32Array.from({ length: batch }, (_, i) => i % 10)

export interface ColdParameter {
  readonly data: Float32Array
  readonly shape: readonly number[]
}

/** Weight and bias of each layer in turn. */
export const parameters: readonly ColdParameter[] = sizes.flatMap(([from, to]) => [
  { data: spread(from * to, Math.sqrt(6 / from)), shape: [from, to] },
  { data: new Float32Array(to), shape: [to] },
])

/** Says that the first step is done: the line the harness waits for, or in a browser a line on the console. */
export function report(loss: number): void {
  if (typeof process === "undefined" || process.versions?.node === undefined) {
    console.log(`the loss of the first step is ${loss}`)
    return
  }
  process.stdout.write(`@${JSON.stringify({ loss, peakBytes: 1024 * peakKilobytes() })}\n`)
}

/** Linux's own figure where there is one: that of `resourceUsage` begins with what the process that started this one held. */
function peakKilobytes(): number {
  const files = process.platform === "linux" ? process.getBuiltinModule?.("node:fs") : undefined
  const peak = /VmHWM:\s*(\d+) kB/.exec(files?.readFileSync("/proc/self/status", "utf8") ?? "")
  return Number(peak?.[1] ?? process.resourceUsage().maxRSS)
}
