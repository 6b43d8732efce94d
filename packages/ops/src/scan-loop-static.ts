// `staticRNN`: Fluid's form of a scan. The step function says what it is given while it builds: inputs step by step, memories of
// the step before, outputs.

import {
  type Block,
  defaultMainProgram,
  type Dim,
  fail,
  type Program,
  site,
  unifyDims,
  type Variable,
} from "@counterflow/ir"
import { listOf, requireFunction, requireVariable } from "./control.ts"
import { addParam, type Loop, openLoop, sliceOf } from "./control-loop.ts"
import { fillConstant } from "./creation.ts"
import { builtBy } from "./place.ts"
import { closeScan } from "./scan-loop.ts"
import { startupFor, withStartup } from "./state.ts"

export interface MemoryOptions {
  /** What the first step finds. Without it: */
  init?: Variable
  /** a constant of this shape, in which −1 stands for the batch size of `batchRef`, an input of the step, */
  shape?: readonly number[]
  batchRef?: Variable
  /** of this value, 0 unless said. */
  initValue?: number
}

/** What a step of a `staticRNN` is built with. */
export interface StaticRnnStep {
  /** A sequence [steps, batch, …]; in the step it is [batch, …]. */
  readonly stepInput: (x: Variable) => Variable
  /** A value of the step before. */
  readonly memory: (options: MemoryOptions) => Variable
  /** What a memory is in the next step; each needs one. */
  readonly updateMemory: (memory: Variable, next: Variable) => void
  /** A result of the step. */
  readonly stepOutput: (y: Variable) => void
}

/**
 * Runs a step once per place along the leading axis of its inputs, and answers the outputs of all steps, stacked: [steps, …].
 *
 * @example
 * ```ts
 * const [hidden] = staticRNN((rnn) => {
 *   const word = rnn.stepInput(words) // [steps, batch, 8] → [batch, 8]
 *   const before = rnn.memory({ shape: [-1, 8], batchRef: word })
 *   const next = tanh(add(word, before))
 *   rnn.updateMemory(before, next)
 *   rnn.stepOutput(next)
 * })
 * ```
 */
export function staticRNN(step: (rnn: StaticRnnStep) => void): Variable[] {
  site(staticRNN, () => requireFunction(step, "step", "staticRNN"))
  const program = defaultMainProgram()
  return withStartup(program, startupFor(program), () => {
    const recurrent = site(staticRNN, () => new Recurrent(program))
    program.within({ block: recurrent.block, trip: recurrent.trip }, () => step(recurrent))
    return builtBy(staticRNN, "staticRNN", () => recurrent.finish())
  })
}

interface Memory {
  readonly param: Variable
  readonly init: Variable
  next: Variable | null
}

class Recurrent implements StaticRnnStep {
  readonly #program: Program
  readonly #outer: Block
  readonly #loop: Loop
  readonly #inputs: { readonly param: Variable; readonly x: Variable }[] = []
  readonly #memories: Memory[] = []
  readonly #outputs: Variable[] = []
  #length: Dim | null = null

  constructor(program: Program) {
    this.#program = program
    this.#outer = program.currentBlock()
    this.#loop = openLoop(program, "scan", [], [], () => this.#steps())
  }

  get block(): Block {
    return this.#loop.block
  }

  get trip(): () => Variable {
    return this.#loop.trip
  }

  readonly stepInput = (x: Variable): Variable =>
    builtBy(this.stepInput, "stepInput", () => {
      requireVariable(x, "x", "stepInput")
      const [length] = x.shape
      if (length === undefined) return fail("CF_SHAPE_MISMATCH", "x must have a leading axis of steps, got a scalar")
      this.#length = this.#length === null ? length : unifyDims(this.#length, length)
      const param = addParam(this.block, "scan.slice", sliceOf(x))
      this.#inputs.push({ param, x })
      return param
    })

  readonly memory = (options: MemoryOptions): Variable =>
    builtBy(this.memory, "memory", () => {
      const init =
        options.init ?? this.#program.within({ block: this.#outer, trip: null }, () => this.#constant(options))
      const param = addParam(this.block, "scan.carry", requireVariable(init, "init", "memory"))
      this.#memories.push({ param, init, next: null })
      return param
    })

  #constant({ shape, batchRef, initValue = 0 }: MemoryOptions): Variable {
    const sized = this.#inputs.find(({ param, x }) => param === batchRef || x === batchRef)
    if (shape === undefined || (shape.includes(-1) && sized === undefined)) {
      return fail(
        "CF_BAD_ARGUMENT",
        "a memory needs init, or a shape, and batchRef, an input of the step, where it has −1",
      )
    }
    const [batch] = sized?.param.shape ?? []
    const dims = shape.map((size) =>
      size === -1 ? (batch ?? fail("CF_SHAPE_MISMATCH", "batchRef has no batch axis")) : size,
    )
    const { dtype } = sized?.x ?? { dtype: "float32" as const }
    return fillConstant({ shape: dims, value: initValue, dtype, program: this.#program })
  }

  readonly updateMemory = (memory: Variable, next: Variable): void =>
    builtBy(this.updateMemory, "updateMemory", () => {
      const found = this.#memories.find(({ param }) => param === memory)
      if (found === undefined) return fail("CF_BAD_ARGUMENT", "the first argument is no memory of this step")
      found.next = requireVariable(next, "next", "updateMemory")
    })

  readonly stepOutput = (y: Variable): void =>
    site(this.stepOutput, () => {
      this.#outputs.push(requireVariable(y, "y", "stepOutput"))
    })

  #steps(): Dim {
    return this.#length ?? fail("CF_BAD_ARGUMENT", "a step needs an input, which says how many steps there are")
  }

  finish(): Variable[] {
    const length = this.#steps()
    const [memories, inputs] = [this.#memories, this.#inputs]
    const [carry, slices] = [memories.map(({ param }) => param), inputs.map(({ param }) => param)]
    // They came in the order in which the step asked for them.
    this.block.setParams([this.#loop.index, ...carry, ...slices])
    const next = memories.map(
      ({ param, next }) =>
        next ??
        fail("CF_BAD_ARGUMENT", `the memory ${param.name} is never updated`, { fix: "updateMemory(memory, next)" }),
    )
    const scanned = { init: memories.map(({ init }) => init), xs: inputs.map(({ x }) => x), length, reverse: false }
    return [...closeScan({ ...this.#loop, carry, slices }, next, listOf(this.#outputs, "the step"), scanned).ys]
  }
}
