// What the constructors of optimizers, clips and regularizers, and the schedules, refuse before anything is built.

import { expect, test } from "vitest"
import {
  Adagrad,
  Adam,
  AdamW,
  ClipByGlobalNorm,
  ClipByNorm,
  ClipByValue,
  cosineDecay,
  exponentialDecay,
  L2Decay,
  linearLrWarmup,
  Momentum,
  noamDecay,
  piecewiseDecay,
  polynomialDecay,
  RMSProp,
  SGD,
} from "../src/index.ts"
import { regression, under, untyped } from "./building.ts"

test.each<[string, () => unknown, RegExp]>([
  [
    "no options",
    () => new SGD(untyped(undefined)),
    /^CF_BAD_ARGUMENT {2}SGD: the options must be an object, got undefined$/,
  ],
  [
    "no rate",
    () => new SGD(untyped({})),
    /^CF_BAD_ATTRIBUTE {2}SGD: learningRate must be a number, a Variable or a function, got undefined$/,
  ],
  [
    "a rate that is NaN",
    () => new SGD({ learningRate: NaN }),
    /^CF_BAD_ATTRIBUTE {2}SGD: learningRate must be a finite number/,
  ],
  [
    "an option of another optimizer",
    () => new SGD(untyped({ learningRate: 1, momentum: 0.9 })),
    /^CF_BAD_ATTRIBUTE {2}SGD: there is no option momentum; the options are learningRate, regularization/,
  ],
  ["a misspelt option", () => new Adam(untyped({ learningRate: 1, beta_1: 0.9 })), /fix: did you mean beta1\?$/],
  [
    "beta1 of 1",
    () => new Adam({ learningRate: 1, beta1: 1 }),
    /^CF_BAD_ATTRIBUTE {2}Adam: beta1 must be a number from 0 to less than 1, got the number 1$/,
  ],
  [
    "a negative beta2",
    () => new AdamW({ learningRate: 1, beta2: -0.1 }),
    /^CF_BAD_ATTRIBUTE {2}AdamW: beta2 must be a number from 0/,
  ],
  [
    "epsilon of 0",
    () => new Adam({ learningRate: 1, epsilon: 0 }),
    /^CF_BAD_ATTRIBUTE {2}Adam: epsilon must be a positive number, got the number 0$/,
  ],
  [
    "weightDecay of Infinity",
    () => new AdamW({ learningRate: 1, weightDecay: Infinity }),
    /^CF_BAD_ATTRIBUTE {2}AdamW: weightDecay must be a finite number/,
  ],
  [
    "rho of 1",
    () => new RMSProp({ learningRate: 1, rho: 1 }),
    /^CF_BAD_ATTRIBUTE {2}RMSProp: rho must be a number from 0 to less than 1/,
  ],
  [
    "centered that is no boolean",
    () => new RMSProp({ learningRate: 1, centered: untyped(1) }),
    /^CF_BAD_ATTRIBUTE {2}RMSProp: centered must be true or false, got the number 1$/,
  ],
  [
    "momentum that is no number",
    () => new Momentum({ learningRate: 1, momentum: untyped("0.9") }),
    /^CF_BAD_ATTRIBUTE {2}Momentum: momentum must be a finite number, got the string 0.9$/,
  ],
  [
    "a negative accumulator",
    () => new Adagrad({ learningRate: 1, initialAccumulatorValue: -1 }),
    /^CF_BAD_ATTRIBUTE {2}Adagrad: initialAccumulatorValue must be a number of at least 0/,
  ],
  [
    "a penalty that is a number",
    () => new SGD({ learningRate: 1, regularization: untyped(0.1) }),
    /^CF_BAD_ATTRIBUTE {2}SGD: regularization must be an L1Decay or L2Decay, got the number 0.1$/,
  ],
  [
    "a clip that is a number",
    () => new SGD({ learningRate: 1, gradClip: untyped(5) }),
    /^CF_BAD_ATTRIBUTE {2}SGD: gradClip must be a clip such as new ClipByNorm\(1\), got the number 5$/,
  ],
  [
    "an empty parameterList",
    () => new SGD({ learningRate: 1, parameterList: [] }),
    /^CF_BAD_ARGUMENT {2}SGD: parameterList is empty/,
  ],
  [
    "a parameterList that is a word",
    () => new SGD({ learningRate: 1, parameterList: "w" }),
    /^CF_BAD_ARGUMENT {2}SGD: parameterList must be a list/,
  ],
  ["an empty name", () => new SGD({ learningRate: 1, name: "" }), /^CF_BAD_ATTRIBUTE {2}SGD: name must be a name/],
  [
    "a norm of 0",
    () => new ClipByNorm(0),
    /^CF_BAD_ATTRIBUTE {2}ClipByNorm: clipNorm must be a positive number, got the number 0$/,
  ],
  [
    "a norm that is missing",
    () => new ClipByGlobalNorm(untyped(undefined)),
    /^CF_BAD_ATTRIBUTE {2}ClipByGlobalNorm: clipNorm must be a positive number, got undefined$/,
  ],
  [
    "bounds that are crossed",
    () => new ClipByValue({ max: 1, min: 2 }),
    /^CF_BAD_ATTRIBUTE {2}ClipByValue: min 2 is greater than max 1$/,
  ],
  ["a coefficient of NaN", () => new L2Decay(NaN), /^CF_BAD_ATTRIBUTE {2}L2Decay: coefficient must be a finite number/],
])("a constructor refuses %s", (_what, make, text) => {
  expect(make).toThrow(text)
})

