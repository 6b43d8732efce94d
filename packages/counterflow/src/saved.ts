// The other door, for hosts that run steps which are compiled already: what `saveSteps` wrote, and nothing that compiles.

export { type LoadedSteps, loadSteps } from "@counterflow/kernels-wasm/saved"
