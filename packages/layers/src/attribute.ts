// What users say of a parameter: its name, initializer, learning rate, regularizer, and whether it is trained.

import { describeValue, fail, nearest, type Regularizer } from "@counterflow/ir"
import type { Initializer } from "./initializer.ts"

export interface ParamAttr {
  /** A name of the user's choice. Two layers that give the same name share the parameter. */
  name?: string | undefined
  initializer?: Initializer | null | undefined
  /** A factor on the optimizer's learning rate. */
  learningRate?: number | undefined
  /** A penalty of its own, instead of the optimizer's: `new L2Decay(1e-4)`. */
  regularizer?: Regularizer | null | undefined
  trainable?: boolean | undefined
}

/** A name or an initializer alone will do; false asks for no parameter, where the layer can do without. */
export type ParamAttrLike = ParamAttr | string | Initializer | boolean | null | undefined

const attrNames: Readonly<Record<keyof ParamAttr, true>> = {
  name: true,
  initializer: true,
  learningRate: true,
  regularizer: true,
  trainable: true,
}

export function isInitializer(value: unknown): value is Initializer {
  return typeof value === "object" && value !== null && "initialize" in value && typeof value.initialize === "function"
}

/** The shorthands spelled out. */
export function paramAttrOf(attr: ParamAttrLike): ParamAttr {
  if (attr === undefined || attr === null || typeof attr === "boolean") return {}
  if (typeof attr === "string") return { name: attr }
  return isInitializer(attr) ? { initializer: attr } : attr
}

/** Throws CF_BAD_ATTRIBUTE, naming the option that holds the attributes and the field that is wrong. */
export function checkParamAttr(option: string, attr: unknown): void {
  if (Array.isArray(attr)) {
    for (const [index, each] of attr.entries()) checkParamAttr(`${option}[${index}]`, each)
    return
  }
  if (attr === undefined || attr === null || typeof attr === "boolean" || isInitializer(attr)) return
  const fields = typeof attr === "string" ? { name: attr } : attr
  if (typeof fields !== "object") {
    return fail(
      "CF_BAD_ATTRIBUTE",
      `${option} must be an object, a name, an initializer or a boolean, got ${describeValue(attr)}`,
    )
  }
  for (const [field, value] of Object.entries(fields)) {
    if (value !== undefined) checkField(option, field, value)
  }
}

function checkField(option: string, field: string, value: unknown): void {
  const wanted = (what: string) =>
    fail("CF_BAD_ATTRIBUTE", `${option}.${field} must be ${what}, got ${describeValue(value)}`)
  switch (field) {
    case "name":
      if (typeof value !== "string" || value === "") wanted("a name")
      return
    case "initializer":
      if (value !== null && !isInitializer(value)) wanted("an initializer, such as new Constant(0)")
      return
    case "learningRate":
      if (typeof value !== "number" || !Number.isFinite(value)) wanted("a finite number")
      return
    case "regularizer":
      if (value !== null && !isRegularizer(value)) wanted(`a penalty such as { kind: "l2", coefficient: 1e-4 }`)
      return
    case "trainable":
      if (typeof value !== "boolean") wanted("true or false")
      return
    default: {
      const near = nearest(field, Object.keys(attrNames))
      fail("CF_BAD_ATTRIBUTE", `${option} has no field ${field}; the fields are ${Object.keys(attrNames).join(", ")}`, {
        fix: near === undefined ? `leave ${field} out` : `did you mean ${near}?`,
      })
    }
  }
}

function isRegularizer(value: unknown): value is Regularizer {
  if (typeof value !== "object" || value === null || !("kind" in value) || !("coefficient" in value)) return false
  return (value.kind === "l1" || value.kind === "l2") && Number.isFinite(value.coefficient)
}