test.each<[string, () => unknown, RegExp]>([
  [
    "decaySteps of 0",
    () => exponentialDecay({ learningRate: 1, decaySteps: 0, decayRate: 0.5 }),
    /^CF_BAD_ATTRIBUTE {2}exponentialDecay: decaySteps must be a positive number/,
  ],
  [
    "a negative decayRate",
    () => exponentialDecay({ learningRate: 1, decaySteps: 1, decayRate: -1 }),
    /^CF_BAD_ATTRIBUTE {2}exponentialDecay: decayRate must be a number of at least 0/,
  ],
  [
    "a misspelt option",
    () => polynomialDecay(untyped({ learningRate: 1, decaySteps: 2, endLr: 0 })),
    /^CF_BAD_ATTRIBUTE {2}polynomialDecay: there is no option endLr/,
  ],
  [
    "boundaries that fall",
    () => piecewiseDecay({ boundaries: [5, 3], values: [1, 2, 3] }),
    /^CF_BAD_ATTRIBUTE {2}piecewiseDecay: boundaries must rise, got \[5, 3\]$/,
  ],
  [
    "too few values",
    () => piecewiseDecay({ boundaries: [5], values: [1] }),
    /^CF_BAD_ATTRIBUTE {2}piecewiseDecay: values must be an array of one entry more than boundaries$/,
  ],
  [
    "a boundary between steps",
    () => piecewiseDecay({ boundaries: [1.5], values: [1, 2] }),
    /^CF_BAD_ATTRIBUTE {2}piecewiseDecay: boundaries\[0\] must be a positive integer/,
  ],
  [
    "no epochs",
    () => cosineDecay(untyped({ learningRate: 1, stepEachEpoch: 2 })),
    /^CF_BAD_ATTRIBUTE {2}cosineDecay: epochs must be a positive number, got undefined$/,
  ],
  [
    "warmupSteps of 0",
    () => noamDecay({ dModel: 8, warmupSteps: 0 }),
    /^CF_BAD_ATTRIBUTE {2}noamDecay: warmupSteps must be a positive number/,
  ],
  [
    "a word for a rate",
    () => linearLrWarmup(untyped("1"), { warmupSteps: 1, startLr: 0, endLr: 1 }),
    /^CF_BAD_ATTRIBUTE {2}linearLrWarmup: learningRate must be a number or a Variable/,
  ],
])("a schedule refuses %s, and appends nothing", (_what, make, text) => {
  const model = regression()
  const before = model.main.toString()
  under(model, () => expect(make).toThrow(text))
  expect(model.main.toString()).toBe(before)
})
