// Every op, checked by what its record says of itself.

import { catalogue, registry } from "@counterflow/ops"
import { opCases } from "@counterflow/testing"
import { afterAll, describe, expect, test } from "vitest"
import { register } from "./registering.ts"

const suite = opCases(catalogue, { registry })

register(suite.cases)

describe("all of it", () => {
  test("was checked: no op without a gradient check or a refusal where it has float inputs", () => {
    const names = suite.cases.map(({ name }) => name)
    const without = catalogue.filter(
      ({ op }) => !names.includes(`${op.name}: gradients`) && !names.includes(`${op.name}: refused gradients`),
    )
    expect(without).toEqual([])
    expect(names.length).toBeGreaterThan(4 * Object.keys(registry).length)
  })
})

afterAll(() => {
  console.log(suite.summary())
  suite.close()
})
