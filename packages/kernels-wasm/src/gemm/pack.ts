// Copies of the right operand in the order in which tiles read it: panel after panel, in each k after k the lines of
// the panel side by side. Lines that are missing in the last vector are zeros.
//
//   source, natural  [k][lines]   or turned  [lines][k]     →     target  [panel][k][line of the panel]

import { f32, f32x4, type FunctionBuilder, type Local, type ModuleBuilder, v128 } from "../assembler/index.ts"
import { loadLanes, transpose } from "./lanes.ts"
import { type Procedure, procedure } from "./procedure.ts"

export interface PackSpec {
  readonly k: number
  /** Bytes of the source from one k to the next, and from line to line; one of them is 4. */
  readonly kStep: number
  readonly lineStep: number
  /** Vectors of a panel, and the lanes that count in its last one. */
  readonly vectors: number
  readonly lanes: number
}

/** A function (source, target, panels). */
export function packFunction(module: ModuleBuilder, spec: PackSpec): Procedure {
  const { k, lineStep, vectors, lanes } = spec
  const name = `${lineStep === 4 ? "pack" : "packTurned"}${4 * (vectors - 1) + lanes}x${k}`
  return procedure(module, name, spec, ["i32", "i32", "i32"], (f, source, target, panels) => {
    if (lineStep === 4) copyPanels(f, source, target, panels, spec)
    else turnPanels(f, source, target, panels, spec)
  })
}

function linesOf({ vectors, lanes }: PackSpec): number {
  return 4 * (vectors - 1) + lanes
}

function lanesOf({ vectors, lanes }: PackSpec, j: number): number {
  return j === vectors - 1 ? lanes : 4
}

/** Rows of the source that are read together, so that the rest of a cache line is still there for the next panel. */
const strip = 16

function copyPanels(
  f: FunctionBuilder,
  source: Local<"i32">,
  target: Local<"i32">,
  panels: Local<"i32">,
  spec: PackSpec,
): void {
  const { k, kStep, vectors } = spec
  const row = 16 * vectors
  const copyStrip = (rows: number) => {
    const [from, to] = [f.let(source), f.let(target)]
    const next = linesOf(spec) * 4 - rows * kStep
    f.forRange(panels, () => {
      f.forRange(
        rows,
        () => {
          for (let j = 0; j < vectors; j++) f.store("v128", to, loadLanes(from, 16 * j, lanesOf(spec, j)), 16 * j)
        },
        {
          advance: [
            [from, kStep],
            [to, row],
          ],
        },
      )
      f.increment(from, next)
      f.increment(to, (k - rows) * row)
    })
  }
  const strips = Math.floor(k / strip)
  f.forRange(strips, () => copyStrip(strip), {
    advance: [
      [source, strip * kStep],
      [target, strip * row],
    ],
  })
  if (k % strip > 0) copyStrip(k % strip)
}

function turnPanels(
  f: FunctionBuilder,
  source: Local<"i32">,
  target: Local<"i32">,
  panels: Local<"i32">,
  spec: PackSpec,
): void {
  const { k, lineStep, vectors } = spec
  f.forRange(panels, () => turnPanel(f, source, target, spec), {
    advance: [
      [source, linesOf(spec) * lineStep],
      [target, 16 * vectors * k],
    ],
  })
}

function turnPanel(f: FunctionBuilder, source: Local<"i32">, target: Local<"i32">, spec: PackSpec): void {
  const { k, lineStep, vectors } = spec
  const row = 16 * vectors
  const zero = f.let(f32x4.const(0, 0, 0, 0))
  for (let j = 0; j < vectors; j++) {
    const [from, to] = [f.let(source), f.let(target)]
    const lines = lanesOf(spec, j)
    const lineAt = (line: number) => (4 * j + line) * lineStep
    const load = (line: number) => (line < lines ? f.let(v128.load(from, lineAt(line), 4)) : zero)
    f.forRange(
      Math.floor(k / 4),
      () => {
        const turned = transpose(f, [load(0), load(1), load(2), load(3)])
        turned.forEach((vector, i) => f.store("v128", to, vector, 16 * j + i * row))
      },
      {
        advance: [
          [from, 16],
          [to, 4 * row],
        ],
      },
    )
    for (let rest = 0; rest < k % 4; rest++) {
      let vector = v128.load32Zero(from, lineAt(0) + 4 * rest)
      for (let line = 1; line < lines; line++) vector = v128.load32Lane(line, from, vector, lineAt(line) + 4 * rest)
      f.store("v128", to, vector, 16 * j + rest * row)
    }
  }
}

export interface LinesSpec {
  readonly k: number
  readonly lines: number
  /** Bytes of the source from one k to the next, and from line to line. */
  readonly kStep: number
  readonly lineStep: number
}

/** A function (source, target) that puts lines one behind the other, each with k side by side. */
export function linesFunction(module: ModuleBuilder, spec: LinesSpec): Procedure {
  const { k, lines, kStep, lineStep } = spec
  const name = `packLines${lines}x${k}`
  return procedure(module, name, spec, ["i32", "i32"], (f, from, to) => {
    const copy = () => {
      for (let line = 0; line < lines; line++) f.store("f32", to, f32.load(from, line * lineStep), 4 * line * k)
    }
    const advance = [[from, kStep] as const, [to, 4] as const]
    f.forRange(k, copy, { advance })
  })
}
