// Arguments: what they mean, and how wrong ones are refused before anything is measured.

import { describe, expect, test } from "vitest"
import { bench } from "../src/bench.ts"
import { readOptions } from "../src/cli.ts"
import { peers } from "../src/peers.ts"
import { isWanted } from "../src/workloads.ts"

const everybody = peers.map(({ name }) => name)

function screen() {
  let text = ""
  return {
    write: (more: string) => {
      text += more
    },
    text: () => text,
  }
}

describe("options", () => {
  test("nothing asked for is everything, on the page", () => {
    expect(readOptions([])).toEqual({
      only: null,
      peers: everybody,
      repetitions: 5,
      target: 250,
      isQuick: false,
      json: null,
      writesPage: true,
    })
  })

  test("lists, counts and a file", () => {
    expect(
      readOptions(["--only", "mlp, gemm.nn", "--peers=torch", "--reps", "9", "--ms=10", "--json", "r.json"]),
    ).toEqual({
      only: ["mlp", "gemm.nn"],
      peers: ["torch"],
      repetitions: 9,
      target: 10,
      isQuick: false,
      json: "r.json",
      writesPage: false,
    })
  })

  test("a quick run has fewer and shorter repetitions, and leaves the page alone unless told", () => {
    expect(readOptions(["--quick"])).toMatchObject({ repetitions: 3, target: 50, writesPage: false })
    expect(readOptions(["--quick", "--page", "--reps=7"])).toMatchObject({ repetitions: 7, writesPage: true })
  })

  test("a backend takes the others of counterflow out, and nobody else", () => {
    expect(readOptions(["--backend", "cpu"])).toMatchObject({
      peers: everybody.filter((name) => !name.startsWith("counterflow-") || name === "counterflow-cpu"),
    })
  })

  test("a group stands for its workloads, and no name for one that begins like it", () => {
    expect(isWanted("gemm.nn.64", ["gemm"])).toBe(true)
    expect(isWanted("gemm.nn.64", ["gemm.nn.64"])).toBe(true)
    expect(isWanted("gemm.nn.64", ["gem"])).toBe(false)
    expect(isWanted("gpt", null)).toBe(true)
  })
})

test("help names every option and measures nothing", async () => {
  const out = screen()
  expect(await bench(["--help"], out, screen())).toBe(0)
  for (const option of ["--only", "--peers", "--backend", "--reps", "--ms", "--quick", "--json", "--page"]) {
    expect(out.text()).toContain(option)
  }
})

describe("wrong arguments", () => {
  test.each([
    [["--only", "mpl"], '--only: there is no workload "mpl"; there is gemm, elementwise'],
    [["--only="], "a list of names is empty"],
    [["--peers", "tfjs"], '--peers: there is no "tfjs"; there is counterflow-'],
    [["--backend", "gpu"], '--backend: there is no "gpu"; there is wasm, wasm-2threads, cpu'],
    [["--reps", "0"], '--reps must be a whole number, 1 or more, got "0"'],
    [["--ms", "1.5"], '--ms must be a whole number, 1 or more, got "1.5"'],
    [["--fast"], "Unknown option '--fast'"],
    [["mlp"], "Unexpected argument 'mlp'"],
  ])("%j", async (args, message) => {
    const [out, errors] = [screen(), screen()]
    expect(await bench(args, out, errors)).toBe(2)
    expect(errors.text()).toContain(message)
    expect(errors.text()).toMatch(/^bench: .*\nTry --help\.\n$/)
    expect(out.text()).toBe("")
  })
})
