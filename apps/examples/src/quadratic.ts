// Meta-gradients that can be written down. On the loss L(w) = ½ (w − c)ᵀ A (w − c), descent with step size η multiplies the
// distance from the minimum by M = I − η A at each step, so with e₀ = w₀ − c and n steps
//
//   L_n = ½ e_nᵀ A e_n,  e_n = Mⁿ e₀,   ∂L_n/∂w₀ = Mⁿ A Mⁿ e₀,   ∂L_n/∂η = −n e₀ᵀ Mⁿ A² Mⁿ⁻¹ e₀

import { Executor, gradients, layers, Program, programGuard } from "counterflow"
import { descend } from "./descent.ts"

export interface Quadratic {
  /** A, symmetric. */
  readonly matrix: readonly (readonly number[])[]
  readonly minimum: readonly number[]
  readonly start: readonly number[]
  readonly rate: number
  readonly steps: number
}

export interface MetaGradient {
  readonly loss: number
  readonly start: readonly number[]
  readonly rate: number
}

/** The loss after the descent and its gradients, through the loop. */
export async function metaGradient({ matrix, minimum, start, rate, steps }: Quadratic): Promise<MetaGradient> {
  const size = start.length
  const fetch = programGuard(new Program(), new Program(), () => {
    const given = (name: string, shape: number[]) =>
      layers.data({ name, shape, dtype: "float64", appendBatchSize: false })
    const [a, c, w0, eta] = [given("a", [size, size]), given("c", [size, 1]), given("w0", [size, 1]), given("eta", [])]
    for (const input of [w0, eta]) input.stopGradient = false
    const {
      weights: [last],
    } = descend(([w]) => lossAt(w!), { weights: [w0], rate: eta, steps })
    const loss = lossAt(last!)
    const [dw0, deta] = gradients(loss, [w0, eta])
    return [loss, dw0!, deta!] as const

    function lossAt(w: typeof w0) {
      const e = layers.sub(w, c)
      return layers.scale(layers.reduceSum(layers.mul(e, layers.matmul(a, e))), { scale: 0.5 })
    }
  })
  const feed = { a: matrix.flat(), c: [...minimum], w0: [...start], eta: rate }
  const [loss, dStart, dRate] = await new Executor().run(fetch[0].program, { feed, fetch })
  return { loss: loss.item(), start: [...dStart.data].map(Number), rate: dRate.item() }
}

/** The same from the formulas above. */
export function closedForm({ matrix, minimum, start, rate, steps }: Quadratic): MetaGradient {
  const apply = (v: readonly number[]) => matrix.map((row) => dot(row, v))
  const shrink = (v: readonly number[], times: number): readonly number[] => {
    if (times === 0) return v
    const step = apply(v)
    return shrink(
      v.map((value, i) => value - rate * (step[i] ?? NaN)),
      times - 1,
    )
  }
  const first = start.map((value, i) => value - (minimum[i] ?? NaN))
  const last = shrink(first, steps)
  const slope = steps === 0 ? 0 : -steps * dot(last, apply(apply(shrink(first, steps - 1))))
  return { loss: dot(last, apply(last)) / 2, start: shrink(apply(last), steps), rate: slope }
}

function dot(x: readonly number[], y: readonly number[]): number {
  return x.reduce((sum, value, i) => sum + value * (y[i] ?? NaN), 0)
}
