// What holds for every picture of every program: nothing is lost, nothing comes twice, and Graphviz can draw it.
import { Program, type Variable } from "@counterflow/ir"
import { add, assign, fillConstant, mul, relu, reshape, sgd, write } from "@counterflow/ops"
import { instance } from "@viz-js/viz"
import fc from "fast-check"
import { expect, test } from "vitest"
import { programGraph, toDot } from "../src/index.ts"
import type { Graph } from "../src/graph.ts"
import type { PictureOptions } from "../src/options.ts"
import { dataOf, repeat, stateOf } from "./programs.ts"

const viz = await instance()

interface Step {
  kind: "relu" | "add" | "mul" | "reshape" | "assign" | "constant" | "write" | "sgd" | "loop" | "parameter"
  role: "forward" | "backward" | "optimize" | "schedule"
  scope: string
  left: number
  right: number
}

const steps: fc.Arbitrary<Step[]> = fc.array(
  fc.record({
    kind: fc.constantFrom<Step["kind"]>(
      "relu",
      "add",
      "mul",
      "reshape",
      "assign",
      "constant",
      "write",
      "sgd",
      "loop",
      "parameter",
    ),
    role: fc.constantFrom<Step["role"]>("forward", "forward", "backward", "optimize", "schedule"),
    scope: fc.constantFrom("", "", "a", "a/b", "c"),
    left: fc.nat(100),
    right: fc.nat(100),
  }),
  { minLength: 1, maxLength: 30 },
)

/** A program by instructions; `left` and `right` choose among the values so far. */
function build(list: readonly Step[], names: readonly string[]): Program {
  const program = new Program()
  const values: Variable[] = [dataOf(program, names[0] ?? "x", 2)]
  const pick = (index: number): Variable => values[index % values.length] ?? dataOf(program, "never", 2)
  list.forEach(({ kind, role, scope, left, right }, index) => {
    const x = pick(left)
    const name = `${names[1 + index] ?? "name"} ${index}`
    program.within({ role, scope }, () => {
      if (kind === "relu") values.push(relu(x))
      if (kind === "add") values.push(add(x, pick(right)))
      if (kind === "mul") values.push(mul(x, pick(right)))
      if (kind === "reshape")
        values.push(reshape(x, { shape: [0, 2] }), reshape(reshape(x, { shape: [-1] }), { shape: [-1, 2] }))
      if (kind === "assign") values.push(assign(x))
      if (kind === "constant") values.push(add(x, fillConstant({ shape: x.shape, value: 3, program })))
      if (kind === "loop") values.push(repeat(x, [pick(right)], 2, (state) => relu(add(state, pick(right)))))
      if (kind === "write") {
        const { shape, dtype } = x
        write(program.globalBlock().createVar({ name, shape, dtype, persistable: true, initialValue: 0 }), x)
      }
      if (kind === "parameter" || kind === "sgd") {
        const w = program.globalBlock().createParameter({ name, shape: x.shape, dtype: "float32" })
        values.push(mul(x, w))
        if (kind === "sgd") sgd(w, { grad: x, learningRate: stateOf(program, `${name} rate`, []) })
      }
    })
  })
  return program
}

const options: fc.Arbitrary<PictureOptions> = fc.record({
  detail: fc.constantFrom("auto" as const, "full" as const, "essential" as const),
  collapse: fc.constantFrom("auto" as const, "none" as const, "scope" as const, "layer" as const),
  showVariables: fc.constantFrom("edges" as const, "nodes" as const),
  direction: fc.constantFrom("down" as const, "right" as const),
  maxOps: fc.constantFrom(1, 5, 20, 300),
  parts: fc.subarray(["forward", "backward", "optimize", "schedule"] as const, { minLength: 1 }),
  attributes: fc.boolean(),
  names: fc.boolean(),
  mirror: fc.boolean(),
  legend: fc.boolean(),
})

