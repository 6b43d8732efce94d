import { parseProgram, printProgram, Program, verify } from "@counterflow/ir"
import { describe, expect, test } from "vitest"
import { everything, training } from "./programs.ts"
import { messageOf } from "./refusals.ts"

describe("printing", () => {
  test("a program with its backward and its update", () => {
    expect(printProgram(training())).toMatchInlineSnapshot(`
      "program
        data x : float32[batch, 2]
        parameter w : float32[batch, 2] initializer="constant(1)"
        mul_0.tmp_0 : float32[batch, 2] = mul(x: x, y: w)
        mean_0.tmp_0 : float32[] = mean(x: mul_0.tmp_0) loss
        -- backward
        fill_constant_0.grad_0 : float32[batch, 2] = fillConstant() {shape: [batch, 2], value: 0.5, dtype: "float32"} gradientOf=mul_0.tmp_0 from=mul_0.tmp_0
        mul_0.grad_0 : float32[batch, 2] = mul(x: x, y: fill_constant_0.grad_0) gradientOf=w from=mul_0.tmp_0
        -- optimize
        (next: w@NEXT : float32[batch, 2]) = sgd(param: w, grad: mul_0.grad_0) {learningRate: 0.1} writes=w
        names {mul: 1, mul_0.tmp: 1, mean: 1, mean_0.tmp: 1}
        trainingNames {fill_constant: 1, fill_constant_0.grad: 1, mul: 1, mul_0.grad: 1}
      "
    `)
  })

  test("everything that a program can hold", () => {
    expect(everything().toString()).toMatchInlineSnapshot(`
      "program randomSeed=7 streams=1 freshSymbols=1
        data x : float32[batch, 2]
        data "an odd: name #1" : float32[dim_0, 2] stopGradient=false
        parameter fc_0.w_0 : float32[2] trainable=false learningRate=0.5 l2=0.0001 initializer="uniform(\\"a\\", -1)"
        state running : float32[2] = -0
        variable unused : int64[]
        add_0.tmp_0 : float32[batch, 2] = add(x: x, y: "an odd: name #1") scope="net/first" requires=[batch == dim_0]
        (y: norm_0.tmp_0 : float32[batch, 2], nextMean: running@NEXT : float32[2]) = norm(x: add_0.tmp_0, runningMean: running) {isTest: false, mode: "batch"} writes={nextMean: running} version=2
        (y: norm_1.tmp_0 : float32[batch, 2], nextMean: running@NEXT_0 : float32[2]) = norm(x: norm_0.tmp_0, scale: running, runningMean: running@NEXT) {isTest: false, mode: "batch"} writes={nextMean: running} version=2
        fill_constant_0.tmp_0 : float32[3, batch] = fillConstant() {shape: [3, batch], value: -Infinity, dtype: "float32"}
        (ys: [split_0.tmp_0 : float32[1, batch], split_0.tmp_1 : float32[2, batch]]) = split(x: fill_constant_0.tmp_0) {sections: [1, 2]}
        data flag : bool[]
        (ys: [cond_1.tmp_0 : float32[1, batch]]) = cond(pred: flag, captures: [flag, split_0.tmp_0])
          block 1 whenTrue
            (ys: [cond_0.tmp_0 : float32[1, batch]]) = cond(pred: flag, captures: [split_0.tmp_0])
              block 2 whenTrue
                mul_0.tmp_0 : float32[1, batch] = mul(x: split_0.tmp_0, y: split_0.tmp_0)
                return mul_0.tmp_0
              block 3 whenFalse
                return split_0.tmp_0
            return cond_0.tmp_0
          block 4 whenFalse
            sum_0.tmp_0 : float32[1, batch] = sum(xs: [split_0.tmp_0, split_0.tmp_0])
            return sum_0.tmp_0
        mean_0.tmp_0 : float32[] = mean(x: cond_1.tmp_0)
        vendor_mark_0.tmp_0 : float32[batch, 2] = vendor.mark(x: x) {number: null, text: "say \\"a#b\\"\\n", dims: [2*batch, 3, floorDiv(h, 2), dim(NaN)], numbers: [NaN, -0, 1e+21], ints: [], int: -1, flag: true, dim: dim(true)}
        -- backward
        fill_constant_0.grad_0 : float32[1, batch] = fillConstant() {shape: [1, batch], value: NaN, dtype: "float32"} stopGradient=true gradientOf=split_0.tmp_0 from=cond_1.tmp_0
        names {add: 1, add_0.tmp: 1, norm: 2, norm_0.tmp: 1, norm_1.tmp: 1, running@NEXT: 1, fill_constant: 1, fill_constant_0.tmp: 1, split: 1, split_0.tmp: 2, mul: 1, mul_0.tmp: 1, cond: 2, cond_0.tmp: 1, sum: 1, sum_0.tmp: 1, cond_1.tmp: 1, mean: 1, mean_0.tmp: 1, vendor_mark: 1, vendor_mark_0.tmp: 1}
        trainingNames {fill_constant: 1, fill_constant_0.grad: 1}
      "
    `)
  })

  test("brief text has one line per operator", () => {
    expect(printProgram(training(), { brief: true })).toMatchInlineSnapshot(`
      "mul_0.tmp_0 = mul(x, w)
      mean_0.tmp_0 = mean(mul_0.tmp_0)
      fill_constant_0.grad_0 = fillConstant() {shape: [batch, 2], value: 0.5, dtype: "float32"}
      mul_0.grad_0 = mul(x, fill_constant_0.grad_0)
      w@NEXT = sgd(w, mul_0.grad_0) {learningRate: 0.1} writes w"
    `)
    expect(printProgram(training(), { brief: true, roles: ["backward"] })).toMatchInlineSnapshot(`
      "fill_constant_0.grad_0 = fillConstant() {shape: [batch, 2], value: 0.5, dtype: "float32"}
      mul_0.grad_0 = mul(x, fill_constant_0.grad_0)"
    `)
    expect(printProgram(everything(), { brief: true })).toMatchInlineSnapshot(`
      "add_0.tmp_0 = add(x, "an odd: name #1")
      (norm_0.tmp_0, running@NEXT) = norm(add_0.tmp_0, runningMean: running) {mode: "batch"} writes running
      (norm_1.tmp_0, running@NEXT_0) = norm(norm_0.tmp_0, running, running@NEXT) {mode: "batch"} writes running
      fill_constant_0.tmp_0 = fillConstant() {shape: [3, batch], value: -Infinity, dtype: "float32"}
      [split_0.tmp_0, split_0.tmp_1] = split(fill_constant_0.tmp_0) {sections: [1, 2]}
      [cond_1.tmp_0] = cond(flag, [flag, split_0.tmp_0])
        whenTrue
          [cond_0.tmp_0] = cond(flag, [split_0.tmp_0])
            whenTrue
              mul_0.tmp_0 = mul(split_0.tmp_0, split_0.tmp_0)
              return mul_0.tmp_0
            whenFalse
              return split_0.tmp_0
          return cond_0.tmp_0
        whenFalse
          sum_0.tmp_0 = sum([split_0.tmp_0, split_0.tmp_0])
          return sum_0.tmp_0
      mean_0.tmp_0 = mean(cond_1.tmp_0)
      vendor_mark_0.tmp_0 = vendor.mark(x) {text: "say \\"a#b\\"\\n", dims: [2*batch, 3, floorDiv(h, 2), dim(NaN)], numbers: [NaN, -0, 1e+21], ints: [], int: -1, flag: true, dim: dim(true)}
      fill_constant_0.grad_0 = fillConstant() {shape: [1, batch], value: NaN, dtype: "float32"}"
    `)
  })

  test("an empty program", () => {
    expect(printProgram(new Program())).toBe("program\n")
  })
})

