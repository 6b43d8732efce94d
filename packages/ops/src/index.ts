// Every op, by family: public functions, records, the registry, and how to define more.

export * from "./define.ts"
export * from "./describe.ts"
export * from "./emit.ts"
export * from "./families.ts"
export * from "./legalize.ts"
export * from "./operand.ts"
export * from "./place.ts"
export * from "./registry.ts"
export * from "./resolve.ts"
export * from "./scalar.ts"
export * from "./shapes.ts"
export * from "./state.ts"
