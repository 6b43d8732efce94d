// Breaks one invariant of a program that verifies otherwise, and tells what the verifier says.

import {
  type Block,
  Operator,
  type OperatorInit,
  type OpRecord,
  Program,
  type TensorType,
  unknownSite,
  Variable,
  verify,
} from "@counterflow/ir"
import { dataOf } from "./programs.ts"
import { add } from "./records.ts"
import { messageOf } from "./refusals.ts"

/** What verify says of the program that `plant` spoils; places are cut, they are tested in names.test.ts. */
export function refused(plant: (program: Program, parts: { x: Variable; w: Variable; y: Variable }) => void): string {
  const program = new Program()
  const x = dataOf(program, "x", [2])
  const w = program.globalBlock().createParameter({ name: "w", shape: [2], dtype: "float32" })
  const y = add(x, w)
  verify(program)
  plant(program, { x, w, y })
  return messageOf(() => verify(program)).replace(/built at \S+:\d+:\d+/g, "built at …")
}

export const float = (shape: TensorType["shape"]): TensorType => ({ shape, dtype: "float32" })

export function variable(block: Block, name: string, type: TensorType = float([2]), isListed = true): Variable {
  const made = new Variable(block, name, type, unknownSite, "forward")
  if (isListed) block.addVar(made)
  return made
}

/** An operator as no public function would make it. */
export function put(
  block: Block,
  record: OpRecord,
  init: Partial<OperatorInit>,
  outputs: Record<string, Variable[]>,
): Operator {
  const base = {
    inputs: {},
    attrs: {},
    blocks: {},
    writes: [],
    role: "forward",
    derivedFrom: null,
    scope: "",
    site: unknownSite,
    equalities: [],
  } as const
  const op = new Operator(block, { ...base, ...init, record }, outputs)
  block.addOp(op)
  return op
}
