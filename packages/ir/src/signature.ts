// Whether an operator fits a record: its slots, and the types that the record's shape rule gives its outputs.

import { formatShape, sameShape } from "./dims.ts"
import { fail } from "./errors.ts"
import type { Operator } from "./operator.ts"
import {
  isList,
  isOptional,
  type OpRecord,
  outputSlots,
  type Slots,
  type TensorType,
  type TypeBySlot,
} from "./record.ts"
import type { Variable } from "./variable.ts"

/** Throws CF_BAD_PROGRAM unless every slot of the record is filled as it demands and there are no others. */
export function checkSlots(op: Operator, record: OpRecord): void {
  const inputs = Object.entries(record.inputs).map(([slot, kind]) => ({
    slot,
    list: isList(kind),
    optional: isOptional(kind),
  }))
  const outputs = outputSlots(record).map(({ slot, isList: list }) => ({ slot, list, optional: false }))
  checkSide("input", op.inputs, inputs)
  checkSide("output", op.outputs, outputs)
}

function checkSide(
  side: "input" | "output",
  slots: Slots<Variable>,
  expected: readonly { slot: string; list: boolean; optional: boolean }[],
): void {
  for (const slot of Object.keys(slots)) {
    if (expected.some((known) => known.slot === slot)) continue
    const names = expected.map((known) => known.slot).join(", ")
    fail("CF_BAD_PROGRAM", `there is no ${side} ${slot}; the ${side}s are ${names || "none"}`)
  }
  for (const { slot, list, optional } of expected) {
    const count = slots[slot]?.length ?? 0
    if (list || count === 1 || (optional && count === 0)) continue
    fail(
      "CF_BAD_PROGRAM",
      count === 0 ? `${side} ${slot} is missing` : `${side} ${slot} takes one variable, got ${count}`,
    )
  }
}

/** Throws CF_BAD_PROGRAM unless the outputs have the types that the shape rule says. */
export function checkTypes(op: Operator, record: OpRecord, types: TypeBySlot): void {
  for (const { slot } of outputSlots(record)) {
    const answer = types[slot]
    const expected: readonly TensorType[] = answer === undefined ? [] : isTypeList(answer) ? answer : [answer]
    const outputs = op.outputs[slot] ?? []
    if (outputs.length !== expected.length) {
      fail("CF_BAD_PROGRAM", `output ${slot} must hold ${expected.length} variables, got ${outputs.length}`)
    }
    for (const [index, output] of outputs.entries()) {
      const type = expected[index]
      if (type === undefined || (type.dtype === output.dtype && sameShape(type.shape, output.shape))) continue
      fail(
        "CF_BAD_PROGRAM",
        `the shape rule says ${type.dtype}${formatShape(type.shape)} for output ${slot}, got ${output.toString()}`,
      )
    }
  }
}

function isTypeList(answer: TensorType | readonly TensorType[]): answer is readonly TensorType[] {
  return Array.isArray(answer)
}