describe("parsing", () => {
  test.each([
    ["training", training],
    ["everything", everything],
    ["empty", () => new Program()],
  ])("print → parse gives the same program: %s", (_, build) => {
    const program = build()
    verify(program)
    const text = printProgram(program)
    const again = parseProgram(text)
    verify(again)
    expect(printProgram(again)).toBe(text)
    expect(again.toJSON()).toEqual(program.toJSON())
    expect([...again.operators()].every((op) => op.record.unresolved === true)).toBe(true)
  })

  test("links are links, not names", () => {
    const program = parseProgram(printProgram(training()))
    const gradient = program.globalBlock().var("mul_0.grad_0")
    expect(gradient.gradientOf).toBe(program.globalBlock().var("w"))
    expect(gradient.producer?.derivedFrom).toBe(program.globalBlock().ops[0])
    expect(program.globalBlock().ops[1]?.isLoss).toBe(true)
  })

  test("comments, blank lines, indentation and the end of lines are free", () => {
    const text = [
      "# a comment",
      "",
      "program   # with one behind",
      "   data  x:float32 [ batch , 2 ]",
      '   "a#b" : float32[batch, 2] = add( x: x,y:x ) scope="#" # done',
      "   names { add : 3 }",
    ]
    expect(printProgram(parseProgram(text.join("\r\n")))).toMatchInlineSnapshot(`
      "program
        data x : float32[batch, 2]
        "a#b" : float32[batch, 2] = add(x: x, y: x) scope="#"
        names {add: 3}
      "
    `)
  })

  test("names that are also keywords", () => {
    const text = `program
  data data : float32[]
  return : float32[] = add(x: data, y: data)
  block : float32[] = add(x: return, y: return)
`
    expect(printProgram(parseProgram(text))).toBe(text)
  })

  test("a block that no operator owns", () => {
    const program = new Program()
    program.within({ block: program.createBlock() }, () =>
      program.currentBlock().createVar({ name: "x", shape: [], dtype: "bool", isData: true }),
    )
    expect(printProgram(program)).toMatchInlineSnapshot(`
      "program
        block 1 parent=0
          data x : bool[]
      "
    `)
    expect(printProgram(parseProgram(printProgram(program)))).toBe(printProgram(program))
  })

  test("an operator without outputs is an origin by its place", () => {
    const text = `program
  data x : float32[2]
  () = report(x: x)
  y : float32[2] = copy(x: x) from=[0, 0]
`
    expect(printProgram(parseProgram(text))).toBe(text)
  })
})

