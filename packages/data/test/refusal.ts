// What the tests of refusals compare: an error's code, text and place in one line.
import { DataError } from "../src/index.ts"

export async function refusal(run: () => unknown): Promise<string> {
  try {
    await run()
  } catch (error) {
    if (error instanceof DataError) return `${error.code} ${error.what} @ ${error.where}`
    throw error
  }
  return "accepted"
}

export function fromBase64(text: string): Uint8Array {
  return Uint8Array.from(atob(text), (character) => character.charCodeAt(0))
}

/** The bytes of a text of which every character is a byte. */
export function latin(text: string): Uint8Array {
  return Uint8Array.from(text, (character) => character.charCodeAt(0))
}
