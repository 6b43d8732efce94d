// Operators that make a tensor from attributes.

import type { DType } from "@counterflow/ir"
import type { Registry } from "@counterflow/ops"
import { f64, i32, i64, type Local } from "../../assembler/index.ts"
import { emitFill } from "./copy.ts"
import { bytesOf, elementOf } from "../expression/element.ts"
import type { Kernel } from "../kernel.ts"
import type { Generators } from "../signature.ts"

interface RangeSpec {
  readonly dtype: DType
  readonly start: number
  readonly step: number
  readonly count: number
}

const range: Kernel<"z", RangeSpec> = {
  name: "range",
  build: ({ f }, { z }, { dtype, start, step, count }) => {
    const element = elementOf(dtype)
    const valueAt = (i: Local<"i32">) => {
      if (element.type === "f64") return f64.add(start, f64.mul(f64.convertI32U(i), step))
      if (element.type === "i32") return i32.add(start | 0, i32.mul(i, step | 0))
      return i64.add(start, i64.mul(i64.extendI32U(i), step))
    }
    f.forRange(count, (i) => element.store(f, z, valueAt(i)), { advance: [[z, element.bytes]] })
  },
}

export const creation = {
  fillConstant: ({ outputs: { z }, attrs: { value } }, emit) => emitFill(z, value, emit),

  dimValue: ({ outputs: { z }, attrs: { dim } }, emit) => emitFill(z, dim, emit),

  range: ({ outputs: { z }, attrs: { start, step } }, emit) => {
    if (z.elements > 0) emit.run(range, { z: z.place }, { dtype: z.dtype, start, step, count: z.elements })
  },

  arrayValue: ({ outputs: { z }, attrs: { values } }, emit) => {
    if (z.elements > 0) emit.write(bytesOfValues(values, z.dtype), z.place)
  },
} satisfies Generators<Registry>

/** Values as memory holds them: little-endian, whatever the host is. */
function bytesOfValues(values: readonly number[], dtype: DType): Uint8Array {
  const width = bytesOf(dtype)
  const view = new DataView(new ArrayBuffer(width * values.length))
  values.forEach((value, i) => {
    const at = i * width
    if (dtype === "float32") view.setFloat32(at, value, true)
    else if (dtype === "float64") view.setFloat64(at, value, true)
    else if (dtype === "int64") view.setBigInt64(at, BigInt(value), true)
    else if (dtype === "int32") view.setInt32(at, value, true)
    else view.setUint8(at, value)
  })
  return new Uint8Array(view.buffer)
}
