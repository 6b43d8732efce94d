// What is measured: for each workload what one step is, how much arithmetic it holds, what its check is, and how far two
// peers' checks may lie apart.

import { conv2d, gemm, lstm } from "./sizes.ts"

export interface Workload {
  readonly id: string
  /** One step, in words. */
  readonly step: string
  /** Floating point operations of a step where the count is beyond dispute, else null. */
  readonly flops: number | null
  /** What the number is that all peers must agree on. */
  readonly check: string
  /** The largest relative difference of a check that passes for rounding. */
  readonly tolerance: number
  /** It asks something of counterflow that has no counterpart elsewhere. */
  readonly isOwn?: boolean
}

export interface Group {
  readonly id: string
  readonly title: string
  readonly workloads: readonly Workload[]
}

const probed = "weighted mean of the absolute values of the results"
const afterSteps = (steps: number) => `loss of step ${steps}`
const convFlops = 2 * conv2d.batch * conv2d.filters * conv2d.channels * conv2d.filterSize ** 2 * conv2d.image ** 2

const products = { nn: "A B", nt: "A Bᵀ", tn: "Aᵀ B" } as const

/** Sums of products and chains of a few functions: float32 rounding in another order. */
const rounding = 1e-5
/**
 * Adam moves a weight by a whole learning rate however small its gradient is, so rounding that switches one relu moves all
 * weights behind it; and libraries differ in whether ε is added before or after the bias of the moments is undone.
 */
const adaptive = 5e-4

export const groups: readonly Group[] = [
  {
    id: "gemm",
    title: "Matrix products",
    workloads: gemm.forms.flatMap((form) =>
      gemm.sizes.map((n) => ({
        id: `gemm.${form}.${n}`,
        step: `C = ${products[form]}, all ${n} × ${n}`,
        flops: 2 * n ** 3,
        check: probed,
        tolerance: rounding,
      })),
    ),
  },
  {
    id: "elementwise",
    title: "Elementwise chain",
    workloads: [
      {
        id: "elementwise.forward",
        step: "y = tanh(a ∘ b + c) ∘ sigmoid(a) − relu(c), 1,000,000 elements",
        flops: null,
        check: probed,
        tolerance: rounding,
      },
      {
        id: "elementwise.gradient",
        step: "its gradients to a, b and c for dy = 1, all three materialised",
        flops: null,
        check: probed,
        tolerance: rounding,
      },
    ],
  },
  {
    id: "regression",
    title: "Linear regression",
    workloads: [
      {
        id: "regression",
        step: "13 → 1, batch 32, mean squared error, SGD, loss read: the overhead of a step",
        flops: null,
        check: afterSteps(10),
        tolerance: rounding,
      },
      {
        id: "regression.run",
        step: "the same through `executor.runSync`, which looks for the compiled step first",
        flops: null,
        check: afterSteps(10),
        tolerance: rounding,
        isOwn: true,
      },
    ],
  },
  {
    id: "mlp",
    title: "MLP 784-256-128-10",
    workloads: [
      {
        id: "mlp.forward",
        step: "forward alone, batch 64, logits read",
        flops: null,
        check: probed,
        tolerance: rounding,
      },
      ...[64, 128].map((batch) => ({
        id: `mlp.${batch}`,
        step: `training step, batch ${batch}, softmax cross entropy, Adam, loss read`,
        flops: null,
        check: afterSteps(5),
        tolerance: adaptive,
      })),
    ],
  },
  {
    id: "lenet",
    title: "LeNet on 28 × 28",
    workloads: [
      {
        id: "lenet.forward",
        step: "forward alone, batch 32, logits read",
        flops: null,
        check: probed,
        tolerance: rounding,
      },
      ...[32, 64].map((batch) => ({
        id: `lenet.${batch}`,
        step: `training step, batch ${batch}, softmax cross entropy, SGD with momentum, loss read`,
        flops: null,
        check: afterSteps(10),
        tolerance: 1e-4,
      })),
    ],
  },
  {
    id: "conv2d",
    title: "Convolution 8 × 64 × 56 × 56, 64 filters 3 × 3",
    workloads: [
      {
        id: "conv2d.forward",
        step: "y = x ∗ w, padding 1",
        flops: convFlops,
        check: probed,
        tolerance: rounding,
      },
      {
        id: "conv2d.gradients",
        step: "y, and the gradients to x and w for a given dy",
        flops: 3 * convFlops,
        check: probed,
        tolerance: rounding,
      },
    ],
  },
  {
    id: "gpt",
    title: "GPT of two blocks",
    workloads: [
      {
        id: "gpt",
        step: "training step, width 128, 4 heads, 128 tokens, batch 4, vocabulary 256, Adam, loss read",
        flops: null,
        check: afterSteps(5),
        tolerance: adaptive,
      },
    ],
  },
  {
    id: "lstm",
    title: "LSTM of width 128",
    workloads: [
      ...lstm.lengths.map((length) => ({
        id: `lstm.${length}`,
        step: `training step, ${length} tokens, batch 32, vocabulary 256, Adam, loss read`,
        flops: null,
        check: afterSteps(5),
        tolerance: adaptive,
      })),
      {
        id: "lstm.unrolled",
        step: "the same for 64 tokens, with each of the 64 steps written out in the program instead of a loop",
        flops: null,
        check: afterSteps(5),
        tolerance: adaptive,
        isOwn: true,
      },
    ],
  },
]

export const workloads: readonly Workload[] = groups.flatMap((group) => group.workloads)

/** The parts of the run beside the workloads. */
export const cold = "cold"
export const compile = "compile"
export const memory = "memory"
/** Whose compile times are measured. */
export const compiled = ["mlp.128", "lenet.32", "gpt", "lstm.64", "lstm.512", "lstm.unrolled"] as const

/** Whether `--only` asks for this: its name, or that of its group. */
export function isWanted(id: string, only: readonly string[] | null): boolean {
  return only === null || only.some((name) => id === name || id.startsWith(`${name}.`))
}
