// What the types forbid: operands of another type, in expressions, statements and calls. Checked by the compiler.

import { expectTypeOf, test } from "vitest"
import {
  call,
  type Expr,
  type FunctionRef,
  i32,
  f32x4,
  type Local,
  ModuleBuilder,
  type Operand,
  type StoredType,
} from "../../src/assembler/index.ts"

test("an operand is an expression of its type, or a number where the type has numbers", () => {
  expectTypeOf<Expr<"i32">>().toExtend<Operand<"i32">>()
  expectTypeOf<Local<"i32">>().toExtend<Operand<"i32">>()
  expectTypeOf<number>().toExtend<Operand<"i32">>()
  expectTypeOf<Expr<"f32">>().not.toExtend<Operand<"i32">>()
  expectTypeOf<Local<"f64">>().not.toExtend<Operand<"f32">>()
  expectTypeOf<bigint>().not.toExtend<Operand<"i32">>()
  expectTypeOf<bigint>().toExtend<Operand<"i64">>()
  expectTypeOf<number>().not.toExtend<Operand<"v128">>()
})

test("instructions take and leave the types of their table", () => {
  expectTypeOf(i32.add).parameter(0).toEqualTypeOf<Operand<"i32">>()
  expectTypeOf(i32.truncSatF64S).parameter(0).toEqualTypeOf<Operand<"f64">>()
  expectTypeOf(i32.truncSatF64S).returns.toEqualTypeOf<Expr<"i32">>()
  expectTypeOf(f32x4.extractLane).returns.toEqualTypeOf<Expr<"f32">>()
  expectTypeOf(f32x4.replaceLane).parameters.toEqualTypeOf<[lane: number, Operand<"v128">, Operand<"f32">]>()
})

test("stores take what they store", () => {
  expectTypeOf<StoredType<"i64.8">>().toEqualTypeOf<"i64">()
  expectTypeOf<StoredType<"f32">>().toEqualTypeOf<"f32">()
})

test("calls take the parameters of the function", () => {
  const module = new ModuleBuilder()
  const power = module.function("power", ["f64", "i32"], ["f64"], (f, x, n) => {
    expectTypeOf(x).toEqualTypeOf<Local<"f64">>()
    expectTypeOf(n).toEqualTypeOf<Local<"i32">>()
    f.return(x)
  })
  expectTypeOf(power).toEqualTypeOf<FunctionRef<readonly ["f64", "i32"], readonly ["f64"]>>()
  expectTypeOf(call(power, 1, 2)).toEqualTypeOf<Expr<"f64">>()
  const nothing = module.function("nothing", [], [], () => {})
  // Without a result there is no expression to make.
  expectTypeOf<typeof nothing>().not.toExtend<Parameters<typeof call>[0]>()
})
