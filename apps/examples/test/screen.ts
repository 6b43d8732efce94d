// An output that keeps what is written to it.

import type { Output } from "../src/example.ts"

export function screen(): Output & { text(): string } {
  let text = ""
  return { write: (more) => (text += more), text: () => text }
}
