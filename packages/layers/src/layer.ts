// What every layer does: check its options, take a name (fc_0, counted per main program), make parameters in the main and
// their initializers in the startup program, and call ops whose outputs are named after it. All or nothing in both programs.

import {
  defaultMainProgram,
  describeValue,
  type DType,
  fail,
  type Parameter,
  type Program,
  snakeCase,
  Variable,
} from "@counterflow/ir"
import { builtBy, startupFor, withStartup } from "@counterflow/ops"
import type { ParamAttrLike } from "./attribute.ts"
import type { Initializer } from "./initializer.ts"
import { checkOptions, type OptionKinds } from "./options.ts"
import { makeParameter } from "./parameter.ts"

export interface LayerInit<O extends object> {
  /** "batchNorm": in errors as it is, in names batch_norm_0. */
  type: string
  /** The public function: the line below it is the user's line. */
  fn: (...args: never[]) => unknown
  inputs: Readonly<Record<string, Variable | readonly Variable[]>>
  options: O & { name?: string | null }
  kinds: OptionKinds<O>
}

export interface WeightInit {
  /** "w" for weights, "b" for biases: fc_0.w_0, fc_0.b_0. */
  letter: "w" | "b"
  shape: readonly number[]
  dtype: DType
  attr: ParamAttrLike
  /** What fills it unless its attributes say otherwise. */
  initializer: Initializer
}

/** A layer while it is built. */
export interface Layer {
  readonly name: string
  readonly program: Program
  /** A parameter of its own, or the one that the attributes name. */
  parameter(init: WeightInit): Parameter
}

/** Builds a layer. `body` makes its parameters and calls ops; the first output of an op is `fc_0.tmp_0`, and so on. */
export function layer<T, O extends object>(init: LayerInit<O>, body: (own: Layer) => T): T {
  const { type, fn, inputs, options, kinds } = init
  return builtBy(fn, type, () => {
    checkOptions<object>(options, kinds)
    const program = programOf(inputs)
    const startup = startupFor(program)
    return withStartup(program, startup, () => {
      const name = options.name ?? program.uniqueName(snakeCase(type))
      const parameter = ({ letter, ...rest }: WeightInit) =>
        makeParameter({ ...rest, program, startup, uniqueName: () => program.uniqueName(`${name}.${letter}`) })
      return program.within({ stem: name }, () => body({ name, program, parameter }))
    })
  })
}

/** The program of the inputs; for a layer without any the default main program. */
function programOf(inputs: Readonly<Record<string, Variable | readonly Variable[]>>): Program {
  const [first] = Object.entries(inputs).flatMap(([slot, given]) => {
    const list: readonly unknown[] = Array.isArray(given) ? given : [given]
    if (list.length === 0) fail("CF_BAD_ARGUMENT", `${slot} is an empty list`)
    return list.map((each) =>
      each instanceof Variable
        ? each
        : fail("CF_BAD_ARGUMENT", `${slot} must be a Variable, got ${describeValue(each)}`),
    )
  })
  return first?.program ?? defaultMainProgram()
}