const names = fc.uniqueArray(fc.string({ unit: "binary", minLength: 1, maxLength: 12 }), {
  minLength: 31,
  maxLength: 31,
})

function keysOf(program: Program): string[] {
  return program.blocks.flatMap(({ ops, index }) => ops.map((_op, position) => `${index}:${position}`)).sort()
}

function checkLinks({ nodes, edges, clusters }: Graph): void {
  const ids = [...nodes, ...clusters].map(({ id }) => id)
  expect(new Set(ids).size).toBe(ids.length)
  const [nodeIds, clusterIds] = [new Set(nodes.map(({ id }) => id)), new Set(clusters.map(({ id }) => id))]
  for (const { cluster } of nodes) expect(cluster === null || clusterIds.has(cluster)).toBe(true)
  clusters.forEach(({ parent }, index) => {
    expect(parent === null || clusters.slice(0, index).some(({ id }) => id === parent)).toBe(true)
  })
  for (const { from, to } of edges) {
    expect(nodeIds).toContain(from)
    expect(nodeIds).toContain(to)
    expect(from).not.toBe(to)
  }
}

test("in full, every operator and every variable is one node, and every read an edge", () => {
  fc.assert(
    fc.property(steps, names, (list, texts) => {
      const program = build(list, texts)
      const graph = programGraph(program, { detail: "full", collapse: "none", showVariables: "nodes" })
      expect(graph.folded).toEqual([])
      expect(graph.nodes.flatMap(({ ops }) => ops).sort()).toEqual(keysOf(program))
      expect(
        graph.nodes
          .map(({ variable }) => variable)
          .filter((name) => name !== "")
          .sort(),
      ).toEqual([...program.variables.keys()].sort())
      const idOf = new Map(graph.nodes.map(({ id, variable }) => [variable, id]))
      const drawn = new Set(graph.edges.map(({ from, to }) => `${from} ${to}`))
      program.blocks.forEach(({ ops, index }) =>
        ops.forEach((op, position) => {
          if (Object.keys(op.blocks).length > 0) return
          for (const input of op.inputList()) expect(drawn).toContain(`${idOf.get(input.name)} op_${index}_${position}`)
        }),
      )
      checkLinks(graph)
    }),
    { seed: 11, numRuns: 60 },
  )
})

test("however it is drawn, every operator of the chosen parts is in one node or listed as folded", () => {
  fc.assert(
    fc.property(steps, names, options, (list, texts, choice) => {
      const program = build(list, texts)
      const graph = programGraph(program, choice)
      checkLinks(graph)
      const roots = program.globalBlock().ops.filter(({ role }) => choice.parts?.includes(role))
      const inside = roots.flatMap(({ blocks }) => Object.values(blocks).flatMap(({ ops }) => ops))
      const keys = [...roots, ...inside].map(({ block, position }) => `${block.index}:${position}`)
      expect([...graph.nodes.flatMap(({ ops }) => ops), ...graph.folded].sort()).toEqual(keys.sort())
      const variables = graph.nodes.map(({ variable }) => variable).filter((name) => name !== "")
      expect(new Set(variables).size).toBe(variables.length)
      const edges = graph.edges.map(({ kind, from, to, tooltip }) => `${kind} ${from} ${to} ${tooltip.join()}`)
      expect(new Set(edges).size).toBe(edges.length)
    }),
    { seed: 12, numRuns: 200 },
  )
})

test("whatever the names, Graphviz draws it, the same every time", () => {
  fc.assert(
    fc.property(steps, names, options, (list, texts, choice) => {
      const dot = toDot(build(list, texts), { ...choice, title: texts.join("") })
      expect(toDot(build(list, texts), { ...choice, title: texts.join("") })).toBe(dot)
      const { status, errors } = viz.render(dot, { format: "svg" })
      expect([status, errors.filter(({ level }) => level === "error")]).toEqual(["success", []])
    }),
    { seed: 13, numRuns: 25 },
  )
})
