// Builds one function: statements are appended in the order they are written; nested ones go to the innermost open block.

import { fail } from "@counterflow/ir"
import {
  callOf,
  type Code,
  type Expr,
  type FunctionRef,
  type Instruction,
  lift,
  liftAll,
  type Local,
  type Operand,
  type Operands,
  type ValueType,
} from "./expression.ts"
import { apply, i32, instructionOf, memargOf } from "./instruction.ts"
import { atomicStores } from "./opcodes/atomic.ts"
import { laneStores, stores } from "./opcodes/memory.ts"
import { type Entry, mapped, misc } from "./opcodes/table.ts"
import type { DataRef, FunctionBody, Label, Statement } from "./statement.ts"

const allStores = { ...stores, ...atomicStores }
type Stores = typeof allStores
/** "f32", "i32.8" (the low byte), "i64.atomic32", … */
export type StoreKind = keyof Stores
export type StoredType<K extends StoreKind> =
  Stores[K] extends Entry<readonly ["i32", infer T extends ValueType]> ? T : never

export interface RangeOptions {
  /** Where to start: 0. */
  readonly from?: Operand<"i32">
  /** How far to go each time, a constant: 1. */
  readonly step?: number
  /** Other locals that advance by a constant each time: pointers kept beside the counter. */
  readonly advance?: readonly (readonly [Local<"i32">, number])[]
}

export class FunctionBuilder {
  readonly #locals: Local[] = []
  readonly #results: readonly ValueType[]
  /** Of the parameters, which come first. */
  readonly #parameters: number
  #body: Statement[] = []

  constructor(results: readonly ValueType[], parameters = 0) {
    this.#results = results
    this.#parameters = parameters
  }

