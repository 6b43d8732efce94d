// `minimize` inside branches: the branch that is taken trains, bit for bit, as the program that has only it.

import { Program, parseProgram, type Variable, verify } from "@counterflow/ir"
import { cpu } from "@counterflow/kernels-cpu"
import { wasm } from "@counterflow/kernels-wasm"
import { batchNorm, fc } from "@counterflow/layers"
import { case as caseOf, cond, mean, registry, resolve, scan, square, sub, switchCase, tanh } from "@counterflow/ops"
import { Adam, ClipByGlobalNorm, exponentialDecay, L2Decay, Momentum, SGD } from "@counterflow/optim"
import { describe, expect, test } from "vitest"
import { type Net, onNet, type StepOf, train } from "./branch-training.ts"

const learningRate = 0.125
const sgd = () => new SGD({ learningRate, gradClip: new ClipByGlobalNorm(0.5), regularization: new L2Decay(0.01) })
const adam = () => new Adam({ learningRate })

/** Trains with the one in one branch and with the other in the other. */
function alternating(isTrained = true) {
  return onNet(({ is, squared, shifted }) => ({
    loss: cond(
      is(0),
      () => {
        const loss = squared()
        if (isTrained) sgd().minimize(loss)
        return loss
      },
      () => {
        const loss = shifted()
        if (isTrained) adam().minimize(loss)
        return loss
      },
    ),
  }))
}

const only = (optimizer: () => SGD | Adam, lossOf: (net: Net) => ReturnType<Net["squared"]>) =>
  onNet((net) => {
    const loss = lossOf(net)
    optimizer().minimize(loss)
    return { loss }
  })

const backends = { cpu, wasm }

/** The steps of a program with branches, and those of the programs without, as taken, have the same bits. */
function expectSame(
  branching: { main: Program; startup: Program },
  plain: readonly { main: Program; startup: Program }[],
  taken: readonly number[],
): void {
  verify(branching.main)
  for (const backend of Object.values(backends)) {
    const steps = taken.map((which): StepOf => ({ program: branching.main, which }))
    const expected = taken.map((which): StepOf => ({ program: plain[which]!.main, which }))
    const found = train(backend(), [branching.startup], steps)
    const wanted = train(
      backend(),
      plain.map(({ startup }) => startup),
      expected,
    )
    wanted.forEach(({ state }, step) => {
      for (const [name, values] of state)
        expect([step, name, found[step]?.state.get(name)]).toEqual([step, name, values])
    })
  }
}

describe("two optimizers in two branches", () => {
  test("over the same parameters: each step is that of the branch that is taken, with its own states", () => {
    expectSame(
      alternating(),
      [only(sgd, ({ squared }) => squared()), only(adam, ({ shifted }) => shifted())],
      [0, 1, 1, 0, 1],
    )
  })

  test("over different ones, as adversaries are trained", () => {
    const adversaries = onNet(({ hidden, prediction, is }) => {
      const judged = fc(hidden, { size: 1, act: "sigmoid" })
      const [first, second] = [mean(square(prediction)), mean(square(sub(judged, 1)))]
      const parameterList = (layer: string) => [`${layer}.w_0`, `${layer}.b_0`]
      const loss = cond(
        is(0),
        () => (adam().minimize(first, { parameterList: parameterList("fc_1") }), first),
        () => (adam().minimize(second, { parameterList: parameterList("fc_2") }), second),
      )
      return { loss }
    })
    verify(adversaries.main)
    for (const backend of Object.values(backends)) {
      const [before, first, second] = train(
        backend(),
        [adversaries.startup],
        [adversaries.main.clone({ forTest: true }), adversaries.main, adversaries.main].map((program, i) => ({
          program,
          which: i === 2 ? 1 : 0,
        })),
      )
      const changed = (a: typeof before, b: typeof before) =>
        [...b!.state].flatMap(([name, values]) => (String(a!.state.get(name)) === String(values) ? [] : [name]))
      const states = (layer: string) =>
        ["w_0", "b_0"].flatMap((name) =>
          ["", "_moment1_0", "_moment2_0", "_beta1_pow_acc_0", "_beta2_pow_acc_0"].map(
            (state) => `${layer}.${name}${state}`,
          ),
        )
      expect(changed(before, first).sort()).toEqual(states("fc_1").sort())
      expect(changed(first, second).sort()).toEqual(states("fc_2").sort())
    }
  })
})

