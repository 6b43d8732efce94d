// Runs scalar expressions over flat arrays: each distinct expression, with the dtypes of its arrays, becomes one JavaScript
// loop that sees no other array types. Where a host forbids making code from text (a content security policy), closures
// composed of the same rules give the same bits, slower. Floats are rounded once, when stored: no fround per operation.

import { type Comparison, type DType, fail, type Scalar } from "@counterflow/ir"
import type { HostTensor, NumberArray } from "./kernel.ts"
import { castRules, comparisonRules, type Rule, ruleFor, runtime } from "./scalars.ts"

/** Prepares `output[i] = scalar(inputs[i])` for all i. The arrays are equally long; the output may be one of the inputs. */
export function bindElementwise(
  scalar: Scalar,
  inputs: Readonly<Record<string, HostTensor>>,
  output: HostTensor,
): () => void {
  return canCompile() ? bindCompiled(scalar, inputs, output) : bindComposed(scalar, inputs, output)
}

type Inputs = Readonly<Record<string, HostTensor>>

/** What a walk over an expression makes of each node: text or closures. */
interface Maker<T> {
  input(index: number): T
  constant(value: number): T
  apply(rule: Rule, x: T, y: T): T
  select(condition: T, x: T, y: T): T
}

/** Walks an expression once, each shared node once, with the dtype of every operation known. */
function build<T>(scalar: Scalar, inputs: Inputs, output: DType, make: Maker<T>): T {
  const slots = Object.keys(inputs)
  const dtypes = new Map<Scalar, DType | null>()
  const made = new Map<Scalar, T>()

  /** null where only constants say it: they take the dtype of what they are combined with. */
  const dtypeOf = (node: Scalar): DType | null => {
    const known = dtypes.get(node)
    if (known !== undefined) return known
    const dtype = infer(node)
    dtypes.set(node, dtype)
    return dtype
  }
  const infer = (node: Scalar): DType | null => {
    if (node.op === "input") {
      return (
        inputs[node.slot]?.dtype ?? fail("CF_INTERNAL", `a scalar expression reads "${node.slot}", which is no input`)
      )
    }
    if (node.op === "const") return null
    if (node.op === "cast") return node.dtype
    if (!("y" in node)) return dtypeOf(node.x)
    const operands = joined(node.op, node.x, node.y)
    return isComparison(node.op) ? "bool" : operands
  }
  const joined = (op: string, x: Scalar, y: Scalar): DType | null => {
    const [left, right] = [dtypeOf(x), dtypeOf(y)]
    if (left !== null && right !== null && left !== right) {
      fail("CF_INTERNAL", `a scalar expression combines ${left} and ${right} by ${op}`)
    }
    return left ?? right
  }

  const visit = (node: Scalar, wanted: DType): T => {
    const dtype = dtypeOf(node)
    // A node of constants only may be wanted in two dtypes, so it is not shared.
    const shared = dtype === null ? undefined : made.get(node)
    if (shared !== undefined) return shared
    const result = translate(node, dtype ?? wanted)
    if (dtype !== null) made.set(node, result)
    return result
  }
  const translate = (node: Scalar, dtype: DType): T => {
    if (node.op === "input") return make.input(slots.indexOf(node.slot))
    if (node.op === "const") return make.constant(castRules[dtype].run(numberOf(node.value), 0))
    if (node.op === "cast") return applied(castRules[node.dtype], visit(node.x, "float64"))
    if (node.op === "select") {
      if (dtypeOf(node.condition) !== "bool") fail("CF_INTERNAL", "the condition of a select is not bool")
      return make.select(visit(node.condition, "bool"), visit(node.x, dtype), visit(node.y, dtype))
    }
    const { op } = node
    const rule = isComparison(op) ? comparisonRules[op] : ruleFor(op, dtype)
    if (rule === undefined) return fail("CF_INTERNAL", `the scalar operation ${op} has no meaning on ${dtype}`)
    if (!("y" in node)) return applied(rule, visit(node.x, dtype))
    const operands = isComparison(op) ? (joined(op, node.x, node.y) ?? "float64") : dtype
    return make.apply(rule, visit(node.x, operands), visit(node.y, operands))
  }
  const applied = (rule: Rule, x: T) => make.apply(rule, x, x)

  const dtype = dtypeOf(scalar) ?? output
  if (dtype !== output) fail("CF_INTERNAL", `a scalar expression yields ${dtype} where its output is ${output}`)
  return visit(scalar, output)
}

