// Ways to train one model with less memory, each in a process of its own, measured as workloads are.

import type { Options } from "../cli.ts"
import { ownModule } from "../folders.ts"
import { measure, type Row } from "../measure.ts"
import { dataFolder } from "../peers.ts"
import { startProcess } from "../process.ts"
import { memory } from "../workloads.ts"
import { ways } from "./peer.ts"

/** The first is what the others are compared with. A step takes seconds, so there are three repetitions at most. */
export function measureMemory({ repetitions, target, isQuick }: Options): Promise<Row[]> {
  const contestants = Object.keys(ways).map((name) => {
    const args = [ownModule("child"), ownModule("memory/peer"), name, dataFolder]
    return { name, start: () => startProcess({ program: process.execPath, args }) }
  })
  const limits = { setUpLimit: 120_000, onceOver: Infinity, patience: 0 }
  return measure(memory, contestants, { repetitions: isQuick ? 1 : Math.min(3, repetitions), target, ...limits })
}
