// An output that keeps what is written to it; as a terminal it is a stream, as cli-progress wants one.

import { Writable } from "node:stream"
import type { Output } from "../src/progress.ts"

export interface Screen extends Output {
  text(): string
}

export function screen({ isTTY = false } = {}): Screen {
  let text = ""
  const stream = new Writable({
    write: (chunk: Buffer, _encoding, done) => {
      text += chunk.toString()
      done()
    },
  })
  return Object.assign(stream, { isTTY, columns: 80, text: () => text })
}
