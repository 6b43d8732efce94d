// From bytes to a running instance: at once where the host allows it, and otherwise when it is ready. Equal bytes are compiled
// once, so that the same step in another executor, or after its plan was evicted, finds its machine code again.

import { fail } from "@counterflow/ir"
import { type HostImports, type HostInstance, type HostModule, hostWebAssembly, plainLoops } from "./host.ts"

type Bytes = Uint8Array<ArrayBuffer>
type Soon<T> = T | Promise<T>

export interface Compiled {
  readonly module: HostModule
  readonly instance: HostInstance
}

/** What to throw for a module that is not valid. */
type Invalid = (reason: string, cause: unknown) => never

/** A few recent modules. */
export class CompiledModules {
  readonly #invalid: Invalid
  /** Least recently used first. */
  readonly #kept: { readonly bytes: Bytes; readonly hash: number; readonly module: HostModule }[] = []
  readonly #limit = 16

  constructor(invalid: Invalid = invalidPlan) {
    this.#invalid = invalid
  }

  /** The instance, or a promise of it where the host makes those of this size only asynchronously. */
  instantiate(bytes: Bytes, imports: HostImports): Soon<Compiled> {
    const host = hostWebAssembly()
    const instance = (module: HostModule): Soon<Compiled> =>
      nowOrLater(
        bytes,
        () => ({ module, instance: new host.Instance(module, imports) }),
        async () => ({ module, instance: await host.instantiate(module, imports) }),
        this.#invalid,
      )
    const module = this.#module(bytes)
    return module instanceof Promise ? module.then(instance) : instance(module)
  }

  #module(bytes: Bytes): Soon<HostModule> {
    const hash = hashOf(bytes)
    const index = this.#kept.findIndex((kept) => kept.hash === hash && isSame(kept.bytes, bytes))
    const [known] = index < 0 ? [] : this.#kept.splice(index, 1)
    if (known !== undefined) {
      this.#kept.push(known)
      return known.module
    }
    const keep = (module: HostModule): HostModule => {
      this.#kept.push({ bytes, hash, module })
      if (this.#kept.length > this.#limit) this.#kept.shift()
      return module
    }
    const host = hostWebAssembly()
    const module = nowOrLater(
      bytes,
      () => new host.Module(bytes),
      () => host.compile(bytes),
      this.#invalid,
    )
    return module instanceof Promise ? module.then(keep) : keep(module)
  }
}

/** A module with one function, which answers i8x16.popcnt (i8x16.splat (i32.const 0)). */
const vectorModule = [
  0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00, 0x01, 0x05, 0x01, 0x60, 0x00, 0x01, 0x7b, 0x03, 0x02, 0x01, 0x00,
  0x0a, 0x0a, 0x01, 0x08, 0x00, 0x41, 0x00, 0xfd, 0x0f, 0xfd, 0x62, 0x0b,
]

/**
 * Throws CF_HOST_UNFIT where no plan could run. A tiny module is compiled, not only validated: a page whose policy forbids to
 * compile WebAssembly would still call it valid.
 */
export function requireVectors(): void {
  const host = hostWebAssembly()
  const bytes = Uint8Array.from(vectorModule)
  if (!host.validate(bytes))
    fail("CF_HOST_UNFIT", "the WebAssembly of this host has no vector instructions", { op: "wasm", fix: plainLoops })
  try {
    void new host.Module(bytes)
  } catch (cause) {
    // Who compiles nothing at once may do so later.
    if (nameOf(cause) !== "RangeError") refuse(bytes, cause, invalidPlan)
  }
}

/** The main thread of a browser takes only small modules at once; how small is its own affair. */
function nowOrLater<T extends object>(bytes: Bytes, now: () => T, later: () => Promise<T>, invalid: Invalid): Soon<T> {
  try {
    return now()
  } catch (cause) {
    return nameOf(cause) === "RangeError"
      ? later().catch((reason: unknown) => refuse(bytes, reason, invalid))
      : refuse(bytes, cause, invalid)
  }
}

/** What this package has just written is not valid: our mistake. */
function invalidPlan(reason: string, cause: unknown): never {
  return fail("CF_INTERNAL", `the module of a plan is not valid: ${reason}`, { op: "wasm", cause })
}

/** A host may forbid what is valid. */
function refuse(bytes: Bytes, cause: unknown, invalid: Invalid): never {
  const reason = String(cause)
  if (!hostWebAssembly().validate(bytes)) return invalid(reason, cause)
  return fail("CF_HOST_UNFIT", `this host refused to compile a module of ${bytes.length} bytes: ${reason}`, {
    op: "wasm",
    fix: `in a page, allow 'wasm-unsafe-eval' in the script-src of its content security policy; or ${plainLoops}`,
    cause,
  })
}

/** Errors of a host may come from another realm, whose classes are not ours. */
function nameOf(cause: unknown): string {
  return typeof cause === "object" && cause !== null && "name" in cause ? String(cause.name) : ""
}

/** FNV-1a, 32 bits. */
function hashOf(bytes: Bytes): number {
  let hash = 0x811c9dc5
  for (let i = 0; i < bytes.length; i++) hash = Math.imul(hash ^ bytes[i]!, 0x01000193)
  return hash
}

function isSame(a: Bytes, b: Bytes): boolean {
  return a.length === b.length && a.every((byte, i) => byte === b[i])
}
