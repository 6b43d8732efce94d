// Nested loops over an index space: pointers are stepped along, so nothing is multiplied or divided inside.

import type { FunctionBuilder, Local } from "../../assembler/index.ts"

/** A pointer and its step in bytes along every axis. */
export interface Walker {
  readonly pointer: Local<"i32">
  readonly steps: readonly number[]
}

/** Runs `body` at every index, in row-major order. Each pointer ends one step of the first axis behind the space. */
export function walk(f: FunctionBuilder, sizes: readonly number[], walkers: readonly Walker[], body: () => void): void {
  nest(f, sizes, walkers, 0, body)
}

/** As `walk`, over a space whose first axis has a size that is known when the kernel is called. */
export function walkRows(
  f: FunctionBuilder,
  rows: Local<"i32">,
  inner: readonly number[],
  walkers: readonly Walker[],
  body: () => void,
): void {
  const sizes = [1, ...inner]
  f.forRange(rows, () => nest(f, sizes, walkers, 1, body), { advance: advanceOf(sizes, walkers, 0) })
}

function nest(
  f: FunctionBuilder,
  sizes: readonly number[],
  walkers: readonly Walker[],
  axis: number,
  body: () => void,
): void {
  const size = sizes[axis]
  if (size === undefined) return body()
  const advance = advanceOf(sizes, walkers, axis)
  if (size !== 1) return f.forRange(size, () => nest(f, sizes, walkers, axis + 1, body), { advance })
  nest(f, sizes, walkers, axis + 1, body)
  for (const [pointer, step] of advance) f.increment(pointer, step)
}

/** How far each pointer goes from one index of an axis to the next, where the inner loop has left it. */
function advanceOf(
  sizes: readonly number[],
  walkers: readonly Walker[],
  axis: number,
): (readonly [Local<"i32">, number])[] {
  // The inner loop has moved each pointer by its own size times its own step.
  const inner = sizes[axis + 1] ?? 0
  return walkers.flatMap(({ pointer, steps }) => {
    const step = (steps[axis] ?? 0) - inner * (steps[axis + 1] ?? 0)
    return step === 0 ? [] : [[pointer, step] as const]
  })
}
