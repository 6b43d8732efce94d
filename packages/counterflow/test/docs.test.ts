// The pages of docs/ and CONTRIBUTING.md, checked against what the code does. (docs/ops.md and docs/errors.md are generated;
// tools/test compares them with their sources.)
import { testPages } from "./suite.ts"

testPages([
  "docs/architecture.md",
  "docs/autodiff.md",
  "docs/control-flow.md",
  "docs/memory.md",
  "docs/threads.md",
  "docs/writing-ops.md",
  "CONTRIBUTING.md",
])
