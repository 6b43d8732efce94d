// Statements: branches, loops, calls and returns do in the host what they say, and misuse is named.

import { describe, expect, test } from "vitest"
import {
  call,
  f64,
  type FunctionBuilder,
  i32,
  i64,
  type Local,
  ModuleBuilder,
  select,
  tee,
} from "../../src/assembler/index.ts"
import { type Exported, instantiate } from "./instance.ts"

type I32 = Local<"i32">

/** A function of two i32 that returns an i32. */
function compiled(build: (f: FunctionBuilder, x: I32, y: I32) => void): Exported {
  const module = new ModuleBuilder()
  module.export("run", module.function("run", ["i32", "i32"], ["i32"], build))
  return instantiate(module).get("run")
}

/** Sums f(i) over the rounds that a loop makes. */
function rounds(loop: (f: FunctionBuilder, x: I32, y: I32, visit: (i: I32) => void) => void): Exported {
  return compiled((f, x, y) => {
    const sum = f.local("i32", 0, "sum")
    loop(f, x, y, (i) => f.set(sum, i32.add(i32.mul(sum, 10), i)))
    f.return(sum)
  })
}

test("what is built ahead runs before what was built first, once and in order", () => {
  const run = compiled((f, x, y) => {
    const [a, b] = [f.local("i32"), f.local("i32")]
    const ahead = f.ahead()
    const sum = f.local("i32", 0, "sum")
    f.forRange(x, () => {
      ahead(() => f.set(a, i32.add(a, y)))
      f.set(sum, i32.add(sum, b))
    })
    ahead(() => f.set(b, i32.mul(a, 2)))
    f.return(sum)
  })
  expect([run(0, 5), run(1, 5), run(3, 7)]).toEqual([0, 10, 42])
})

describe("if", () => {
  test("runs one arm", () => {
    const sign = compiled((f, x) => {
      f.if(
        i32.ltS(x, 0),
        () => f.return(-1),
        () => f.if(x, () => f.return(1)),
      )
      f.return(0)
    })
    expect([-5, 0, 7].map((x) => sign(x, 0))).toEqual([-1, 0, 1])
  })

  test("both arms may return, with nothing after them", () => {
    const larger = compiled((f, x, y) => {
      f.if(
        i32.gtS(x, y),
        () => f.return(x),
        () => f.return(y),
      )
    })
    expect([larger(3, 4), larger(4, 3)]).toEqual([4, 4])
  })

  test("a body that forgets to return traps", () => {
    const forgetful = compiled((f, x) => f.if(x, () => f.return(1)))
    expect(forgetful(1, 0)).toBe(1)
    expect(() => forgetful(0, 0)).toThrowError(WebAssembly.RuntimeError)
  })
})

describe("loops", () => {
  test("forRange counts from, to, by", () => {
    const run = rounds((f, x, y, visit) => f.forRange(y, visit, { from: x, step: 3 }))
    expect([run(1, 8), run(1, 7), run(7, 7), run(8, 7)]).toEqual([147, 14, 0, 0])
  })

  test("forRange with constant bounds needs no first test, and drops a loop of no rounds", () => {
    expect(rounds((f, _x, _y, visit) => f.forRange(5, visit))(0, 0)).toBe(1234)
    expect(rounds((f, _x, _y, visit) => f.forRange(5, visit, { from: 5 }))(0, 0)).toBe(0)
    expect(rounds((f, _x, _y, visit) => f.forRange(2, visit, { from: 3 }))(0, 0)).toBe(0)
  })

  test("forRange computes its end once", () => {
    const run = rounds((f, _x, y, visit) => {
      f.forRange(y, (i) => {
        f.set(y, 0)
        visit(i)
      })
    })
    expect(run(0, 4)).toBe(123)
  })

  test("forRange compares without sign, so that it may run over pointers above 2 GiB", () => {
    const run = compiled((f, x, y) => {
      const count = f.local("i32", 0)
      f.forRange(y, () => f.increment(count, 1), { from: x, step: 4 })
      f.return(count)
    })
    expect(run(0x7ffffff8, 0x80000008)).toBe(4)
  })

  test("advance moves other locals along", () => {
    const run = compiled((f, x, y) => {
      const pointer = f.let(x)
      const sum = f.local("i32", 0)
      f.forRange(y, () => f.increment(sum, pointer), { advance: [[pointer, 8]] })
      f.return(sum)
    })
    expect(run(100, 3)).toBe(100 + 108 + 116)
  })

  test("while tests first", () => {
    const run = rounds((f, x, y, visit) => {
      f.while(i32.ltS(x, y), () => {
        visit(x)
        f.increment(x, 1)
      })
    })
    expect([run(2, 5), run(5, 5)]).toEqual([234, 0])
  })

  test("branches leave blocks and restart loops over several levels", () => {
    const run = rounds((f, x, y, visit) => {
      f.block((done) => {
        f.loop((outer) => {
          f.increment(x, 1)
          f.branch(done, i32.gtS(x, y))
          f.loop((inner) => {
            visit(x)
            f.branch(outer, i32.remU(x, 2))
            f.increment(x, 1)
            f.branch(inner)
          })
        })
      })
    })
    // 1; 2 then 3 in the inner loop; 4 then 5; 6 is past the end.
    expect(run(0, 5)).toBe(12345)
  })
})

