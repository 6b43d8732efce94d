// The browser project must run in a page where threads are possible; without the headers this constructor is missing.
import { expect, test } from "vitest"

test("the page is cross-origin isolated and shares memory", () => {
  expect(crossOriginIsolated).toBe(true)
  const memory = new WebAssembly.Memory({ initial: 1, maximum: 1, shared: true })
  expect(memory.buffer).toBeInstanceOf(SharedArrayBuffer)
})
