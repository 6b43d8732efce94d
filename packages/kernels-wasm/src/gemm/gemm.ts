// Emits the function of one product: it walks batch and blocks, and leaves packing and tiles to small functions, each
// with one hot loop, which the products of a module share.

import type { ModuleBuilder } from "../assembler/index.ts"
import { more, type Procedure, procedure } from "./procedure.ts"
import { scheduleGemm } from "./schedule.ts"
import { complete, type GemmSpec } from "./spec.ts"
import type { Epilogue } from "./store.ts"
import { multiplyByBlocks } from "./walk-blocks.ts"
import { multiplyByDots } from "./walk-dots.ts"
import { multiplyByStream } from "./walk-stream.ts"

const walks = { outer: multiplyByBlocks, dot: multiplyByDots, stream: multiplyByStream }

/**
 * Bytes of scratch that the function of `emitGemm` wants, with or without an epilogue; their address should be a
 * multiple of 16.
 */
export function gemmWorkspaceBytes(spec: GemmSpec): number {
  const full = complete(spec)
  return Math.max(scheduleGemm(full).workspaceBytes, scheduleGemm(full, true).workspaceBytes)
}

/**
 * A function (a, b, c, workspace, …operands of the epilogue) of addresses, the same one for equal specs. C must overlap
 * neither A nor B.
 *
 * Each entry is a float32 sum whose order is fixed by shape, form and strides. Tiles add products one after another, in
 * pieces of at most 512 that are added to each other; few columns are dot products, which add every fourth product and
 * then the four sums; one row times a large matrix adds six products and adds those sums one after another. With s
 * roundings in a row for the sum, one for the product and up to two for alpha and accumulation, an entry is wrong by at
 * most (s + 3) · 2^-24 · (|alpha| · Σ|a||b| + |c|), to first order. Tiles have s = min(k, 512) + k / 512, dots k / 4 +
 * 4, rows k / 6 + 6.
 */
export function emitGemm(module: ModuleBuilder, spec: GemmSpec, epilogue?: Epilogue): Procedure {
  const full = complete(spec)
  const { m, n, k, form, batch } = full
  const name = `gemm${form}${m}x${n}x${k}`
  const params = ["i32", "i32", "i32", "i32", ...more(epilogue?.operands ?? 0)] as const
  const key = { ...full, epilogue: epilogue?.key }
  return procedure(module, name, key, params, (f, a, b, c, workspace, ...operands) => {
    if (m === 0 || n === 0) return
    const schedule = scheduleGemm(full, epilogue !== undefined)
    const [left, right] = schedule.isSwapped ? [b, a] : [a, b]
    const finish = epilogue === undefined ? undefined : { epilogue, operands }
    const product = { module, f, spec: full, schedule, at: { left, right, c, workspace }, finish }
    const multiply = () => {
      for (const part of schedule.parts) walks[part.kernel](product, part)
    }
    if (batch === 1) return multiply()
    const advance = [[a, 4 * full.aStep] as const, [b, 4 * full.bStep] as const, [c, 4 * full.cStep] as const]
    f.forRange(batch, multiply, { advance })
  })
}
