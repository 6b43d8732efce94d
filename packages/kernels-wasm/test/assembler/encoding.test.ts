// The binary format at its edges: LEB128, constants to the bit, sections, big functions, data, names; and the text format.

import fc from "fast-check"
import { describe, expect, test } from "vitest"
import { ByteWriter } from "../../src/assembler/bytes.ts"
import {
  atomicI32,
  atomicMemory,
  f32,
  f64,
  i32,
  i64,
  growMemory,
  memorySize,
  ModuleBuilder,
  printModule,
} from "../../src/assembler/index.ts"
import { instantiate } from "./instance.ts"

function written(write: (writer: ByteWriter) => void): number[] {
  const writer = new ByteWriter()
  write(writer)
  return [...writer.finish()]
}

describe("LEB128", () => {
  test("is the shortest form", () => {
    expect(written((w) => w.unsigned(0))).toEqual([0])
    expect(written((w) => w.unsigned(127))).toEqual([0x7f])
    expect(written((w) => w.unsigned(128))).toEqual([0x80, 1])
    expect(written((w) => w.unsigned(2 ** 32 - 1))).toEqual([0xff, 0xff, 0xff, 0xff, 0x0f])
    expect(written((w) => w.signed(63))).toEqual([0x3f])
    expect(written((w) => w.signed(64))).toEqual([0xc0, 0])
    expect(written((w) => w.signed(-64))).toEqual([0x40])
    expect(written((w) => w.signed(-65))).toEqual([0xbf, 0x7f])
    expect(written((w) => w.signed(-(2 ** 31)))).toEqual([0x80, 0x80, 0x80, 0x80, 0x78])
    expect(written((w) => w.signed64(-(2n ** 63n)))).toHaveLength(10)
    expect(written((w) => w.signed64(2n ** 62n - 1n))).toHaveLength(9)
  })

  test("is read back by the host, around every power of two", () => {
    const powers = Array.from({ length: 64 }, (_, i) => 2n ** BigInt(i))
    const all = powers.flatMap((power) =>
      [power - 1n, power, -power, -power - 1n].filter((x) => x >= -(2n ** 63n) && x < 2n ** 63n),
    )
    const small = all.filter((x) => x >= -(2n ** 31n) && x < 2n ** 31n)
    const module = new ModuleBuilder()
    const run64 = module.function("run64", ["i32"], ["i64"], (f, n) => {
      f.switch(
        n,
        all.map((x) => () => f.return(x)),
      )
      f.trap()
    })
    const run32 = module.function("run32", ["i32"], ["i32"], (f, n) => {
      f.switch(
        n,
        small.map((x) => () => f.return(Number(x))),
      )
      f.trap()
    })
    module.export("run64", run64)
    module.export("run32", run32)
    const { get } = instantiate(module)
    expect(all.map((_, i) => get("run64")(i))).toEqual(all)
    expect(small.map((_, i) => get("run32")(i))).toEqual(small.map(Number))
  })
})

describe("constants", () => {
  test("keep every bit, NaN payloads and the sign of zero", () => {
    const patterns = fc.bigInt({ min: 0n, max: 2n ** 64n - 1n })
    const special = [0x8000000000000000n, 0x7ff8000000000001n, 0xfff0000000000123n, 0x7ff0000000000001n, 1n]
    const all = [...fc.sample(patterns, { seed: 30, numRuns: 50 }), ...special]
    const module = new ModuleBuilder()
    const wide = module.function("wide", ["i32"], ["i64"], (f, n) => {
      f.switch(
        n,
        all.map((bits) => () => f.return(i64.reinterpretF64(f64.bits(bits)))),
      )
      f.trap()
    })
    const narrow = module.function("narrow", ["i32"], ["i32"], (f, n) => {
      f.switch(
        n,
        all.map((bits) => () => f.return(i32.reinterpretF32(f32.bits(Number(bits >> 32n))))),
      )
      f.trap()
    })
    module.export("wide", wide)
    module.export("narrow", narrow)
    const { get } = instantiate(module)
    expect(all.map((_, i) => get("wide")(i))).toEqual(all.map((bits) => BigInt.asIntN(64, bits)))
    expect(all.map((_, i) => get("narrow")(i))).toEqual(all.map((bits) => Number(BigInt.asIntN(32, bits >> 32n))))
  })

  test("numbers become the nearest constant of the type", () => {
    const module = new ModuleBuilder()
    const run = module.function("run", ["f32"], ["f64"], (f, x) => f.return(f64.promoteF32(f32.mul(x, 0.1))))
    module.export("run", run)
    expect(instantiate(module).get("run")(1)).toBe(Math.fround(0.1))
  })
})

