// Text as numbers: the characters of a text in their order, and how surprising they are by how often they come alone.

export interface Alphabet {
  readonly characters: readonly string[]
  /** The number of each character; what the alphabet does not have is refused. */
  readonly encode: (text: string) => Int32Array
}

export function alphabetOf(text: string): Alphabet {
  const characters = [...new Set(text)].sort()
  const numbers = new Map(characters.map((character, i) => [character, i]))
  const encode = (given: string) =>
    Int32Array.from(given, (character) => {
      const number = numbers.get(character)
      if (number === undefined) throw new RangeError(`the alphabet has no ${JSON.stringify(character)}`)
      return number
    })
  return { characters, encode }
}

/** Bits per character for one who knows how often each comes, and nothing else: −Σ p log₂ p. */
export function unigramEntropy(codes: Int32Array): number {
  const counts = new Map<number, number>()
  for (const code of codes) counts.set(code, (counts.get(code) ?? 0) + 1)
  return [...counts.values()].reduce(
    (bits, count) => bits - (count / codes.length) * Math.log2(count / codes.length),
    0,
  )
}
