// A block: variables by name and operators in order. Block 0 is global; others belong to operators and have results.

import type { Shape } from "./dims.ts"
import type { DType } from "./dtype.ts"
import { fail, nearest } from "./errors.ts"
import type { Operator } from "./operator.ts"
import type { Program } from "./program.ts"
import { currentSite } from "./site.ts"
import { Parameter, type ParameterInit, Variable, type VariableInit } from "./variable.ts"

export class Block {
  readonly program: Program
  readonly index: number
  readonly parent: Block | null
  readonly vars: Map<string, Variable> = new Map()
  readonly ops: Operator[] = []
  /** The operator that owns this block; null for the global one. */
  owner: Operator | null = null
  /** Variables that the owner of a sub-block gives values before every run: a loop's carry, its slice of what is scanned. */
  params: readonly Variable[] = []
  /** What a sub-block hands to its owner. */
  results: readonly Variable[] = []
  /** Where a gradient rule's operators wait until the engine has named and appended them. */
  staged: Operator[] | null = null

  /** Use `program.createBlock`. */
  constructor(program: Program, index: number, parent: Block | null) {
    this.program = program
    this.index = index
    this.parent = parent
  }

  /** The variable of this name, here or in an enclosing block. */
  findVar(name: string): Variable | undefined {
    return this.vars.get(name) ?? this.parent?.findVar(name)
  }

  /** Like `findVar`, but an unknown name is an error with the nearest one suggested. */
  var(name: string): Variable {
    return this.findVar(name) ?? this.#unknown(name)
  }

  #unknown(name: string): never {
    const suggestion = nearest(name, this.program.variables.keys())
    return fail("CF_UNKNOWN_NAME", `the program has no variable "${name}"`, {
      fix: suggestion === undefined ? "list the names with [...block.vars.keys()]" : `did you mean "${suggestion}"?`,
    })
  }

  /** Whether operators of this block may read a variable: it belongs to this block or one around it. */
  sees(variable: Variable): boolean {
    return variable.block === this || (this.parent?.sees(variable) ?? false)
  }

  createVar(init: VariableInit & { name?: string | undefined }): Variable {
    const name = init.name ?? this.program.uniqueName("tmp")
    const variable = new Variable(this, name, init, currentSite(this.createVar), this.program.role)
    this.addVar(variable)
    return variable
  }

  createParameter(init: ParameterInit & { name: string }): Parameter {
    const site = currentSite(this.createParameter)
    const parameter = new Parameter(this.program.globalBlock(), init.name, init, site, this.program.role)
    this.program.globalBlock().addVar(parameter)
    return parameter
  }

  /** @internal */
  addVar(variable: Variable): void {
    const { program } = this
    const { name } = variable
    if (name === "" || name.length > 1000) {
      fail("CF_BAD_ARGUMENT", `a variable's name must have 1 to 1000 characters, got ${name.length}`)
    }
    const taken = program.variables.get(name)
    if (taken !== undefined) {
      fail("CF_DUPLICATE_NAME", `the program has a variable "${name}" already`, {
        notes: [`${taken}   built at ${taken.site}`],
        fix: "give another name, or none to get a unique one",
      })
    }
    this.vars.set(name, variable)
    program.variables.set(name, variable)
    program.changed(() => {
      this.vars.delete(name)
      program.variables.delete(name)
    })
  }

  /** @internal */
  addOp(op: Operator): void {
    op.position = this.ops.length
    this.ops.push(op)
    this.program.changed(() => {
      this.ops.pop()
    })
  }

  /** Adds a variable that the owner of this sub-block gives a value before every run; to be called before it is appended. */
  addParam(init: { shape: Shape; dtype: DType; name: string }): Variable {
    const param = this.createVar({ ...init, stopGradient: false })
    this.setParams([...this.params, param])
    return param
  }

  /** @internal for readers and copies */
  setParams(params: readonly Variable[]): void {
    const before = this.params
    this.params = Object.freeze([...params])
    this.program.changed(() => {
      this.params = before
    })
  }

  /** Names what a sub-block hands to its owner; to be set before the owner is appended. */
  setResults(results: readonly Variable[]): void {
    const before = this.results
    this.results = Object.freeze([...results])
    this.program.changed(() => {
      this.results = before
    })
  }
}
