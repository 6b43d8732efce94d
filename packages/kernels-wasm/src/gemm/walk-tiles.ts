// Two loops over tiles. Pointers into an operand and into C, and the number of the first line where anybody asks for
// it, are stepped along; the outer loop steps the parameters themselves.

import type { FunctionBuilder, Local, Operand } from "../assembler/index.ts"

/** The tiles along one operand. */
export interface TileAxis {
  readonly count: Operand<"i32">
  readonly source: Local<"i32">
  readonly index: Local<"i32"> | undefined
  /** From tile to tile: bytes in the operand and in C, and lines. */
  readonly step: number
  readonly stepInC: number
  readonly lines: number
}

export interface TileSources {
  readonly source: Local<"i32">
  readonly index: Local<"i32"> | undefined
}

export function walkTiles(
  f: FunctionBuilder,
  c: Local<"i32">,
  slow: TileAxis,
  fast: TileAxis,
  body: (slow: TileSources, fast: TileSources, c: Local<"i32">) => void,
): void {
  const advance = (axis: TileAxis, { source, index }: TileSources, address: Local<"i32">) => {
    const steps: [Local<"i32">, number][] = [
      [source, axis.step],
      [address, axis.stepInC],
    ]
    if (index !== undefined) steps.push([index, axis.lines])
    return { advance: steps }
  }
  const round = () => {
    const [source, address] = [f.let(fast.source), f.let(c)]
    const index = fast.index === undefined ? undefined : f.let(fast.index)
    const inner = { source, index }
    f.forRange(fast.count, () => body(slow, inner, address), advance(fast, inner, address))
  }
  f.forRange(slow.count, round, advance(slow, slow, c))
}
