// A vitest reporter that closes the run with one plain line of counts, for people and scripts that read the log's end.
// Whatever fails outside a test (a file that does not load, an unhandled rejection) counts as one failure each.
import type { Reporter, SerializedError, TestModule } from "vitest/node"

export default class Summary implements Reporter {
  onTestRunEnd(modules: readonly TestModule[], unhandledErrors: readonly SerializedError[]): void {
    const count = { passed: 0, failed: unhandledErrors.length, skipped: 0, pending: 0 }
    for (const module of modules) {
      for (const test of module.children.allTests()) count[test.result().state]++
      count.failed += module.errors().length
    }
    console.log(`Tests: ${count.passed} passed, ${count.failed} failed, ${count.skipped + count.pending} skipped`)
  }
}
