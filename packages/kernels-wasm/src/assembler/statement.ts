// What a function body is made of: statements that leave no value, over expressions that leave one.

import type { Expr, FunctionRef, Local, ValueType } from "./expression.ts"

/** The target of a branch: the end of a block, or the start of a loop. Identity is what counts. */
export interface Label {
  readonly name: string
}

export type Statement =
  | { readonly kind: "set"; readonly local: Local; readonly value: Expr }
  /** An expression for its effect; it leaves `results` values, which are dropped. The type of none does not matter. */
  | { readonly kind: "run"; readonly value: Expr; readonly results: number }
  /** A call of several results, stored in locals. */
  | { readonly kind: "receive"; readonly locals: readonly Local[]; readonly value: Expr }
  | { readonly kind: "block" | "loop"; readonly label: Label; readonly body: readonly Statement[] }
  | {
      readonly kind: "if"
      readonly condition: Expr
      readonly arm: readonly Statement[]
      readonly otherwise: readonly Statement[]
    }
  | { readonly kind: "branch"; readonly label: Label; readonly condition: Expr | undefined }
  | { readonly kind: "switch"; readonly index: Expr; readonly labels: readonly Label[]; readonly fallback: Label }
  | { readonly kind: "initialize"; readonly data: DataRef; readonly target: Expr }
  | { readonly kind: "return"; readonly values: readonly Expr[] }
  /** The values at the end of a body: a return that needs no instruction. */
  | { readonly kind: "result"; readonly values: readonly Expr[] }
  | { readonly kind: "trap" }

export interface FunctionBody {
  readonly ref: FunctionRef
  readonly params: readonly Local[]
  readonly locals: readonly Local[]
  readonly body: readonly Statement[]
}

/** Bytes of a passive segment, copied to memory by FunctionBuilder.initialize. */
export interface DataRef {
  readonly bytes: Uint8Array
}

export interface ImportedFunction {
  readonly ref: FunctionRef
  readonly module: string
  readonly field: string
}

export interface ImportedMemory {
  readonly module: string
  readonly name: string
  readonly minPages: number
  readonly maxPages: number | undefined
  readonly isShared: boolean
}

/** A whole module as data: what the encoder and the text printer read. */
export interface ModuleParts {
  readonly memory: ImportedMemory | undefined
  readonly imports: readonly ImportedFunction[]
  readonly functions: readonly FunctionBody[]
  readonly exports: ReadonlyMap<string, FunctionRef>
  /** Passive where the address is undefined. */
  readonly data: readonly { readonly ref: DataRef; readonly address: number | undefined }[]
  readonly allowsRelaxed: boolean
}

export const valueTypeCodes: Readonly<Record<ValueType, number>> = {
  i32: 0x7f,
  i64: 0x7e,
  f32: 0x7d,
  f64: 0x7c,
  v128: 0x7b,
}
