// Saving and loading: weights as safetensors, programs as JSON.

export * from "./program.ts"
export * from "./safetensors.ts"
export * from "./weights.ts"
