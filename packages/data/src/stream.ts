// What a loader does between batches and the training loop: change each batch, and fetch some ahead of their use.
import { requireInteger } from "./errors.ts"

/** `fn` applied to each item, lazily: augmentation, renaming, widening. As often iterable as its source. */
export function mapBatches<T, U>(source: Iterable<T>, fn: (item: T, index: number) => U): Iterable<U>
export function mapBatches<T, U>(
  source: AsyncIterable<T>,
  fn: (item: T, index: number) => U | Promise<U>,
): AsyncIterable<U>
export function mapBatches<T, U>(
  source: Iterable<T> | AsyncIterable<T>,
  fn: (item: T, index: number) => U,
): Iterable<U> | AsyncIterable<U> {
  if (Symbol.asyncIterator in source) {
    return {
      async *[Symbol.asyncIterator]() {
        let index = 0
        for await (const item of source) yield fn(item, index++)
      },
    }
  }
  return {
    *[Symbol.iterator]() {
      let index = 0
      for (const item of source) yield fn(item, index++)
    },
  }
}

/**
 * The same items, with up to `depth` asked for ahead of the consumer. It hides waiting (files, network, another worker);
 * work on this thread gains nothing. The source is asked for one item at a time, and closed when the consumer stops.
 */
export function prefetch<T>(source: Iterable<T | Promise<T>> | AsyncIterable<T>, depth = 2): AsyncGenerator<T, void> {
  requireInteger(depth, 1, "prefetch: depth")
  return ahead(source, depth)
}

interface Step<T> {
  done: boolean
  value?: T
}

async function* ahead<T>(source: Iterable<T | Promise<T>> | AsyncIterable<T>, depth: number): AsyncGenerator<T, void> {
  const iterator = Symbol.asyncIterator in source ? source[Symbol.asyncIterator]() : source[Symbol.iterator]()
  let wanted = true
  let open = true // an iterator that ended or threw by itself must not be closed again
  const step = async (): Promise<Step<T>> => {
    if (!wanted) return { done: true }
    open = false
    const result = await iterator.next()
    if (result.done === true) return { done: true }
    open = true
    return { done: false, value: await result.value }
  }
  // Each request waits for the one before it, so a failure reaches every later one and `next` is never called again.
  const queue: Promise<Step<T>>[] = []
  let last: Promise<Step<T>> = Promise.resolve({ done: false })
  const request = () => {
    last = last.then((previous) => (previous.done ? previous : step()))
    last.catch(() => {}) // the consumer meets it at its turn; until then it is not unhandled
    queue.push(last)
  }
  try {
    for (let i = 0; i < depth; i++) request()
    for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
      const item = await next
      if (item.done) return
      request()
      yield item.value as T
    }
  } finally {
    wanted = false
    await last.catch(() => {})
    if (open) await iterator.return?.()
  }
}