test("a loss from outside, minimized in a branch, trains only where that is taken", () => {
  const built = onNet(({ is, squared }) => {
    const loss = squared()
    cond(is(0), () => void sgd().minimize(loss))
    return { loss }
  })
  expect(built.main.globalBlock().ops.filter(({ role }) => role !== "forward")).toEqual([])
  expectSame(built, [only(sgd, ({ squared }) => squared()), onNet(({ squared }) => ({ loss: squared() }))], [0, 1, 0])
})

test("a loss behind a loop outside of the branch: the loop saves what the branch reads of it, and copies for test do not", () => {
  const looping = (train: (net: Net, loss: Variable) => void) =>
    onNet((net) => {
      const [last] = scan((h) => [tanh(fc(h, { size: 4 }))], { init: net.hidden, length: 3 })
      const loss = mean(square(last))
      train(net, loss)
      return { loss }
    })
  const built = looping(({ is }, loss) => {
    cond(
      is(0),
      () => {
        adam().minimize(loss)
      },
      () => {
        sgd().minimize(loss)
      },
    )
  })
  expectSame(
    built,
    [looping((_net, loss) => adam().minimize(loss)), looping((_net, loss) => sgd().minimize(loss))],
    [0, 1, 0],
  )
  const test = built.main.clone({ forTest: true })
  verify(test)
  const loop = test.globalBlock().ops.find(({ type }) => type === "scan")
  expect(loop?.outputs["saved"]).toEqual([])
})

test("case and switchCase hand the states outwards, from cond to cond", () => {
  const plain = [sgd, adam, sgd].map((optimizer, i) =>
    only(optimizer, (net) => (i === 1 ? net.shifted() : net.squared())),
  )
  const chosen = onNet(({ which, squared, shifted }) => ({
    loss: switchCase(which, [
      () => (sgd().minimize(squared()), squared()),
      () => (adam().minimize(shifted()), shifted()),
      () => (sgd().minimize(squared()), squared()),
    ]),
  }))
  expectSame(chosen, plain, [2, 1, 0, 1])
  const cases = onNet(({ is, squared, shifted }) => ({
    loss: caseOf(
      [
        [is(0), () => (sgd().minimize(squared()), squared())],
        [is(1), () => (adam().minimize(shifted()), shifted())],
      ],
      () => squared(),
    ),
  }))
  const untrained = onNet(({ squared }) => ({ loss: squared() }))
  expectSame(cases, [plain[0]!, plain[1]!, untrained], [2, 1, 0, 1])
})

describe("with updates before and after", () => {
  const momentum = () => new Momentum({ learningRate, momentum: 0.5 })
  /** Updates that follow one another, the middle one in a branch or without. */
  const chain = (middle: (net: Net) => void) =>
    onNet((net) => {
      sgd().minimize(net.shifted())
      middle(net)
      momentum().minimize(net.squared())
      return {}
    })

  test("a branch goes on from the value before it, and hands that on where it does not update", () => {
    const branching = chain(({ is, squared }) => cond(is(0), () => void adam().minimize(squared())))
    const plain = [chain(({ squared }) => void adam().minimize(squared())), chain(() => {})]
    expectSame(branching, plain, [0, 1, 1, 0])
  })
})

