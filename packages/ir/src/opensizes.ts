// Sizes that only a run can tell: how often a loop without a limit has run. What such a loop saves has one; loops and branches may
// hand it on and scan it, run by run. No other operator could say beforehand what memory it needs, so none may read it.

import { DimExpr, symbolsOf } from "./dims.ts"
import type { Program } from "./program.ts"
import { refuseOperator, refuseVariable } from "./refusal.ts"
import type { Variable } from "./variable.ts"

export function verifyOpenSizes(program: Program): void {
  const open = new Set<string>()
  for (const { record, attrs } of program.operators()) {
    const { opens } = record.saves ?? {}
    const symbol = opens === undefined ? undefined : attrs[opens]
    if (symbol instanceof DimExpr) open.add(symbol.key)
  }
  if (open.size === 0) return
  const isOpen = ({ shape }: Variable) => symbolsOf(shape).some((symbol) => open.has(symbol))
  for (const variable of program.variables.values()) {
    if ((variable.isData || variable.persistable) && isOpen(variable))
      refuseVariable(variable, "only a run can tell its size, so it can be neither fed nor kept")
  }
  for (const op of program.operators()) {
    if (Object.keys(op.blocks).length > 0) continue
    const found = [...op.inputList(), ...op.outputList()].find(isOpen)
    if (found !== undefined)
      refuseOperator(op, `only a run can tell the size of ${found.toString()}: loops may read it`)
  }
}
