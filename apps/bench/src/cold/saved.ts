// The same training from a file of compiled steps: what is paid where a step was compiled before it was shipped.

import { loadSteps } from "counterflow/saved"
import { labels, parameters, report, x } from "./sample.ts"

/** In Node by its path, in a page from beside it. */
async function read(): Promise<Uint8Array> {
  if (typeof process === "undefined" || process.versions?.node === undefined)
    return new Uint8Array(await (await fetch("steps.bin")).arrayBuffer())
  const { readFile } = await import("node:fs/promises")
  return readFile(process.env["COUNTERFLOW_STEPS"] ?? "steps.bin")
}

const steps = loadSteps(await read())
steps.step("startup").runSync()
parameters.forEach(({ data }, i) => {
  steps.scope.set(`fc_${Math.floor(i / 2)}.${i % 2 === 0 ? "w" : "b"}_0`, data)
})
const [value] = steps.step("train").runSync({ x, label: labels })
report(value?.item() ?? NaN)
