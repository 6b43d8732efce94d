// A peer's process: loads one module and answers the harness, one request after the other.
//   node child.js <module> <variant> <folder of the data>

import { createInterface } from "node:readline"
import { pathToFileURL } from "node:url"
import { readData } from "./data.ts"
import { oneHot, probe } from "./probe.ts"
import type { Job, Peer, Reply, Request, StartPeer } from "./protocol.ts"

const [file, variant, folder] = process.argv.slice(2)
if (file === undefined || variant === undefined || folder === undefined) {
  throw new Error("usage: child.js <module> <variant> <folder of the data>")
}

/** What it computes may be nothing to compare. */
type AnyJob = Job<number | null>

let peer: Peer | null = null
let job: AnyJob | null = null

async function startPeer(module: string, of: string, data: string): Promise<Peer> {
  const { default: start } = (await import(pathToFileURL(module).href)) as { default: StartPeer }
  return start(of, { load: readData(data), probe, oneHot })
}

async function setUp({ workloads, cannot = {} }: Peer, workload: string): Promise<AnyJob> {
  const make = workloads[workload]
  if (make !== undefined) return make()
  const group = Object.keys(cannot).find((name) => workload === name || workload.startsWith(`${name}.`))
  throw new Error((group === undefined ? undefined : cannot[group]) ?? "this peer has no such workload")
}

function setUpReply({ check, note, peakBytes }: AnyJob): Reply<"setUp"> {
  return { check, note: note ?? null, ...(peakBytes === undefined ? {} : { peakBytes }) }
}

async function run({ step }: AnyJob, steps: number): Promise<Reply<"run">> {
  const processor = process.cpuUsage()
  const start = performance.now()
  for (let i = 0; i < steps; i++) {
    const result = step()
    // Awaiting what is no promise would cost the peers that need none.
    if (result instanceof Promise) await result
  }
  const milliseconds = performance.now() - start
  const { user, system } = process.cpuUsage(processor)
  return { milliseconds, processorMilliseconds: (user + system) / 1000 }
}

async function answer(request: Request): Promise<Reply<Request["op"]>> {
  switch (request.op) {
    case "start":
      peer = await startPeer(String(file), String(variant), String(folder))
      return { version: peer.version }
    case "setUp":
      if (peer === null) throw new Error("the peer was not started")
      job = await setUp(peer, request.workload)
      return setUpReply(job)
    case "run":
      if (job === null) throw new Error("there is no workload to run")
      return run(job, request.steps)
    case "memory":
      return { bytes: process.memoryUsage().rss }
  }
}

// Requests come one at a time, so a line read while one is served would be a fault of the harness.
for await (const line of createInterface({ input: process.stdin })) {
  const reply = await answer(JSON.parse(line) as Request).catch((error: unknown) => ({
    failure: error instanceof Error ? error.message : String(error),
  }))
  process.stdout.write(`@${JSON.stringify(reply)}\n`)
}
process.exit(0)
