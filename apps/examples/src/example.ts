// What an example is: a name, a line about it, what may be set, and a run that answers the figures it must reach. From this the
// list, the help and the reading of arguments are derived; a test calls the run with settings of its own.

import type { Figure } from "./figures.ts"

export interface Output {
  write(text: string): unknown
  readonly isTTY?: boolean
}

/** What may be set on the command line: its default, whose type it has, and what it means. */
export interface Setting {
  readonly value: number | string
  /** The least whole number that makes sense. */
  readonly least?: number
  readonly says: string
}

export type Settings = Readonly<Record<string, Setting>>

type Widened<V> = V extends number ? number : string

/** A value per setting. */
export type Options<S extends Settings> = { readonly [K in keyof S]: Widened<S[K]["value"]> }

export interface Example<S extends Settings = Settings> {
  /** As it is typed: lower case, with hyphens. */
  readonly name: string
  /** One line for the list. */
  readonly summary: string
  readonly settings: S
  /** Runs it, writes what there is to see, and answers the figures; settings that are not given have their defaults. */
  run(options: Partial<Options<S>>, out: Output): Promise<readonly Figure[]>
}

/** An example, from a body that is given every setting. */
export function example<const S extends Settings>(
  of: Pick<Example<S>, "name" | "summary" | "settings">,
  body: (options: Options<S>, out: Output) => Promise<readonly Figure[]>,
): Example<S> {
  const defaults = Object.fromEntries(Object.entries(of.settings).map(([name, { value }]) => [name, value]))
  return { ...of, run: (options, out) => body({ ...defaults, ...options } as Options<S>, out) }
}
