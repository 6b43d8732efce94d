// In the browser: every instruction validates, the relaxed ones too, and the functions give the same bits as in Node.

import { expect, test } from "vitest"
import {
  atomicEntries,
  loadEntries,
  moduleOf,
  relaxedEntries,
  scalarEntries,
  vectorEntries,
} from "../assembler/entries.ts"
import { expectedFingerprint, fingerprint } from "./fingerprint.ts"

test("instructions validate", () => {
  const entries = [...scalarEntries, ...loadEntries, ...vectorEntries, ...relaxedEntries, ...atomicEntries]
  const invalid = entries.filter((named) => !WebAssembly.validate(moduleOf(named, true).finish()))
  expect(invalid.map(({ name }) => name)).toEqual([])
})

test("the functions have the fingerprint", () => {
  expect(fingerprint()).toBe(expectedFingerprint)
})
