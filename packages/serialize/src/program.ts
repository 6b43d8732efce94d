// Programs between memory and files: their versioned JSON form as text.

import { Program } from "@counterflow/ir"
import { readBytes, writeBytes } from "./file.ts"

/** The program's JSON text; also written to `file` if one is given (Node). */
export async function saveProgram(program: Program, file?: string | URL): Promise<string> {
  const text = JSON.stringify(program)
  if (file !== undefined) await writeBytes(file, new TextEncoder().encode(text))
  return text
}

/**
 * Reads a program from a file (Node) or the bytes of one. Its operators get their records when an Executor with a registry runs
 * it, or by `resolve(program, registry)` of @counterflow/ops.
 */
export async function loadProgram(source: string | URL | Uint8Array): Promise<Program> {
  const bytes = source instanceof Uint8Array ? source : await readBytes(source)
  return Program.fromJSON(new TextDecoder().decode(bytes))
}
