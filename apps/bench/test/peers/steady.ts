// A peer for tests: the variant says what becomes of it.

import type { Given, Peer } from "../../src/protocol.ts"

export default function start(variant: string, { load, probe }: Given): Peer {
  if (variant === "absent") throw new TypeError("the library is not here")
  console.log("a library that talks")
  return {
    version: `steady ${variant}`,
    workloads: {
      mean: () => ({ step: () => undefined, check: probe(load("numbers").data), note: "a note" }),
      later: () => ({ step: () => new Promise((resolve) => setTimeout(resolve, 5)), check: 0 }),
      throws: () => {
        throw new RangeError("no such kernel\n    at a place")
      },
      dies: () => ({ step: () => process.exit(3), check: 0 }),
      hangs: () => new Promise(() => setInterval(() => undefined, 1000)),
    },
    cannot: { group: "it was not written" },
  }
}
