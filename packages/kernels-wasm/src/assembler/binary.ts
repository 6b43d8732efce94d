// The binary format of a module: numbers are given to types, functions and data here, then the sections are written.

import { fail } from "@counterflow/ir"
import { ByteWriter } from "./bytes.ts"
import { encodeBody, type Numbering, orderLocals } from "./encode.ts"
import type { FunctionRef } from "./expression.ts"
import { type ModuleParts, valueTypeCodes } from "./statement.ts"

const header = Uint8Array.of(0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00)
const sections = { custom: 0, type: 1, import: 2, function: 3, export: 7, code: 10, data: 11, dataCount: 12 }

export function encodeModule(parts: ModuleParts, withNames: boolean): Uint8Array<ArrayBuffer> {
  const refs = [...parts.imports, ...parts.functions].map(({ ref }) => ref)
  const numbering: Numbering = {
    functions: new Map(refs.map((ref, i) => [ref, i])),
    data: new Map(parts.data.map(({ ref }, i) => [ref, i])),
    allowsRelaxed: parts.allowsRelaxed,
  }
  const types = new Types(refs)
  const writer = new ByteWriter()
  writer.append(header)
  section(writer, sections.type, types.encodings, (out, type) => out.append(type))
  section(writer, sections.import, importEntries(parts, types), (out, entry) => out.append(entry))
  section(writer, sections.function, parts.functions, (out, { ref }) => out.unsigned(types.numberOf(ref)))
  section(writer, sections.export, [...parts.exports], (out, [name, target]) => {
    out.name(name)
    out.byte(0)
    out.unsigned(
      numbering.functions.get(target) ?? fail("CF_INTERNAL", `assembler: ${target.name} is not of this module`),
    )
  })
  if (parts.data.length > 0) rawSection(writer, sections.dataCount, (out) => out.unsigned(parts.data.length))
  const code = new ByteWriter()
  section(writer, sections.code, parts.functions, (out, body) => {
    code.clear()
    encodeBody(code, body, numbering)
    out.sized(code)
  })
  section(writer, sections.data, parts.data, (out, { ref, address }) => {
    out.byte(address === undefined ? 1 : 0)
    if (address !== undefined) {
      out.byte(0x41)
      out.signed(address | 0)
      out.byte(0x0b)
    }
    out.sized(ref.bytes)
  })
  if (withNames) rawSection(writer, sections.custom, (out) => names(out, parts, refs))
  return writer.finish()
}

function section<T>(
  writer: ByteWriter,
  id: number,
  entries: readonly T[],
  write: (out: ByteWriter, entry: T) => void,
): void {
  if (entries.length === 0) return
  rawSection(writer, id, (out) => {
    out.unsigned(entries.length)
    for (const entry of entries) write(out, entry)
  })
}

function rawSection(writer: ByteWriter, id: number, write: (out: ByteWriter) => void): void {
  const out = new ByteWriter()
  write(out)
  writer.byte(id)
  writer.sized(out)
}

/** Every signature once. */
class Types {
  readonly encodings: Uint8Array[] = []
  readonly #numbers = new Map<string, number>()

  constructor(refs: readonly FunctionRef[]) {
    for (const ref of refs) {
      if (this.#numbers.has(signature(ref))) continue
      this.#numbers.set(signature(ref), this.encodings.length)
      const codes = (types: FunctionRef["params"]) => Uint8Array.from(types, (type) => valueTypeCodes[type])
      const out = new ByteWriter()
      out.byte(0x60)
      out.sized(codes(ref.params))
      out.sized(codes(ref.results))
      this.encodings.push(out.finish())
    }
  }

  numberOf(ref: FunctionRef): number {
    return this.#numbers.get(signature(ref)) ?? fail("CF_INTERNAL", `assembler: ${ref.name} has no type`)
  }
}

function signature({ params, results }: FunctionRef): string {
  return `${params.join(" ")} -> ${results.join(" ")}`
}

function importEntries({ imports, memory }: ModuleParts, types: Types): readonly Uint8Array[] {
  const entries = imports.map(({ ref, module, field }) => {
    const out = new ByteWriter()
    out.name(module)
    out.name(field)
    out.byte(0)
    out.unsigned(types.numberOf(ref))
    return out.finish()
  })
  if (memory === undefined) return entries
  const out = new ByteWriter()
  out.name(memory.module)
  out.name(memory.name)
  out.byte(2)
  out.byte((memory.maxPages === undefined ? 0 : 1) | (memory.isShared ? 2 : 0))
  out.unsigned(memory.minPages)
  if (memory.maxPages !== undefined) out.unsigned(memory.maxPages)
  return [...entries, out.finish()]
}

/** The name section: subsection 1 names functions, subsection 2 their locals. */
function names(out: ByteWriter, parts: ModuleParts, refs: readonly FunctionRef[]): void {
  out.name("name")
  section(out, 1, [...refs.entries()], (map, [number, ref]) => {
    map.unsigned(number)
    map.name(ref.name)
  })
  section(out, 2, [...parts.functions.entries()], (map, [i, body]) => {
    const locals = orderLocals(body)
    map.unsigned(parts.imports.length + i)
    map.unsigned(locals.length)
    for (const [number, { code }] of locals.entries()) {
      map.unsigned(number)
      map.name(code.name)
    }
  })
}