describe("a schedule", () => {
  test("advances once a step, whichever branch is taken, and however many branches read it", () => {
    const built = onNet(({ is, squared, shifted }) => {
      const rate = () => exponentialDecay({ learningRate: 0.5, decaySteps: 1, decayRate: 0.5 })
      const shared = new SGD({ learningRate: rate })
      cond(
        is(0),
        () => void shared.minimize(squared()),
        () =>
          cond(
            is(1),
            () => void shared.minimize(shifted()),
            () => void new SGD({ learningRate: rate() }).minimize(shifted()),
          ),
      )
      return {}
    })
    verify(built.main)
    expect(built.main.globalBlock().ops.filter(({ role }) => role === "schedule").length).toBeGreaterThan(0)
    expect([...built.main.operators()].filter(({ role, block }) => role === "schedule" && block.index > 0)).toEqual([])
    const steps = [0, 2, 1, 2, 0].map((which) => ({ program: built.main, which }))
    const history = train(cpu(), [built.startup], steps)
    expect(history.map(({ state }) => state.get("lr_counter"))).toEqual([[1], [2], [3], [4], [5]])
  })
})

describe("copies", () => {
  test("for test are the same before and after minimize, and verify", () => {
    const [trained, plain] = [alternating(true), alternating(false)]
    const test = trained.main.clone({ forTest: true })
    verify(test)
    // Only the counts of the names that training took are more.
    const text = (program: Program) => String(program).replace(/\n  trainingNames.*/, "")
    expect(text(test)).toBe(text(plain.main.clone({ forTest: true })))
    expect([...test.operators()].flatMap(({ writes }) => writes)).toEqual([])
  })

  test("text, JSON and whole copies are the same program", () => {
    const { main } = alternating()
    const text = String(main)
    expect(text).toContain("writes={zs[1]: fc_0.w_0, ")
    expect(String(resolve(parseProgram(text), registry))).toBe(text)
    expect(String(resolve(Program.fromJSON(JSON.stringify(main)), registry))).toBe(text)
    expect(String(main.clone())).toBe(text)
  })

  test("pruned ones compute without training", () => {
    const { main, startup, loss } = alternating()
    const pruned = main.prune(loss)
    verify(pruned)
    expect([...pruned.operators()].map(({ role }) => role).filter((role) => role !== "forward")).toEqual([])
    const fetch = [pruned.globalBlock().var(loss.name)]
    const [a, b] = train(
      cpu(),
      [startup],
      [0, 0].map((which) => ({ program: pruned, which, fetch })),
    )
    expect(a).toEqual(b)
  })
})

describe("batch normalization in a branch", () => {
  const normalized = () =>
    onNet(({ hidden, is, squared }) => {
      const loss = cond(
        is(0),
        () => mean(square(sub(batchNorm(hidden, { act: "tanh" }), 0.25))),
        () => squared(),
      )
      new SGD({ learningRate }).minimize(loss)
      return { loss }
    })

  test("collects statistics where it is taken only, and not in copies for test", () => {
    const { main, startup } = normalized()
    verify(main)
    const test = main.clone({ forTest: true })
    verify(test)
    for (const backend of Object.values(backends)) {
      const steps = [main, test, main].map((program, i) => ({ program, which: i === 2 ? 1 : 0 }))
      const [first, second, third] = train(backend(), [startup], steps)
      const statistics = (step: typeof first) => [...step!.state].filter(([name]) => /batch_norm_0\.w_[12]/.test(name))
      expect(statistics(first).length).toBe(2)
      expect(statistics(first).every(([, values]) => values.some((value) => value !== 0 && value !== 1))).toBe(true)
      expect(statistics(second)).toEqual(statistics(first))
      expect(statistics(third)).toEqual(statistics(first))
    }
  })

  test("trains as without the branch", () => {
    const plain = onNet(({ hidden }) => {
      const loss = mean(square(sub(batchNorm(hidden, { act: "tanh" }), 0.25)))
      new SGD({ learningRate }).minimize(loss)
      return { loss }
    })
    expectSame(normalized(), [plain, plain], [0, 0])
  })
})
