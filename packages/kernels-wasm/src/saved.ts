// Runs compiled steps from a file: the way to ship a trained program, or one that goes on training, to a host that compiles
// nothing. `saveSteps` of this package makes the file.

export { type LoadedSteps, loadSteps } from "./saved/load.ts"