  /** A new local, zero at entry of the function, or set to `init` here. */
  local<T extends ValueType>(type: T, init?: Operand<T>, name = `${type}_${this.#locals.length}`): Local<T> {
    const local: Local<T> = { type, code: { kind: "get", name, at: this.#parameters + this.#locals.length } }
    this.#locals.push(local)
    if (init !== undefined) this.set(local, init)
    return local
  }

  /** Computes the expression here, once, and keeps its value in a new local. */
  let<T extends ValueType>(value: Expr<T>, name?: string): Local<T> {
    const local = this.local(value.type, undefined, name)
    this.#append({ kind: "set", local, value })
    return local
  }

  set<T extends ValueType>(local: Local<T>, value: Operand<T>): void {
    this.#append({ kind: "set", local, value: lift(local.type, value) })
  }

  /** local += amount */
  increment(local: Local<"i32">, amount: Operand<"i32">): void {
    this.set(local, i32.add(local, amount))
  }

  /** Stores at address + offset; `align` in bytes is a promise, for speed only, the natural one by default. */
  store<K extends StoreKind>(
    kind: K,
    address: Operand<"i32">,
    value: Operand<StoredType<K>>,
    offset = 0,
    align?: number,
  ): void {
    const entry: Entry = allStores[kind]
    const instruction = storeInstructions[kind]
    const memarg = memargOf(entry, instruction.name, offset, align ?? entry.bytes)
    this.#run(apply(entry, instruction, [address, value], memarg), 0)
  }

  /** Stores one lane of 8, 16, 32 or 64 bits. */
  storeLane(
    bits: 8 | 16 | 32 | 64,
    lane: number,
    address: Operand<"i32">,
    vector: Expr<"v128">,
    offset = 0,
    align?: number,
  ): void {
    const entry: Entry = laneStores[`lane${bits}`]
    const instruction = instructionOf(entry, `v128.store${bits}_lane`)
    const memarg = memargOf(entry, instruction.name, offset, align ?? entry.bytes)
    this.#run(apply(entry, instruction, [address, vector], memarg, [lane]), 0)
  }

  /** Copies bytes within memory; the ranges may overlap. */
  copy(target: Operand<"i32">, source: Operand<"i32">, bytes: Operand<"i32">): void {
    this.#bulk({ name: "memory.copy", opcode: misc(10), isRelaxed: false }, [target, source, bytes], [0, 0])
  }

  /** Fills bytes of memory with the low byte of `value`. */
  fill(target: Operand<"i32">, value: Operand<"i32">, bytes: Operand<"i32">): void {
    this.#bulk({ name: "memory.fill", opcode: misc(11), isRelaxed: false }, [target, value, bytes], [0])
  }

  /** Copies a whole passive segment to memory. */
  initialize(target: Operand<"i32">, data: DataRef): void {
    this.#append({ kind: "initialize", data, target: lift("i32", target) })
  }

  /** Orders the atomic accesses around it. */
  fence(): void {
    this.#bulk({ name: "atomic.fence", opcode: (0xfe << 12) | 3, isRelaxed: false }, [], [0])
  }

  /** A call for its effect; results are dropped. */
  run<P extends readonly ValueType[]>(target: FunctionRef<P>, ...operands: Operands<P>): void {
    this.#run(callOf(target, operands), target.results.length)
  }

  /** A call of any number of results, each stored in its local. */
  receive<P extends readonly ValueType[], R extends readonly ValueType[]>(
    locals: { readonly [I in keyof R]: Local<R[I]> },
    target: FunctionRef<P, R>,
    ...operands: Operands<P>
  ): void {
    const given: readonly Local[] = locals
    if (given.length !== target.results.length)
      fail("CF_INTERNAL", `assembler: ${target.name} has ${target.results.length} results`)
    for (const [i, type] of target.results.entries()) lift<ValueType>(type, given[i] ?? 0)
    this.#append({ kind: "receive", locals: given, value: callOf(target, operands) })
  }

  /** Evaluates an expression for its effect alone. */
  drop(value: Expr): void {
    this.#run(value, 1)
  }

  if(condition: Operand<"i32">, then: () => void, otherwise: () => void = () => {}): void {
    const lifted = lift("i32", condition)
    this.#append({ kind: "if", condition: lifted, arm: this.#nested(then), otherwise: this.#nested(otherwise) })
  }

  /** Branching to the label leaves the block. */
  block(body: (end: Label) => void, name = "end"): void {
    const label = { name }
    this.#append({ kind: "block", label, body: this.#nested(() => body(label)) })
  }

  /** A place here for statements that are known only later: what is built by the function it answers goes there, in order. */
  ahead(): (build: () => void) => void {
    const body: Statement[] = []
    this.#append({ kind: "block", label: { name: "ahead" }, body })
    return (build) => {
      body.push(...this.#nested(build))
    }
  }

  /** Branching to the label starts the next round; without a branch the loop ends after one. */
  loop(body: (next: Label) => void, name = "loop"): void {
    const label = { name }
    this.#append({ kind: "loop", label, body: this.#nested(() => body(label)) })
  }

  branch(label: Label, condition?: Operand<"i32">): void {
    this.#append({ kind: "branch", label, condition: condition === undefined ? undefined : lift("i32", condition) })
  }

  while(condition: Operand<"i32">, body: () => void): void {
    this.loop((next) => {
      this.if(condition, () => {
        body()
        this.branch(next)
      })
    }, "while")
  }

  /**
   * for (i = from; i < end; i += step), compared without sign, so that the counter may as well be a pointer. `end` is
   * computed once. The loop tests at its foot; the test before the first round is left out where both bounds are constants.
   */
  forRange(
    end: Operand<"i32">,
    body: (i: Local<"i32">) => void,
    { from = 0, step = 1, advance = [] }: RangeOptions = {},
  ): void {
    const first = constantOf(from)
    const last = constantOf(end)
    const bound = last === undefined ? this.let(lift("i32", end), "last") : i32.const(last)
    const i = this.local("i32", from, "i")
    const rounds = () =>
      this.loop((next) => {
        body(i)
        for (const [pointer, bytes] of advance) this.increment(pointer, bytes)
        this.increment(i, step)
        this.branch(next, i32.ltU(i, bound))
      }, "for")
    if (first === undefined || last === undefined) this.if(i32.ltU(i, bound), rounds)
    else if (first < last) rounds()
  }

  /** Runs case `index`, or the fallback (nothing by default) where there is none. Cases do not fall through. */
  switch(index: Operand<"i32">, cases: readonly (() => void)[], fallback: () => void = () => {}): void {
    const end: Label = { name: "end" }
    const labels = cases.map((_, i): Label => ({ name: `case${i}` }))
    const otherwise: Label = { name: "fallback" }
    // The innermost block holds the jump; the end of each block is where its case begins.
    let inner: readonly Statement[] = [{ kind: "switch", index: lift("i32", index), labels, fallback: otherwise }]
    for (const [i, body] of cases.entries()) {
      const finished = this.#nested(body)
      inner = [
        { kind: "block", label: labels[i] ?? end, body: inner },
        ...finished,
        { kind: "branch", label: end, condition: undefined },
      ]
    }
    const last = this.#nested(fallback)
    this.#append({ kind: "block", label: end, body: [{ kind: "block", label: otherwise, body: inner }, ...last] })
  }

  return(...values: readonly Operand<ValueType>[]): void {
    this.#append({ kind: "return", values: liftAll(this.#results, values, "return") })
  }

  /** Stops the program with a run-time error of the host. */
  trap(): void {
    this.#append({ kind: "trap" })
  }

  finish(ref: FunctionRef, params: readonly Local[]): FunctionBody {
    const last = this.#body.at(-1)
    // A body that ends in anything but a return has returned in all its branches, or else must not get here.
    const end: Statement[] = ref.results.length === 0 ? [] : [{ kind: "trap" }]
    const body =
      last?.kind === "return"
        ? [...this.#body.slice(0, -1), { kind: "result", values: last.values } as const]
        : [...this.#body, ...end]
    return { ref, params, locals: this.#locals, body }
  }

  #append(statement: Statement): void {
    this.#body.push(statement)
  }

  #run(value: Expr, results: number): void {
    this.#append({ kind: "run", value, results })
  }

  #bulk(instruction: Instruction, operands: readonly Operand<"i32">[], lanes: readonly number[]): void {
    const lifted = operands.map((operand) => lift("i32", operand))
    const code: Code = { kind: "apply", instruction, operands: lifted, memarg: undefined, lanes }
    this.#run({ type: "i32", code }, 0)
  }

  #nested(build: () => void): readonly Statement[] {
    const outer = this.#body
    const inner: Statement[] = []
    this.#body = inner
    try {
      build()
    } finally {
      this.#body = outer
    }
    return inner
  }
}

const storeInstructions = mapped(allStores, (entry, kind) => instructionOf(entry, storeName(kind)))

/** "i32" → i32.store, "i64.32" → i64.store32, "i32.atomic8" → i32.atomic.store8. */
function storeName(kind: StoreKind): string {
  const [type = "", rest = ""] = kind.split(".")
  return rest.startsWith("atomic") ? `${type}.atomic.store${rest.slice(6)}` : `${type}.store${rest}`
}

/** The unsigned value of a constant operand. */
function constantOf(operand: Operand<"i32">): number | undefined {
  const { code } = lift("i32", operand)
  return code.kind === "const" ? Number(code.value) >>> 0 : undefined
}
