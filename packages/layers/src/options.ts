// Checking what users pass to layers: every refusal comes before anything is appended, and names the option.

import { describeValue, fail, nearest } from "@counterflow/ir"
import { activationNames } from "./activation.ts"
import { checkParamAttr } from "./attribute.ts"

/** What an option may hold; "any" leaves it to the op that reads it, a list of words is an enumeration. */
export type OptionKind =
  | "any"
  | "bool"
  | "number"
  | "int"
  | "size"
  | "required size"
  | "name"
  | "attr"
  | "act"
  | readonly string[]

/** The kind of every option of a layer: a forgotten one does not compile. */
export type OptionKinds<O> = { readonly [K in keyof Required<O>]: OptionKind }

/** Throws CF_BAD_ATTRIBUTE for an option the layer does not have (suggesting the nearest) or of the wrong kind. */
export function checkOptions<O extends object>(options: O, kinds: OptionKinds<O>): void {
  if (typeof options !== "object" || options === null) {
    fail("CF_BAD_ARGUMENT", `the options must be an object, got ${describeValue(options)}`)
  }
  const known: readonly [string, OptionKind][] = Object.entries(kinds)
  for (const name of Object.keys(options)) {
    if (Object.hasOwn(kinds, name)) continue
    const names = known.map(([each]) => each)
    const near = nearest(name, names)
    fail("CF_BAD_ATTRIBUTE", `there is no option ${name}; the options are ${names.join(", ")}`, {
      fix: near === undefined ? `leave ${name} out` : `did you mean ${near}?`,
    })
  }
  const given = new Map(Object.entries(options))
  for (const [name, kind] of known) {
    const value: unknown = given.get(name)
    if (value !== undefined && value !== null) checkOption(name, value, kind)
    else if (kind === "required size") missing(name)
  }
}

function checkOption(name: string, value: unknown, kind: OptionKind): void {
  const wanted = (what: string) => fail("CF_BAD_ATTRIBUTE", `${name} must be ${what}, got ${describeValue(value)}`)
  if (typeof kind !== "string") {
    if (!kind.some((word) => word === value)) wanted(kind.map((word) => `"${word}"`).join(" or "))
    return
  }
  switch (kind) {
    case "any":
      return
    case "bool":
      if (typeof value !== "boolean") wanted("true or false")
      return
    case "number":
      if (typeof value !== "number" || !Number.isFinite(value)) wanted("a finite number")
      return
    case "int":
      if (!Number.isSafeInteger(value)) wanted("an integer")
      return
    case "size":
    case "required size":
      if (!isSize(value)) wanted("a positive integer")
      return
    case "name":
      if (typeof value !== "string" || value === "") wanted("a name")
      return
    case "attr":
      checkParamAttr(name, value)
      return
    case "act":
      if (typeof value !== "string" || !activationNames.includes(value)) unknownActivation(name, value)
  }
}

function unknownActivation(name: string, value: unknown): never {
  const near = typeof value === "string" ? nearest(value, activationNames) : undefined
  return fail("CF_BAD_ATTRIBUTE", `${name} must be the name of an activation, got ${describeValue(value)}`, {
    fix: near === undefined ? `use one of ${activationNames.join(", ")}` : `did you mean "${near}"?`,
  })
}

export function isSize(value: unknown): value is number {
  return typeof value === "number" && Number.isSafeInteger(value) && value > 0
}

/** A required option that is not there. */
function missing(name: string): never {
  return fail("CF_BAD_ATTRIBUTE", `${name} is missing`)
}

/** One positive integer for both axes of an image, or [height, width]. */
export function sizePair(name: string, value: number | readonly number[] | undefined): [number, number] {
  if (value === undefined) return missing(name)
  const list: readonly unknown[] = Array.isArray(value) ? value : [value]
  const [height, width = height] = list
  if (list.length <= 2 && isSize(height) && isSize(width)) return [height, width]
  return fail("CF_BAD_ATTRIBUTE", `${name} must be a positive integer or two of them, got ${JSON.stringify(value)}`)
}
