// Moby-Dick as one text: enough for a small model of characters to learn words and punctuation from.
import { readBytes, type Source } from "./read.ts"

export interface MobyDickOptions {
  /** Where `moby-dick.txt.gz` lies, or its bytes; by default the copy beside this package. */
  source?: Source
}

/**
 * Loads the novel: `const text = await mobyDick()`, 135 chapters (neither Extracts nor Epilogue), 1.2 million characters of 81 kinds. In a
 * browser the file is fetched from beside the module, which bundlers arrange; where they do not, pass `source`.
 */
export async function mobyDick({ source }: MobyDickOptions = {}): Promise<string> {
  const bytes = await readBytes(source ?? new URL("../data/moby-dick.txt.gz", import.meta.url))
  return new TextDecoder().decode(bytes)
}