describe("memory", () => {
  test("data goes to its address, or where a function puts it", () => {
    const module = new ModuleBuilder()
    module.importMemory("host", "memory", { minPages: 1 })
    module.data(Uint8Array.of(1, 2, 3), 40000)
    const passive = module.data(Uint8Array.from({ length: 300 }, (_, i) => i))
    const run = module.function("run", ["i32"], ["i32"], (f, address) => {
      f.initialize(address, passive)
      f.copy(i32.add(address, 1), address, 10)
      f.fill(40001, 9, 1)
      f.return(memorySize())
    })
    module.export("run", run)
    const { memory, get } = instantiate(module)
    const bytes = new Uint8Array(memory.buffer)
    expect(bytes.slice(39999, 40004)).toEqual(Uint8Array.from([0, 1, 2, 3, 0]))
    expect(get("run")(1000)).toBe(1)
    expect(bytes.slice(999, 1014)).toEqual(Uint8Array.from([0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 12, 13]))
    expect([bytes[40001], bytes[1299], bytes[1300]]).toEqual([9, 43, 0])
  })

  test("grows by pages, as long as there are some", () => {
    const module = new ModuleBuilder()
    module.importMemory("host", "memory", { minPages: 1 })
    const run = module.function("run", ["i32"], ["i32"], (f, pages) => f.return(growMemory(pages)))
    module.export("run", run)
    const { memory, get } = instantiate(module)
    expect(get("run")(2)).toBe(1)
    expect(memory.buffer.byteLength).toBe(3 * 2 ** 16)
    expect([get("run")(0), get("run")(2 ** 16)]).toEqual([3, -1])
  })

  test("offsets reach the whole address space", () => {
    const module = new ModuleBuilder()
    module.importMemory("host", "memory", { minPages: 1 })
    const offsets = [0, 120, 128, 16384, 65532]
    const run = module.function("run", ["i32"], ["i32"], (f, n) => {
      f.switch(
        n,
        offsets.map((offset) => () => f.return(i32.load(0, offset, 1))),
      )
      f.return(i32.load(0, 2 ** 32 - 1))
    })
    module.export("run", run)
    const { memory, get } = instantiate(module)
    const view = new DataView(memory.buffer)
    for (const offset of offsets) view.setInt32(offset, offset + 1, true)
    expect(offsets.map((_, i) => get("run")(i))).toEqual([1, 121, 129, 16385, 65533])
    expect(() => get("run")(9)).toThrowError(WebAssembly.RuntimeError)
  })

  test("atomics work on shared memory", () => {
    const module = new ModuleBuilder()
    module.importMemory("host", "memory", { minPages: 1, maxPages: 1, isShared: true })
    const run = module.function("run", ["i32"], ["i32"], (f, address) => {
      f.store("i32.atomic", address, 5)
      f.drop(atomicI32.rmwAdd(address, 37))
      f.drop(atomicI32.rmwCmpxchg(address, 42, 43))
      f.fence()
      f.drop(atomicMemory.notify(address, 1))
      // Woken 0, value differs 1, timed out 2.
      const waited = f.let(atomicMemory.wait32(address, 7, -1n))
      f.return(i32.add(i32.mul(atomicI32.load(address), 10), waited))
    })
    module.export("run", run)
    const memory = new WebAssembly.Memory({ initial: 1, maximum: 1, shared: true })
    const instance = new WebAssembly.Instance(new WebAssembly.Module(module.finish()), { host: { memory } })
    const exported = instance.exports["run"]
    expect(typeof exported === "function" ? Reflect.apply(exported, undefined, [64]) : undefined).toBe(431)
  })
})

