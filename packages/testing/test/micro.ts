// The engine in miniature: numbers instead of tensors, one page instead of a package, the same ideas.
//
// 1. A program is a list of operators on variables that are assigned once. Building appends, it computes nothing.
// 2. A gradient rule emits ordinary operators. So the backward part is a program too: it can be printed and differentiated.
// 3. Reverse mode walks the list backwards once. What several readers send back to one variable is added up.

export type Program = Operator[]

export interface Variable {
  readonly program: Program
  /** The operator that assigns it; null for what a run is fed. */
  readonly producer: Operator | null
  readonly name: string
}

export interface Operator {
  readonly op: Op
  readonly inputs: readonly Variable[]
  readonly output: Variable
  readonly value: number
}

interface Op {
  readonly name: string
  /** What a run computes. */
  readonly run: (x: number, y: number, value: number) => number
  /** From the gradient dz of the output z: one gradient per input, made of ordinary operators. */
  readonly grad: (dz: Variable, inputs: readonly Variable[], z: Variable) => Variable[]
}

export function input(program: Program, name: string): Variable {
  return { program, producer: null, name }
}

function emit(op: Op, program: Program, inputs: readonly Variable[], value = 0): Variable {
  const output: { -readonly [K in keyof Variable]: Variable[K] } = {
    program,
    producer: null,
    name: `v${program.length}`,
  }
  output.producer = { op, inputs, output, value }
  program.push(output.producer)
  return output
}

// The ops: a public function each, and what it means. The two-line form is the one of packages/ops.

export const constant = (program: Program, value: number): Variable => emit(constantOp, program, [], value)
const constantOp: Op = { name: "constant", run: (_x, _y, value) => value, grad: () => [] }

export const add = (x: Variable, y: Variable): Variable => emit(addOp, x.program, [x, y])
// forward   z = x + y
// backward  dx = dz,  dy = dz
const addOp: Op = { name: "add", run: (x, y) => x + y, grad: (dz) => [dz, dz] }

export const mul = (x: Variable, y: Variable): Variable => emit(mulOp, x.program, [x, y])
// forward   z = x y
// backward  dx = dz y,  dy = dz x
const mulOp: Op = { name: "mul", run: (x, y) => x * y, grad: (dz, [x, y]) => [mul(dz, y!), mul(dz, x!)] }

export const sin = (x: Variable): Variable => emit(sinOp, x.program, [x])
// forward   z = sin x
// backward  dx = dz cos x
const sinOp: Op = { name: "sin", run: Math.sin, grad: (dz, [x]) => [mul(dz, cos(x!))] }

export const cos = (x: Variable): Variable => emit(cosOp, x.program, [x])
// forward   z = cos x
// backward  dx = −dz sin x
const cosOp: Op = {
  name: "cos",
  run: Math.cos,
  grad: (dz, [x]) => [mul(mul(dz, constant(dz.program, -1)), sin(x!))],
}

export const exp = (x: Variable): Variable => emit(expOp, x.program, [x])
// forward   z = eˣ
// backward  dx = dz z: the rule reads the output, which is there already
const expOp: Op = { name: "exp", run: Math.exp, grad: (dz, _inputs, z) => [mul(dz, z)] }

/** d target / d input for each input, appended to the program; null where the input does not affect the target. */
export function gradients(target: Variable, inputs: readonly Variable[]): (Variable | null)[] {
  const { program } = target
  const ops = [...program] // rules append while we walk

  // Forwards: which variables lie between an input and the target? Only these are asked about.
  const needed = new Set(inputs)
  for (const { inputs: read, output } of ops) if (read.some((each) => needed.has(each))) needed.add(output)
  if (!needed.has(target)) return inputs.map(() => null)

  // Backwards: by the time an operator is reached, all readers of its output have sent their parts.
  const parts = new Map<Variable, Variable[]>([[target, [constant(program, 1)]]])
  const total = (variable: Variable): Variable | null => {
    const [first, ...others] = parts.get(variable) ?? []
    if (first === undefined) return null
    const sum = others.reduce(add, first)
    parts.set(variable, [sum])
    return sum
  }
  for (const { op, inputs: read, output } of ops.reverse()) {
    if (!needed.has(output)) continue
    const dz = total(output)
    if (dz === null) continue
    op.grad(dz, read, output).forEach((gradient, index) => {
      const variable = read[index]!
      if (needed.has(variable)) parts.set(variable, [...(parts.get(variable) ?? []), gradient])
    })
  }
  return inputs.map(total)
}

/** Runs the whole program on numbers for its inputs; answers the value of every variable. */
export function run(program: Program, feed: ReadonlyMap<Variable, number>): Map<Variable, number> {
  const values = new Map(feed)
  for (const { op, inputs, output, value } of program) {
    const [x = NaN, y = NaN] = inputs.map((each) => values.get(each))
    values.set(output, op.run(x, y, value))
  }
  return values
}

export function print(program: Program): string {
  return program
    .map(({ op, inputs, output, value }) => {
      const read = op === constantOp ? String(value) : inputs.map(({ name }) => name).join(", ")
      return `${output.name} = ${op.name}(${read})`
    })
    .join("\n")
}
