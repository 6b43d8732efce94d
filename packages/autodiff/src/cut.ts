// A minimum cut of a flow network: Dinic's algorithm (Dinitz 1970), level by level, without recursion.

/** Nodes are numbers from 0; capacities are not negative and may be infinite. */
export class Network {
  readonly #heads: number[] = []
  readonly #room: number[] = []
  readonly #edges: number[][]

  constructor(nodes: number) {
    this.#edges = Array.from({ length: nodes }, () => [])
  }

  connect(from: number, to: number, capacity: number): void {
    this.#edges[from]!.push(this.#heads.length)
    this.#edges[to]!.push(this.#heads.length + 1)
    this.#heads.push(to, from)
    this.#room.push(capacity, 0)
  }

  /** By node, whether it lies on the side of the source in a cut of least capacity, with as few others as possible. */
  cut(source: number, sink: number): readonly boolean[] {
    for (;;) {
      const levels = this.#levels(source)
      if (levels[sink] === -1) return levels.map((level) => level >= 0)
      this.#fill(source, sink, levels)
    }
  }

  /** By node, how many edges with room lead to it from the source; -1 for none. */
  #levels(source: number): number[] {
    const levels = this.#edges.map(() => -1)
    levels[source] = 0
    const queue = [source]
    for (const node of queue) {
      for (const edge of this.#edges[node]!) {
        const to = this.#heads[edge]!
        if (levels[to] !== -1 || this.#room[edge]! <= 0) continue
        levels[to] = levels[node]! + 1
        queue.push(to)
      }
    }
    return levels
  }

  /** Sends all that goes along paths that rise by one level with each edge. */
  #fill(source: number, sink: number, levels: readonly number[]): void {
    const next = this.#edges.map(() => 0)
    const path: number[] = []
    for (;;) {
      const node = path.length === 0 ? source : this.#heads[path.at(-1)!]!
      if (node === sink) {
        const amount = path.reduce((least, edge) => Math.min(least, this.#room[edge]!), Infinity)
        for (const edge of path) {
          this.#room[edge]! -= amount
          this.#room[edge ^ 1]! += amount
        }
        // Back to in front of the first edge that is full.
        path.length = path.findIndex((edge) => this.#room[edge]! <= 0)
        continue
      }
      const edge = this.#edges[node]![next[node]!]
      if (edge === undefined) {
        if (path.length === 0) return
        path.pop()
        next[path.length === 0 ? source : this.#heads[path.at(-1)!]!]!++
      } else if (this.#room[edge]! > 0 && levels[this.#heads[edge]!] === levels[node]! + 1) path.push(edge)
      else next[node]!++
    }
  }
}
