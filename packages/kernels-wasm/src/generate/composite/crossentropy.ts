// Softmax with cross entropy in one piece: the loss is made from what the softmax has at hand. Labels that name classes are
// checked first, by a kernel of their own, so that the work can be cut into parts.

import type { DType } from "@counterflow/ir"
import type { Registry } from "@counterflow/ops"
import { type Expr, type FunctionBuilder, i32, i64, type Local } from "../../assembler/index.ts"
import { reportPlace } from "../control.ts"
import { bytesOf } from "../expression/element.ts"
import type { Kernel } from "../kernel.ts"
import { type Numbers, type NumberType, withNumbers } from "../space/numbers.ts"
import { eachRuns, type Runs, type RunSpace } from "../space/runs.ts"
import { behind, type KeptGenerators } from "../signature.ts"
import { divideBy, emitRuns, exponentials, softmaxCost } from "./softmax.ts"

interface CheckSpec {
  readonly label: DType
  readonly count: number
  readonly ignoreIndex: number
  readonly axis: number
  readonly classes: number
}

/** Fails unless every label is the ignored one or names a class. */
const checkClasses: Kernel<"label", CheckSpec> = {
  name: "checkClasses",
  canFail: true,
  build: ({ f }, { label }, { label: dtype, count, ignoreIndex, axis, classes }) => {
    const check = () => {
      const named = f.let(classOf(label, dtype))
      // Without sign a negative class is a very large one.
      f.if(i64.geU(named, classes), () => {
        // With no class at all, not even the ignored one can be looked up.
        if (classes === 0) f.if(i64.eq(named, ignoreIndex), () => reportPlace(f, i64.const(0), axis, classes))
        f.if(i64.ne(named, ignoreIndex), () => reportPlace(f, named, axis, classes))
      })
    }
    f.forRange(count, check, { advance: [[label, bytesOf(dtype)]] })
    f.return(0)
  },
}

function classOf(label: Local<"i32">, dtype: DType): Expr<"i64"> {
  return dtype === "int64" ? i64.load(label) : i64.extendI32S(i32.load(label))
}

interface EntropySpec extends RunSpace {
  readonly dtype: DType
  readonly label: DType
  readonly ignoreIndex: number
}

/** loss = ln Σ e^(x − max x) − (x[label] − max x), 0 where the label is ignored. */
const hardEntropy: Kernel<"logits" | "label" | "softmax" | "loss", EntropySpec> = {
  name: "softmaxWithCrossEntropy",
  build: (context, { logits, label, softmax, loss }, spec) => {
    withNumbers(context, spec.dtype, (numbers) => {
      const single = [
        { pointer: label, bytes: bytesOf(spec.label) },
        { pointer: loss, bytes: numbers.bytes },
      ]
      eachRuns(numbers, spec, [logits, softmax], single, (runs) => {
        const { f } = numbers
        const largest = runs.largest(logits)
        const total = exponentials(numbers, runs, logits, softmax, largest)
        divideBy(numbers, runs, softmax, total)
        const logTotal = f.let(numbers.log(total))
        const labels = Array.from({ length: runs.count }, (_, lane) => namedBy(f, label, lane, spec))
        const places = labels.map(({ place }, lane) => {
          const step = spec.inner * numbers.bytes
          return f.let(i32.add(i32.add(logits, lane * numbers.bytes), i32.mul(place, step)))
        })
        const shifted = numbers.sub(numbers.gather(places), largest)
        const losses = f.let(numbers.sub(logTotal, shifted))
        const nothing = f.let(numbers.constant(0))
        labels.forEach(({ isIgnored }, lane) => {
          const at = f.let(i32.add(loss, lane * numbers.bytes))
          f.if(
            isIgnored,
            () => numbers.storeOne(at, nothing, 0),
            () => numbers.storeOne(at, losses, lane),
          )
        })
      })
    })
  },
}

/** The class that a label names, 0 if it is ignored. */
function namedBy(
  f: FunctionBuilder,
  label: Local<"i32">,
  lane: number,
  spec: EntropySpec,
): Record<"place" | "isIgnored", Local<"i32">> {
  const named = f.let(classOf(f.let(i32.add(label, lane * bytesOf(spec.label))), spec.label))
  const isIgnored = f.let(i64.eq(named, spec.ignoreIndex))
  const place = f.let(i32.mul(i32.wrapI64(named), i32.eqz(isIgnored)))
  return { place, isIgnored }
}

/** loss = Σ label ∘ (ln Σ e^(x − max x) − (x − max x)) */
const softEntropy: Kernel<"logits" | "label" | "softmax" | "loss", RunSpace & { readonly dtype: DType }> = {
  name: "softmaxWithSoftCrossEntropy",
  build: (context, { logits, label, softmax, loss }, spec) => {
    withNumbers(context, spec.dtype, (numbers) => {
      const single = [{ pointer: loss, bytes: numbers.bytes }]
      eachRuns(numbers, spec, [logits, label, softmax], single, (runs) => {
        const { f } = numbers
        const largest = runs.largest(logits)
        const total = exponentials(numbers, runs, logits, softmax, largest)
        divideBy(numbers, runs, softmax, total)
        const logTotal = f.let(numbers.log(total))
        numbers.store(loss, weighted(numbers, runs, { logits, label, largest, logTotal }), 0, runs.count)
      })
    })
  },
}

interface Weighted<T extends NumberType> {
  readonly logits: Local<"i32">
  readonly label: Local<"i32">
  readonly largest: Local<T>
  readonly logTotal: Local<T>
}

function weighted<T extends NumberType>(
  numbers: Numbers<T>,
  runs: Runs<T>,
  { logits, label, largest, logTotal }: Weighted<T>,
): Local<T> {
  const { f } = numbers
  const sum = runs.sum()
  runs.each({ logits, label }, (at, piece) => {
    const { offset, count } = piece
    const shifted = numbers.sub(numbers.load(at.logits, offset, count), largest)
    const weight = numbers.load(at.label, offset, count)
    sum.add(f.let(numbers.mul(weight, numbers.sub(logTotal, shifted))), piece)
  })
  return sum.total()
}

export const crossEntropyGenerators = {
  softmaxWithCrossEntropy: (call, emit) => {
    const { inputs, outputs, attrs } = call
    const { logits, label } = inputs
    const { softmax, loss } = outputs
    const { axis, softLabel, ignoreIndex } = attrs
    const { dtype } = logits
    const classes = logits.shape[axis] ?? 1
    if (!softLabel && label.elements > 0) {
      const spec = { label: label.dtype, count: label.elements, ignoreIndex, axis, classes }
      emit.run(checkClasses, { label: label.place }, spec)
    }
    if (loss.elements === 0) return
    emitRuns(logits, axis, softmaxCost(dtype), emit, (space, start) => {
      const at = {
        logits: behind(logits.place, start.bytes),
        softmax: behind(softmax.place, start.bytes),
        loss: behind(loss.place, start.runs * bytesOf(dtype)),
      }
      if (softLabel) {
        emit.run(softEntropy, { ...at, label: behind(label.place, start.bytes) }, { ...space, dtype })
        return
      }
      const own = behind(label.place, start.runs * bytesOf(label.dtype))
      emit.run(hardEntropy, { ...at, label: own }, { ...space, dtype, label: label.dtype, ignoreIndex })
    })
  },
} satisfies KeptGenerators<Registry>
