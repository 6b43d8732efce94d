// Starting a worker, and what there is to know of a host before it: one face for browsers and Node. Nothing here is looked up
// before it is needed, and bundlers see no module of Node.

import { script } from "./script.ts"

export interface HostWorker {
  post(message: object): void
  close(): void
}

interface WebWorker {
  onmessage: ((event: { readonly data: unknown }) => void) | null
  onerror: ((event: { preventDefault(): void }) => void) | null
  postMessage(message: object): void
  terminate(): void
}

type WebWorkerClass = new (url: string, options: { type: "module" }) => WebWorker

interface NodeWorker {
  on(event: string, listener: (value: unknown) => void): void
  postMessage(message: object): void
  terminate(): Promise<number>
  unref(): void
}

interface Host {
  readonly Worker?: WebWorkerClass
  readonly Blob?: new (parts: readonly string[], options: { type: string }) => object
  readonly URL?: { createObjectURL(blob: object): string; revokeObjectURL(url: string): void }
  readonly SharedArrayBuffer?: unknown
  readonly crossOriginIsolated?: boolean
  readonly navigator?: { readonly hardwareConcurrency?: number }
  readonly process?: { getBuiltinModule?(name: string): object | undefined }
}

interface NodeWorkers {
  readonly Worker: new (code: string, options: { eval: true; execArgv: readonly string[] }) => NodeWorker
}

function hostHere(): Host {
  return globalThis as object
}

function nodeWorkers(): NodeWorkers | undefined {
  return hostHere().process?.getBuiltinModule?.("node:worker_threads") as NodeWorkers | undefined
}

/** Whether memory can be shared with workers: in a page only if it is cross-origin isolated. */
export function canShare(): boolean {
  const { SharedArrayBuffer: shared, crossOriginIsolated, Worker } = hostHere()
  return shared !== undefined && crossOriginIsolated !== false && (Worker ?? nodeWorkers()) !== undefined
}

/** Whether this thread may sleep: the main thread of a page may not. */
export function maySleep(): boolean {
  try {
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 0)
    return true
  } catch {
    return false
  }
}

/** Threads that the machine can run at a time, as the host tells it. */
export function cores(): number {
  const { navigator, process } = hostHere()
  const os = process?.getBuiltinModule?.("node:os") as { availableParallelism?(): number } | undefined
  return os?.availableParallelism?.() ?? navigator?.hardwareConcurrency ?? 1
}

/**
 * A worker that does not keep a process alive, or null where the host refuses one. A worker may also turn out to be forbidden
 * later; it is then one that never does anything.
 */
export function startWorker(listen: (message: unknown) => void): HostWorker | null {
  try {
    const { Worker } = hostHere()
    return Worker === undefined ? startInNode(listen) : startInBrowser(Worker, listen)
  } catch {
    return null
  }
}

function startInNode(listen: (message: unknown) => void): HostWorker | null {
  const workers = nodeWorkers()
  if (workers === undefined) return null
  const worker = new workers.Worker(script, { eval: true, execArgv: [] })
  worker.on("message", listen)
  worker.on("error", () => {})
  worker.unref()
  return {
    post: (message) => worker.postMessage(message),
    close: () => void worker.terminate(),
  }
}

/** As a module, because some hosts know no other workers. */
function startInBrowser(Worker: WebWorkerClass, listen: (message: unknown) => void): HostWorker | null {
  const { Blob, URL } = hostHere()
  if (Blob === undefined || URL === undefined) return null
  const url = URL.createObjectURL(new Blob([script], { type: "text/javascript" }))
  const worker = new Worker(url, { type: "module" })
  worker.onmessage = ({ data }) => listen(data)
  worker.onerror = (event) => event.preventDefault()
  return {
    post: (message) => worker.postMessage(message),
    close: () => {
      URL.revokeObjectURL(url)
      worker.terminate()
    },
  }
}
