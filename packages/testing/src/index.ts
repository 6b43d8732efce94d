// Checks that users and third-party backends run on their own models, ops and kernels. No test runner is needed: suites are
// lists of cases, `for (const { name, run } of cases) test(name, run)`.

export type { Case } from "./case.ts"
export { toFloat64 } from "./float64.ts"
export { type Found, fuzz, type FuzzOptions, type FuzzResult, type Tested, variantsOf } from "./fuzz.ts"
export { gradCheck, type GradCheckOptions, tolerances } from "./gradcheck.ts"
export type { StateSource, Value } from "./point.ts"
export type { GradCheckReport, GradientCheck } from "./report.ts"
export { opCases, type OpCasesOptions } from "./opcases.ts"
export type { Suite } from "./suite.ts"
export { autodiffCases } from "./autodiffcases.ts"
export { backendCases, type BackendCasesOptions, type Skip } from "./backendcases.ts"
export { gradientOf, opSection } from "./opdoc.ts"