describe("modules", () => {
  test("a function of many statements and locals", () => {
    const count = 20000
    const module = new ModuleBuilder()
    const run = module.function("run", ["i32"], ["i32"], (f, x) => {
      const locals = Array.from({ length: 300 }, () => f.local("i32"))
      for (let i = 0; i < count; i++) {
        const local = locals[i % locals.length] ?? x
        f.set(local, i32.add(local, i32.xor(x, i)))
      }
      f.return(locals.reduce((sum, local) => i32.add(sum, local), i32.const(0)))
    })
    module.export("run", run)
    let expected = 0
    for (let i = 0; i < count; i++) expected = (expected + (12345 ^ i)) | 0
    expect(instantiate(module).get("run")(12345)).toBe(expected)
  })

  test("many functions share their signatures and keep their numbers", () => {
    const module = new ModuleBuilder()
    for (let i = 0; i < 300; i++) {
      module.export(
        `f${i}`,
        module.function(`f${i}`, ["i32"], ["i32"], (f, x) => f.return(i32.add(x, i))),
      )
    }
    const { get } = instantiate(module)
    expect([0, 127, 128, 299].map((i) => get(`f${i}`)(1))).toEqual([1, 128, 129, 300])
  })

  test("deep nesting", () => {
    const module = new ModuleBuilder()
    const run = module.function("run", ["i32"], ["i32"], (f, x) => {
      const nest = (depth: number): void => {
        if (depth === 0) f.return(x)
        else f.block(() => nest(depth - 1))
      }
      nest(200)
      f.trap()
    })
    module.export("run", run)
    expect(instantiate(module).get("run")(3)).toBe(3)
  })

  test("the name section says the names of functions, in UTF-8 and only when asked", () => {
    const module = new ModuleBuilder()
    module.export(
      "run",
      module.function("run ⊕ 𝄞", ["i32"], [], (f) => f.trap()),
    )
    const [names] = WebAssembly.Module.customSections(new WebAssembly.Module(module.finish({ names: true })), "name")
    expect(new TextDecoder().decode(names)).toContain("run ⊕ 𝄞")
    expect(WebAssembly.Module.customSections(new WebAssembly.Module(module.finish()), "name")).toEqual([])
  })

  test("read as text", () => {
    const module = new ModuleBuilder()
    module.importMemory("host", "memory", { minPages: 1 })
    const square = module.function("square", ["f32"], ["f32"], (f, x) => f.return(f32.mul(x, x)))
    const scale = module.function("scale", ["i32", "i32", "f32"], [], (f, pointer, count, factor) => {
      const p = f.let(pointer, "p")
      const total = f.local("f64", -0, "total")
      const body = () => {
        f.store("f32", p, f32.mul(f32.load(p, 4), factor), 8)
        f.set(total, f64.add(total, f64.promoteF32(f32.demoteF64(f64.sqrt(f64.abs(f64.promoteF32(f32.load(p))))))))
      }
      f.forRange(count, body, { advance: [[p, 4]] })
      f.if(f64.gt(total, Infinity), () => f.trap())
    })
    module.export("scale", scale)
    module.export("square", square)
    expect(printModule(module)).toMatchInlineSnapshot(`
      "(module
        (import "host" "memory" (memory 1))
        (func $square (param $p0 f32) (result f32)
          (f32.mul (local.get $p0) (local.get $p0))
        )
        (func $scale (param $p0 i32) (param $p1 i32) (param $p2 f32)
          (local $p i32) (local $last i32) (local $i i32) (local $total f64)
          (local.set $p (local.get $p0))
          (local.set $total (f64.const -0))
          (local.set $last (local.get $p1))
          (local.set $i (i32.const 0))
          (if
            (i32.lt_u (local.get $i) (local.get $last))
            (then
              (loop $for
                (f32.store offset=8 (local.get $p) (f32.mul (f32.load offset=4 (local.get $p)) (local.get $p2)))
                (local.set $total
                  (f64.add
                    (local.get $total)
                    (f64.promote_f32 (f32.demote_f64 (f64.sqrt (f64.abs (f64.promote_f32 (f32.load (local.get $p)))))))
                  )
                )
                (local.set $p (i32.add (local.get $p) (i32.const 4)))
                (local.set $i (i32.add (local.get $i) (i32.const 1)))
                (br_if $for (i32.lt_u (local.get $i) (local.get $last)))
              )
            )
          )
          (if
            (f64.gt (local.get $total) (f64.const inf))
            (then
              (unreachable)
            )
          )
        )
        (export "scale" (func $scale))
        (export "square" (func $square))
      )"
    `)
  })
})
