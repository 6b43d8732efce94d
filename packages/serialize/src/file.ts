// Files of Node, imported when first needed so that the rest of the package runs in browsers.

import { fail } from "@counterflow/ir"

export async function readBytes(file: string | URL): Promise<Uint8Array> {
  const { readFile } = await import("node:fs/promises")
  try {
    return new Uint8Array(await readFile(file))
  } catch (cause) {
    return fail("CF_BAD_FILE", `${String(file)} cannot be read`, { fix: "check the path, or pass the bytes", cause })
  }
}

export async function writeBytes(file: string | URL, bytes: Uint8Array): Promise<void> {
  const { writeFile } = await import("node:fs/promises")
  try {
    await writeFile(file, bytes)
  } catch (cause) {
    fail("CF_BAD_FILE", `${String(file)} cannot be written`, {
      fix: "check that the folder exists, or take the bytes that are returned",
      cause,
    })
  }
}
