// `npm run fuzz -- --seconds 60 --seed 5`: random programs on the WebAssembly backend until the time is over or something is
// found. A seed that was printed makes its program again: `--seed 1234 --programs 1`.

import { parseArgs } from "node:util"
import { wasm } from "../packages/kernels-wasm/src/index.ts"
import { fuzz, variantsOf } from "../packages/testing/src/index.ts"

const text = { type: "string" } as const
const { values } = parseArgs({ options: { seconds: text, seed: text, programs: text, size: text, findings: text } })
const number = (name: string, given: string | undefined, otherwise: number): number => {
  const value = given === undefined ? otherwise : Number(given)
  if (!(value > 0)) throw new Error(`--${name} must be a positive number, got ${given}`)
  return value
}

const { found, tally, uses } = await fuzz({
  tested: [
    ...variantsOf(wasm),
    { name: "wasm, deterministic", backend: wasm({ deterministic: true }) },
    { name: "wasm with threads", backend: wasm({ threads: 3 }), sameBitsAs: "wasm" },
  ],
  seed: number("seed", values.seed, 1),
  seconds: number("seconds", values.seconds, values.programs === undefined ? 60 : Infinity),
  programs: number("programs", values.programs, Infinity),
  size: number("size", values.size, 10),
  findings: number("findings", values.findings, 10),
  onFinding: ({ report }) => console.log(`\n${report}\n`),
})
const unused = [...uses].flatMap(([name, count]) => (count === 0 ? [name] : []))
console.log(
  `${tally.programs} programs of ${tally.operators} operators, ${tally.elements} elements compared, ` +
    `${tally.undecided} not decided, ${tally.refused} programs refused; ${uses.size - unused.length} of ${uses.size} ops used` +
    (unused.length === 0 ? "" : `, not ${unused.join(", ")}`),
)
console.log(found.length === 0 ? "nothing found" : `${found.length} found`)
process.exitCode = found.length === 0 ? 0 : 1