function isComparison(op: Scalar["op"]): op is Comparison {
  return op in comparisonRules
}

// Constants come from attributes and end up in generated text: nothing but a number may pass.
function numberOf(value: number): number {
  return typeof value === "number" ? value : fail("CF_INTERNAL", `a constant of a scalar expression is no number`)
}

type Loop = (z: NumberArray, inputs: readonly NumberArray[], ...functions: unknown[]) => () => void

const runtimeNames = Object.keys(runtime)
const runtimeFunctions = Object.values(runtime)

// Constants are part of the key, so a program that keeps making new ones must not make the table grow for ever.
const loops = new Map<string, Loop>()
const loopsKept = 1000

/** As `bindElementwise`, always by compiling. */
export function bindCompiled(scalar: Scalar, inputs: Inputs, output: HostTensor): () => void {
  const body = printLoop(scalar, inputs, output.dtype)
  const tensors = Object.values(inputs)
  const key = `${[...tensors.map(({ dtype }) => dtype), output.dtype].join(" ")}\n${body}`
  let loop = loops.get(key)
  if (loop === undefined) {
    loop = compile(body)
    const [oldest] = loops.keys()
    if (loops.size >= loopsKept && oldest !== undefined) loops.delete(oldest)
    loops.set(key, loop)
  }
  return loop(
    output.data,
    tensors.map(({ data }) => data),
    ...runtimeFunctions,
  )
}

/** The loop of an expression as JavaScript, one statement per node; exported for reading what runs. */
export function printLoop(scalar: Scalar, inputs: Inputs, output: DType): string {
  const lines: string[] = []
  const named = (text: string) => `t${lines.push(text) - 1}`
  const result = build<string>(scalar, inputs, output, {
    input: (index) => named(`a${index}[i]`),
    constant: literal,
    apply: (rule, x, y) => named(rule.text(x, y)),
    select: (condition, x, y) => named(`${condition} !== 0 ? ${x} : ${y}`),
  })
  const arrays = Object.keys(inputs).map((_, index) => `  const a${index} = inputs[${index}]`)
  const statements = lines.map((text, index) => `      const t${index} = ${text}`)
  return [
    ...arrays,
    "  const n = z.length",
    "  return () => {",
    "    for (let i = 0; i < n; i++) {",
    ...statements,
    `      z[i] = ${result}`,
    "    }",
    "  }",
  ].join("\n")
}

/** In parentheses where it has a sign, so that `x - -1` is never printed. */
function literal(value: number): string {
  const text = Object.is(value, -0) ? "-0" : String(value)
  return text.startsWith("-") ? `(${text})` : text
}

/** As `bindElementwise`, always by closures. */
export function bindComposed(scalar: Scalar, inputs: Inputs, output: HostTensor): () => void {
  const arrays = Object.values(inputs).map(({ data }) => data)
  const at = build<(i: number) => number>(scalar, inputs, output.dtype, {
    input: (index) => {
      const array = arrays[index] ?? fail("CF_INTERNAL", "an input has no array")
      return (i) => array[i] ?? NaN
    },
    constant: (value) => () => value,
    apply: ({ run }, x, y) => {
      if (x !== y) return (i) => run(x(i), y(i))
      return (i) => {
        const value = x(i)
        return run(value, value)
      }
    },
    select: (condition, x, y) => (i) => (condition(i) !== 0 ? x(i) : y(i)),
  })
  const z = output.data
  return () => {
    for (let i = 0; i < z.length; i++) z[i] = at(i)
  }
}

// The text is made of the rules' templates, positions and number literals only: no name or string of a program is in it.
function compile(body: string): Loop {
  // oxlint-disable-next-line eslint/no-new-func, typescript/no-implied-eval -- what makes every loop monomorphic
  return new Function("z", "inputs", ...runtimeNames, body) as Loop
}

let compiles: boolean | null = null

function canCompile(): boolean {
  try {
    compiles ??= typeof compile("") === "function"
  } catch {
    compiles = false
  }
  return compiles
}
