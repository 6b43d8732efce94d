// A typed WebAssembly assembler without dependencies: expressions carry their type (adding an f32 to an i32 does not
// compile), functions are built statement by statement, a module ends as bytes or as text with names.
//
//   const module = new ModuleBuilder()
//   module.importMemory("host", "memory", { minPages: 1 })
//   const scale = module.function("scale", ["i32", "i32", "f32"], [], (f, pointer, count, factor) => {
//     const p = f.let(pointer)                                  // computes once, keeps in a local
//     f.forRange(count, (i) => {
//       f.store("f32", p, f32.mul(f32.load(p), factor))         // also f32.load(p, offset, align)
//     }, { advance: [[p, 4]] })
//   })
//   module.export("scale", scale)
//   new WebAssembly.Module(module.finish())                     // printModule(module) for reading
//
// - Namespaces i32 i64 f32 f64 v128 i8x16 … f64x2 atomicI32 … hold every instruction, named as in the text format but in
//   camel case: i64.truncSatF64S(x), f32x4.extractLane(0, v), v128.load32Splat(p, 16). Operands are expressions or numbers.
// - An expression is a recipe, evaluated where a statement uses it; used twice it runs twice. `f.let(x)` computes it here.
// - `call(fn, ...operands)` is the one result of a call; `f.run(fn, ...)` calls for the effect; `f.receive([a, b], fn, ...)`
//   stores several results. `select(condition, x, y)` computes both; `f.if` only one.
// - `f.store(kind, address, value, offset?)`: kind is f32, f64, i32, i64, v128, or "i32.8", "i64.32" for the low bits.
// - Statements must be written through f; an expression that no statement uses is not emitted.

export {
  call,
  type Expr,
  type FunctionRef,
  type Local,
  type Operand,
  type Operands,
  type ValueType,
} from "./expression.ts"
export { FunctionBuilder, type RangeOptions, type StoredType, type StoreKind } from "./function.ts"
export {
  atomicI32,
  atomicI64,
  atomicMemory,
  f32,
  f32x4,
  f64,
  f64x2,
  growMemory,
  i16x8,
  i32,
  i32x4,
  i64,
  i64x2,
  i8x16,
  memorySize,
  select,
  tee,
  v128,
} from "./instruction.ts"
export { type MemoryLimits, ModuleBuilder, type ModuleOptions } from "./module.ts"
export type { DataRef, Label } from "./statement.ts"
export { printModule } from "./text.ts"
