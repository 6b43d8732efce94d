// Shuffles of four floats.

import { type Expr, i8x16 } from "../assembler/index.ts"

/** 32-bit lanes, 0 to 3 from x and 4 to 7 from y. */
export function floatShuffle(
  lanes: readonly [number, number, number, number],
  x: Expr<"v128">,
  y: Expr<"v128">,
): Expr<"v128"> {
  const bytes = lanes.flatMap((lane) => [0, 1, 2, 3].map((byte) => 4 * lane + byte))
  return i8x16.shuffle(bytes, x, y)
}

/** Lanes 0 and 2 of both. */
export function evenLanes(x: Expr<"v128">, y: Expr<"v128">): Expr<"v128"> {
  return floatShuffle([0, 2, 4, 6], x, y)
}

export function oddLanes(x: Expr<"v128">, y: Expr<"v128">): Expr<"v128"> {
  return floatShuffle([1, 3, 5, 7], x, y)
}