describe("switch", () => {
  const run = compiled((f, x, y) => {
    const result = f.local("i32", 1)
    f.switch(
      x,
      [
        () => f.set(result, 10),
        () => f.if(y, () => f.return(-1)),
        () => f.switch(y, [() => f.set(result, 30), () => f.set(result, 31)]),
      ],
      () => f.set(result, 99),
    )
    f.return(i32.add(result, 1))
  })

  test("runs its case alone, nested too, and the fallback for the rest", () => {
    expect([run(0, 0), run(1, 0), run(1, 1)]).toEqual([11, 2, -1])
    expect([run(2, 0), run(2, 1), run(2, 2)]).toEqual([31, 32, 2])
    expect([run(3, 0), run(-1, 0)]).toEqual([100, 100])
  })
})

describe("calls", () => {
  test("take and leave several values", () => {
    const module = new ModuleBuilder()
    const divide = module.function("divide", ["i64", "i64"], ["i64", "f64"], (f, x, y) => {
      f.return(i64.divS(x, y), f64.convertI64S(i64.remS(x, y)))
    })
    const run = module.function("run", ["i64"], ["f64"], (f, x) => {
      const quotient = f.local("i64")
      const rest = f.local("f64")
      f.receive([quotient, rest], divide, x, 10)
      f.run(divide, 1, 1)
      f.return(f64.add(f64.mul(f64.convertI64S(quotient), 1000), rest))
    })
    module.export("run", run)
    module.export("divide", divide)
    const { get } = instantiate(module)
    expect(get("run")(123n)).toBe(12003)
    expect(get("divide")(-7n, 2n)).toEqual([-3n, -1])
  })

  test("reach imports, which may come after functions", () => {
    const module = new ModuleBuilder()
    const twice = module.function("twice", ["f64"], ["f64"], (f, x) => f.return(f64.mul(x, 2)))
    const log = module.importFunction("host", "log", ["i32", "f64"], [])
    const ask = module.importFunction("host", "ask", ["i64"], ["i32"])
    module.importMemory("host", "memory", { minPages: 1 })
    const run = module.function("run", ["f64"], ["i32"], (f, x) => {
      f.run(log, 7, call(twice, x))
      f.return(i32.add(call(ask, 5n), 1))
    })
    module.export("run", run)
    const seen: unknown[] = []
    const imports = { log: (...values: unknown[]) => void seen.push(values), ask: (x: unknown) => Number(x) * 100 }
    expect(instantiate(module, imports).get("run")(1.25)).toBe(501)
    expect(seen).toEqual([[7, 2.5]])
  })

  test("an expression used twice runs twice, a let once", () => {
    const module = new ModuleBuilder()
    const next = module.importFunction("host", "next", [], ["i32"])
    const run = module.function("run", [], ["i32"], (f) => {
      const recipe = call(next)
      const value = f.let(recipe)
      f.drop(recipe)
      f.return(i32.add(i32.mul(value, 100), i32.mul(value, recipe)))
    })
    module.export("run", run)
    let count = 0
    const result = instantiate(module, { next: () => ++count }).get("run")()
    expect([result, count]).toEqual([103, 3])
  })
})

