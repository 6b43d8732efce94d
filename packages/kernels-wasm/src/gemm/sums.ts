// Which sums a product forms. Tiles add products in the order of k, however operands lie; dot products and streams have orders
// of their own. What decides between them is the schedule, so that it can be told beforehand whether bits stay the same.

import { scheduleGemm } from "./schedule.ts"
import { complete, type GemmSpec } from "./spec.ts"

/** Products of one shape with equal texts have equal bits. */
export function sumsOf(spec: GemmSpec, hasEpilogue = false): string {
  const { parts, isSwapped } = scheduleGemm(complete(spec), hasEpilogue)
  if (parts.every(({ kernel }) => kernel === "outer")) return "in order"
  const kinds = parts.map(({ kernel, first, lines }) => `${kernel} ${first} ${lines}`)
  return `${isSwapped ? "columns" : "rows"}: ${kinds.join(", ")}`
}
