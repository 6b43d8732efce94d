// Matrix products. Those of float32 are made by the fast one: cut into parts where they are large, with what follows applied
// in registers. An operand may lie transposed, or among other heads of attention: then it is read there, by steps.

import type { Strides } from "@counterflow/compiler"
import { fail } from "@counterflow/ir"
import type { Registry } from "@counterflow/ops"
import type { Local } from "../../assembler/index.ts"
import { emitGemm, type GemmSpec } from "../../gemm/index.ts"
import { emitFill } from "../movement/copy.ts"
import {
  emitBehind,
  gemmEpilogue,
  type MatrixEpilogue,
  matrixEpilogue,
  type PlacedEpilogue,
} from "../elementwise/epilogue.ts"
import type { Kernel } from "../kernel.ts"
import { bitsOf, type PartSize, partsOf, type Products, productsOf, unstrided } from "./parts.ts"
import { plainMatmul } from "./plain.ts"
import { behind, type Emit, type Generators, type Place } from "../signature.ts"
import { collapse } from "../space/space.ts"
import { walk } from "../space/walk.ts"

interface GemmKernelSpec {
  readonly gemm: GemmSpec
  readonly sizes: readonly number[]
  /** In bytes: of x, y, z and the operands of the epilogue. */
  readonly steps: readonly (readonly number[])[]
  readonly epilogue: MatrixEpilogue | undefined
}

/** z = op(x) op(y); the operands of the epilogue are e0, e1, …. */
const gemm: Kernel<string, GemmKernelSpec> = {
  name: "gemm",
  build: ({ f, module }, at, { gemm, sizes, steps, epilogue }) => {
    const product = emitGemm(module, gemm, epilogue === undefined ? undefined : gemmEpilogue(epilogue))
    const pointer = (name: string): Local<"i32"> => at[name] ?? fail("CF_INTERNAL", `a product has no ${name}`)
    const operands = (epilogue?.operands ?? []).map((_, i) => pointer(`e${i}`))
    const [x, y, z] = [pointer("x"), pointer("y"), pointer("z")]
    const walkers = [x, y, z, ...operands].map((local, i) => ({ pointer: local, steps: steps[i] ?? [] }))
    walk(f, sizes, walkers, () => f.run(product, x, y, z, pointer("workspace"), ...operands))
  },
}

interface Places {
  readonly x: Place
  readonly y: Place
  readonly z: Place
}

/** What runs each of the parts. */
function partRuns(
  products: Products,
  at: Places,
  workspace: Place,
  epilogue: PlacedEpilogue | undefined,
  emit: Emit,
): (() => void)[] {
  const { x, y, z } = products
  const { form = "NN", lda = 1, ldb = 1, ldc = 1 } = products.gemm
  const operands = epilogue?.operands ?? []
  const inBytes = (steps: Strides) => steps.map((step) => 4 * step)
  const steps = [inBytes(x), inBytes(y), inBytes(z), ...operands.map(({ outer }) => outer)]
  const specs = new Map<PartSize, GemmKernelSpec>()
  const specOf = (size: PartSize): GemmKernelSpec => {
    let spec = specs.get(size)
    if (spec === undefined) {
      const gemm = { ...size.gemm, relaxed: emit.relaxed }
      spec = { gemm, epilogue: epilogue?.spec, ...collapse({ sizes: size.batch, steps }) }
      specs.set(size, spec)
    }
    return spec
  }
  let used = 0
  return partsOf(products).map(({ size, first, row, column }) => {
    const ahead = (along: Strides) => first.reduce((sum, index, axis) => sum + index * (along[axis] ?? 0), 0)
    const places: Record<string, Place> = {
      x: behind(at.x, 4 * (ahead(x) + row * (form.startsWith("N") ? lda : 1))),
      y: behind(at.y, 4 * (ahead(y) + column * (form.endsWith("N") ? 1 : ldb))),
      z: behind(at.z, 4 * (ahead(z) + row * ldc + column)),
      workspace: behind(workspace, used),
    }
    operands.forEach(({ place, outer }, i) => {
      const { rowStep = 0, columnStep = 0 } = epilogue?.spec.operands[i] ?? {}
      places[`e${i}`] = behind(place, ahead(outer) + row * rowStep + column * columnStep)
    })
    used += size.scratch
    return () => emit.run(gemm, places, specOf(size))
  })
}

export const matmulGenerators = {
  matmul: {
    workspace: (shapes) => {
      const products = shapes.outputs.z.dtype === "float32" ? productsOf(shapes) : undefined
      if (products === undefined) return 0
      return partsOf(products).reduce((total, { size }) => total + size.scratch, 0)
    },
    absorbs: (shapes) => {
      const { z } = shapes.outputs
      const products = productsOf(shapes)
      // An epilogue counts along the axes of what is stored.
      if (z.dtype !== "float32" || z.strides !== undefined || products === undefined) return false
      return bitsOf(products) === bitsOf(products, true)
    },
    readsStrides: (shapes) => {
      const [products, plain] = [productsOf(shapes), productsOf(unstrided(shapes))]
      if (shapes.outputs.z.dtype !== "float32" || products === undefined || plain === undefined) return false
      return bitsOf(products) === bitsOf(plain)
    },
    emit: (call, emit) => {
      const { inputs, outputs, epilogue, workspace } = call
      const { z } = outputs
      if (z.elements === 0) return
      const products = z.dtype === "float32" ? productsOf(call) : undefined
      const k = inputs.x.shape.at(call.attrs.transposeX ? -2 : -1)
      let inRegisters: PlacedEpilogue | undefined
      if (k === 0) emitFill(z, 0, emit)
      else if (products === undefined) plainMatmul(call, emit)
      else {
        inRegisters = epilogue === undefined ? undefined : matrixEpilogue(epilogue, z)
        const at = { x: inputs.x.place, y: inputs.y.place, z: z.place }
        const runs = partRuns(products, at, workspace, inRegisters, emit)
        const [only] = runs
        if (runs.length === 1) only?.()
        else emit.parallel(runs)
      }
      // What cannot be done in registers is done behind.
      if (epilogue !== undefined && inRegisters === undefined) emitBehind(epilogue, z, emit)
    },
  },
} satisfies Generators<Registry>