test("select and tee", () => {
  const run = compiled((f, x, y) => {
    const kept = f.local("i32")
    const chosen = f.let(select(i32.ltS(x, y), tee(kept, i32.mul(x, 2)), i32.const(-1)))
    f.return(i32.add(chosen, i32.mul(kept, 100)))
  })
  expect([run(3, 4), run(4, 3)]).toEqual([606, 799])
})

test("locals of all types start at zero and keep apart", () => {
  const module = new ModuleBuilder()
  const run = module.function("run", ["f64", "i32"], ["f64"], (f, x, n) => {
    const locals = [
      f.local("i64"),
      f.local("f32"),
      f.local("i32"),
      f.local("f64"),
      f.local("v128"),
      f.local("i64"),
    ] as const
    f.set(locals[5], 5n)
    f.set(locals[2], i32.add(n, 1))
    f.set(locals[3], f64.add(x, f64.convertI32S(locals[2])))
    f.set(x, f64.convertI64S(i64.add(locals[0], locals[5])))
    f.return(f64.add(f64.mul(x, 1000), f64.add(locals[3], f64.promoteF32(locals[1]))))
  })
  module.export("run", run)
  expect(instantiate(module).get("run")(0.25, 41)).toBe(5042.25)
})

describe("misuse", () => {
  const module = new ModuleBuilder()
  const other = module.function("other", ["i32"], [], () => {})
  const attempt = (build: (f: FunctionBuilder, x: I32) => void) => () => {
    const wrong = new ModuleBuilder()
    wrong.function("wrong", ["i32"], [], build)
    return wrong.finish()
  }

  test("is named", () => {
    const stolen: I32[] = []
    module.function("owner", ["i32"], [], (_f, x) => void stolen.push(x))
    const errors = [
      attempt((f, x) => f.set(x, stolen[0] ?? 0)),
      attempt((f) => f.run(other, 1)),
      attempt((f) => f.block((end) => f.block(() => {}, end.name)) ?? f.branch({ name: "lost" })),
      attempt((f, x) => f.set(x, { ...f64.const(1), type: "f64" } as never)),
      attempt((f, x) => f.set(x, 2 ** 32)),
      attempt((f, x) => f.set(x, 0.5)),
      attempt((f, x) => f.store("f64", x, 0, -8)),
      attempt((f, x) => f.store("f64", x, 0, 0, 16)),
      attempt((f) => f.return(1)),
    ]
    const messages = errors.map((error) => {
      expect(error).toThrowError(/assembler/)
      try {
        error()
      } catch (thrown) {
        return String(thrown).split("\n")[0]
      }
      return ""
    })
    expect(messages).toMatchInlineSnapshot(`
      [
        "CounterflowError: CF_INTERNAL  assembler: p0 is no local of wrong",
        "CounterflowError: CF_INTERNAL  assembler: other is no function of this module",
        "CounterflowError: CF_INTERNAL  assembler: wrong branches to lost from outside it",
        "CounterflowError: CF_INTERNAL  assembler: expected an i32 operand, got f64",
        "CounterflowError: CF_INTERNAL  assembler: 4294967296 is no 32-bit integer",
        "CounterflowError: CF_INTERNAL  assembler: 0.5 is no 32-bit integer",
        "CounterflowError: CF_INTERNAL  assembler: f64.store takes a constant offset from 0 to 2^32 - 1, got -8",
        "CounterflowError: CF_INTERNAL  assembler: f64.store is aligned to a power of two up to 8, got 16",
        "CounterflowError: CF_INTERNAL  assembler: return takes 0 operands, got 1",
      ]
    `)
  })
})