describe("refused texts", () => {
  const refused = (...lines: string[]) => messageOf(() => parseProgram(lines.join("\n")))

  test("the frame", () => {
    expect(refused("")).toMatchInlineSnapshot(`"CF_BAD_TEXT  parseProgram: a text begins with "program""`)
    expect(refused("programme")).toMatchInlineSnapshot(`
      "CF_BAD_TEXT  parseProgram: a text begins with "program"
          programme
        at line 1, column 1"
    `)
    expect(refused("program colour=3")).toMatchInlineSnapshot(`
      "CF_BAD_TEXT  parseProgram: there is no colour of a program
          program colour=3
        at line 1, column 9"
    `)
    expect(refused("program", "data x : float32[]")).toMatchInlineSnapshot(`
      "CF_BAD_TEXT  parseProgram: a program ends where the indentation does
          data x : float32[]
        at line 2, column 1"
    `)
    expect(refused("program", "\tdata x : float32[]")).toMatchInlineSnapshot(`
      "CF_BAD_TEXT  parseProgram: indent with spaces, not tabs
          data x : float32[]
        at line 2, column 2"
    `)
    expect(refused("program", "  block 1 whenTrue")).toMatchInlineSnapshot(`
      "CF_BAD_TEXT  parseProgram: a block must follow the operator that owns it
          block 1 whenTrue
        at line 2, column 11"
    `)
    expect(refused("program", "  block 2 parent=0")).toMatchInlineSnapshot(
      `"CF_BAD_TEXT  parseProgram: block 1 is missing"`,
    )
    expect(refused("program", "  -- sideways")).toMatchInlineSnapshot(`
      "CF_BAD_TEXT  parseProgram: a part is one of forward, backward, optimize, schedule, got sideways
          -- sideways
        at line 2, column 6"
    `)
  })

  test("statements", () => {
    expect(refused("program", "  datum x : float32[]")).toMatchInlineSnapshot(`
      "CF_BAD_TEXT  parseProgram: "datum" is neither the name of an output, which ":" follows, nor a keyword
          datum x : float32[]
        at line 2, column 3"
    `)
    expect(refused("program", "  data x : flaot32[]")).toMatchInlineSnapshot(`
      "CF_BAD_TEXT  parseProgram: there is no dtype flaot32; did you mean float32?
          data x : flaot32[]
        at line 2, column 12"
    `)
    expect(refused("program", "  data x : float32[2, ]")).toMatchInlineSnapshot(`
      "CF_BAD_TEXT  parseProgram: expected a value, got "]"
          data x : float32[2, ]
        at line 2, column 23"
    `)
    expect(refused("program", "  data x : float32[2 batch]")).toMatchInlineSnapshot(`
      "CF_BAD_TEXT  parseProgram: dimension "2 batch": expected an operator, got "batch" at position 2
          data x : float32[2 batch]
        at line 2, column 20"
    `)
    expect(refused("program", "  data x : float32[] trainable=true")).toMatchInlineSnapshot(`
      "CF_BAD_TEXT  parseProgram: trainable is no property of data
          data x : float32[] trainable=true
        at line 2, column 22"
    `)
    expect(refused("program", '  data "x : float32[]')).toMatchInlineSnapshot(`
      "CF_BAD_TEXT  parseProgram: expected a quoted text, got ""x : float32[]"
          data "x : float32[]
        at line 2, column 8"
    `)
    expect(refused("program", '  data "\\q" : float32[]')).toMatchInlineSnapshot(`
      "CF_BAD_TEXT  parseProgram: this is no JSON string
          data "\\q" : float32[]
        at line 2, column 8"
    `)
    expect(refused("program", "  y : float32[] = make(")).toMatchInlineSnapshot(`
      "CF_BAD_TEXT  parseProgram: expected a name, got the end of the line
          y : float32[] = make(
        at line 2, column 24"
    `)
    expect(refused("program", "  y : float32[] = make() {a: 1, a: 2}")).toMatchInlineSnapshot(`
      "CF_BAD_TEXT  parseProgram: a is given twice
          y : float32[] = make() {a: 1, a: 2}
        at line 2, column 33"
    `)
    expect(refused("program", "  y : float32[] = make() {a: 1 + }")).toMatchInlineSnapshot(`
      "CF_BAD_TEXT  parseProgram: dimension "1 +": expected an operand, got the end of the text at position 3
          y : float32[] = make() {a: 1 + }
        at line 2, column 30"
    `)
    expect(refused("program", `  y : float32[] = make() {a: ${"[".repeat(100)}}`)).toMatch(
      /^CF_BAD_TEXT {2}parseProgram: values nest deeper than 32\n/,
    )
    expect(refused("program", "  y : float32[] = make() again")).toMatchInlineSnapshot(`
      "CF_BAD_TEXT  parseProgram: again is no property of an operator
          y : float32[] = make() again
        at line 2, column 26"
    `)
    expect(refused("program", "  y : float32[] = make() from=x")).toMatchInlineSnapshot(`
      "CF_BAD_TEXT  parseProgram: from=x: no operator assigns "x"
          y : float32[] = make() from=x
        at line 2, column 31"
    `)
    expect(refused("program", "  names {fc: many}")).toMatchInlineSnapshot(`
      "CF_BAD_TEXT  parseProgram: expected an integer, got "many}"
          names {fc: many}
        at line 2, column 14"
    `)
  })

  test("what the names refer to, with the line", () => {
    const data = "  data x : float32[2]"
    expect(refused("program", data, "  y : float32[2] = copy(x: z)")).toMatchInlineSnapshot(`
      "CF_BAD_TEXT  parseProgram: inputs.x[0] names "z", which no variable has
          y : float32[2] = copy(x: z)
        at line 3
        fix: did you mean "x"?"
    `)
    expect(refused("program", data, data)).toMatchInlineSnapshot(`
      "CF_BAD_TEXT  parseProgram: name "x" is taken by line 2
          data x : float32[2]
        at line 3"
    `)
    expect(refused("program", "  y : float32[2] = copy(x: z)", "  z : float32[2] = copy(x: y)")).toMatchInlineSnapshot(`
      "CF_BAD_TEXT  parseProgram: inputs.x[0] reads "z" before anything assigns it
          y : float32[2] = copy(x: z)
        at line 2"
    `)
    expect(refused("program", data, "  y : float32[2] = copy(x: x) {__proto__: 1}")).toMatchInlineSnapshot(`
      "CF_BAD_TEXT  parseProgram: attrs has the forbidden key "__proto__"
          y : float32[2] = copy(x: x) {__proto__: 1}
        at line 3"
    `)
    expect(refused("program", data, "  y : float32[2] = copy(x: x) writes=x")).toMatchInlineSnapshot(`
      "CF_BAD_TEXT  parseProgram: writes[0].state names "x", which is no state
          y : float32[2] = copy(x: x) writes=x
        at line 3"
    `)
    expect(refused("program", data, "  y : float32[2] = if(x: x)", "    block 1 whenTrue", "      return w"))
      .toMatchInlineSnapshot(`
      "CF_BAD_TEXT  parseProgram: results[0] names "w", which no variable has
          block 1 whenTrue
        at line 4
        fix: did you mean "x"?"
    `)
  })
})
