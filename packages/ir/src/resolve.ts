// Programs from files: reading the JSON form, and attaching records to what was read. A program with its records is
// checked as strictly as one that was built: attributes by kind, slots, and every shape inferred again.

import { checkAttrs } from "./attributes.ts"
import { collectEqualities, type Equality } from "./constraints.ts"
import { copyProgram } from "./copy.ts"
import { fail, isCounterflowError, nearest } from "./errors.ts"
import type { Operator } from "./operator.ts"
import { Program } from "./program.ts"
import { readProgram } from "./reader.ts"
import { type OpRecord, unwrapInputs } from "./record.ts"
import { checkSlots, checkTypes } from "./signature.ts"

/** Reads the versioned JSON form, an object or its text. Throws before anything is built when it is malformed. */
export function programFromJson(json: unknown): Program {
  return readProgram(json, new Program())
}

/** A copy of a program with the records of `lookup`. `known` are the names to suggest one of for an unknown op. */
export function attachRecords(
  program: Program,
  lookup: (name: string) => OpRecord | undefined,
  known: Iterable<string> = [],
): Program {
  const names = [...known]
  return copyProgram(program, new Program(), { resolve: (op) => resolveOperator(op, lookup(op.type), names) })
}

function resolveOperator(
  op: Operator,
  record: OpRecord | undefined,
  known: readonly string[],
): { record: OpRecord; equalities: readonly Equality[] } {
  const where = `it assigns ${op.outputList().map(String).join(", ") || "nothing"}`
  if (record === undefined) {
    const near = nearest(op.type, known)
    return fail("CF_UNKNOWN_OP", `the registry has no op "${op.type}"`, {
      where,
      fix: near === undefined ? "extend the registry with its record" : `did you mean "${near}"?`,
    })
  }
  if (op.record.version > record.version) {
    fail(
      "CF_NEWER_VERSION",
      `written by version ${op.record.version} of the op; this build has version ${record.version}`,
      {
        op: op.type,
        where,
        fix: "update the package that has the op",
      },
    )
  }
  try {
    checkSlots(op, record)
    checkAttrs(record, op.attrs)
    const rule = () => record.inferTypes(unwrapInputs(record, op.inputs), op.attrs, { blocks: op.blocks })
    const { result, equalities } = collectEqualities(rule)
    checkTypes(op, record, result)
    return { record, equalities }
  } catch (error) {
    throw isCounterflowError(error) ? error.with({ op: op.type, where }) : error
  }
}
