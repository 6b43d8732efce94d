// Parameters: made in the main program, initialized in the startup program, shared by name.

import { type DType, fail, Parameter, type Program, sameShape, type Variable } from "@counterflow/ir"
import { paramAttrOf, type ParamAttrLike } from "./attribute.ts"
import type { Initializer } from "./initializer.ts"

export interface ParameterRequest {
  program: Program
  startup: Program
  /** The name, unless the attributes have one. */
  uniqueName: () => string
  shape: readonly number[]
  dtype: DType
  attr: ParamAttrLike
  /** What fills it unless the attributes say otherwise. */
  initializer: Initializer
}

/** A parameter with its initializer in the startup program; or, as in Fluid, the one that has the asked name already. */
export function makeParameter(request: ParameterRequest): Parameter {
  const { program, startup, shape, dtype } = request
  const attr = paramAttrOf(request.attr)
  const shared = attr.name === undefined ? undefined : program.variables.get(attr.name)
  if (shared !== undefined) return checkShared(shared, request)
  const name = attr.name ?? request.uniqueName()
  const initializer = attr.initializer ?? request.initializer
  const parameter = program.globalBlock().createParameter({
    name,
    shape,
    dtype,
    trainable: attr.trainable,
    learningRate: attr.learningRate,
    regularizer: attr.regularizer ? { kind: attr.regularizer.kind, coefficient: attr.regularizer.coefficient } : null,
    initializer: initializer.toString(),
  })
  initializer.initialize(parameter, startup)
  return parameter
}

function checkShared(shared: Variable, { shape, dtype }: ParameterRequest): Parameter {
  if (!(shared instanceof Parameter)) {
    return fail("CF_DUPLICATE_NAME", `"${shared.name}" names a variable that is no parameter`, {
      notes: [String(shared)],
      fix: "give the parameter another name",
    })
  }
  const wanted = `${shared.name} ${dtype}[${shape.join(", ")}]`
  const about = {
    notes: [`have  ${shared}   built at ${shared.site}`, `want  ${wanted}`],
    fix: "share it between layers of one width, or give the second parameter another name",
  }
  if (!sameShape(shared.shape, shape)) {
    fail("CF_SHAPE_MISMATCH", `the shared parameter ${shared.name} must have one shape`, about)
  }
  if (shared.dtype !== dtype) {
    fail("CF_DTYPE_MISMATCH", `the shared parameter ${shared.name} must have one dtype`, about)
  }
  return shared
}
