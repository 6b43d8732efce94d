// The transforms of Winograd's F(2 × 2, 3 × 3) on filters, four at a time:
//
//            1    0    0
//   G g Gᵀ   ½    ½    ½  = G      and its adjoint, for the gradient,   Gᵀ s G
//            ½   −½    ½
//            0    0    1

import { type Expr, f32x4, type FunctionBuilder, type Local, type ModuleBuilder } from "../assembler/index.ts"
import { loadLanes, storeLanes } from "../gemm/lanes.ts"
import { type Procedure, procedure } from "../gemm/procedure.ts"
import { loadSpaced } from "./rows.ts"

type Vector = Local<"v128">

export interface FiltersSpec {
  /** Planes that are made and planes that are read, and how many of the former are transformed. */
  readonly targets: number
  readonly sources: number
  readonly lines: number
  /** Elements of w from the filter of one target or source to the next. */
  readonly targetStep: number
  readonly sourceStep: number
  /** The taps are taken in reverse. */
  readonly isFlipped: boolean
}

/** A function (w, domain) that writes [element][target][source]. */
export function filtersFunction(module: ModuleBuilder, spec: FiltersSpec): Procedure {
  const { targets, sources, lines, targetStep, sourceStep, isFlipped } = spec
  const element = 4 * targets * sources
  return procedure(module, `winogradFilters${lines}x${sources}`, spec, ["i32", "i32"], (f, w, domain) => {
    const half = f.let(f32x4.const(0.5, 0.5, 0.5, 0.5))
    const round = () => {
      const [from, to] = [f.let(w), f.let(domain)]
      const step = (lanes: number) => {
        const tap = (p: number, q: number) => {
          const at = 3 * p + q
          return f.let(loadSpaced(from, 4 * (isFlipped ? 8 - at : at), lanes, sourceStep))
        }
        const columns = [0, 1, 2].map((q) => spread(f, half, tap(0, q), tap(1, q), tap(2, q)))
        for (let i = 0; i < 4; i++) {
          const [x = half, y = half, z = half] = columns.map((column) => column[i])
          const row = spread(f, half, x, y, z)
          row.forEach((value, j) => storeLanes(f, to, value, (4 * i + j) * element, lanes))
        }
      }
      const advance = [[from, 16 * sourceStep] as const, [to, 16] as const]
      f.forRange(Math.floor(sources / 4), () => step(4), { advance })
      if (sources % 4 > 0) step(sources % 4)
    }
    const advance = [[w, 4 * targetStep] as const, [domain, 4 * sources] as const]
    f.forRange(lines, round, { advance })
  })
}

/** G applied to three values. */
function spread(f: FunctionBuilder, half: Vector, x: Vector, y: Vector, z: Vector): readonly Vector[] {
  const outer = f.let(f32x4.mul(half, f32x4.add(x, z)))
  const inner = f.let(f32x4.mul(half, y))
  return [x, f.let(f32x4.add(outer, inner)), f.let(f32x4.sub(outer, inner)), z]
}

/** A function (domain, dw): from [element][target][source] to the filters [target][source][3][3]. */
export function filterGradientFunction(
  module: ModuleBuilder,
  spec: { readonly targets: number; readonly sources: number; readonly lines: number },
): Procedure {
  const { targets, sources, lines } = spec
  const element = 4 * targets * sources
  const name = `winogradFilterGradient${lines}x${sources}`
  return procedure(module, name, spec, ["i32", "i32"], (f, domain, dw) => {
    const half = f.let(f32x4.const(0.5, 0.5, 0.5, 0.5))
    const step = (lanes: number) => {
      const load = (i: number, j: number) => f.let(loadLanes(domain, (4 * i + j) * element, lanes))
      const columns = [0, 1, 2, 3].map((j) => gather(f, half, load(0, j), load(1, j), load(2, j), load(3, j)))
      for (let p = 0; p < 3; p++) {
        const [x = half, y = half, z = half, w = half] = columns.map((column) => column[p])
        const row = gather(f, half, x, y, z, w)
        row.forEach((value, q) => {
          for (let lane = 0; lane < lanes; lane++) f.storeLane(32, lane, dw, value, 36 * lane + 4 * (3 * p + q))
        })
      }
      f.increment(domain, 4 * lanes)
      f.increment(dw, 36 * lanes)
    }
    const round = () => {
      f.forRange(Math.floor(sources / 4), () => step(4))
      if (sources % 4 > 0) step(sources % 4)
    }
    f.forRange(lines, round)
  })
}

/** Gᵀ applied to four values. */
function gather(f: FunctionBuilder, half: Vector, x: Vector, y: Vector, z: Vector, w: Vector): readonly Vector[] {
  const sum = f.let(f32x4.mul(half, f32x4.add(y, z)))
  const difference: Expr<"v128"> = f32x4.mul(half, f32x4.sub(y, z))
  return [f.let(f32x4.add(x, sum)), f.let(difference), f.let(f32x4.add(sum, w))]
}
