// Seeded random numbers for checks: which values a failing check had is known from its seed.

import type { Domain } from "@counterflow/ops"

/** Uniform numbers (SplitMix32: Steele, Lea & Flood, Fast splittable pseudorandom number generators, 2014). */
export class Random {
  #state: number

  constructor(seed: number) {
    this.#state = seed >>> 0
  }

  /** Uniform in [0, 1). */
  next(): number {
    this.#state = (this.#state + 0x9e3779b9) >>> 0
    let z = this.#state
    z = Math.imul(z ^ (z >>> 16), 0x85ebca6b)
    z = Math.imul(z ^ (z >>> 13), 0xc2b2ae35)
    return ((z ^ (z >>> 16)) >>> 0) / 2 ** 32
  }

  between(low: number, high: number): number {
    return low + (high - low) * this.next()
  }

  /** An integer in [low, high]. */
  integer(low: number, high: number): number {
    return low + Math.floor(this.next() * (high - low + 1))
  }

  /** Factors of size 0.25 to 1 and either sign: cotangents and directions, so that no element counts little or like another. */
  factors(length: number): Float64Array {
    return Float64Array.from({ length }, () => (this.next() < 0.5 ? -1 : 1) * this.between(0.25, 1))
  }

  /** 0 … length − 1 in random order (Fisher–Yates). */
  order(length: number): number[] {
    const order = Array.from({ length }, (_, i) => i)
    for (let i = length - 1; i > 0; i--) {
      const j = this.integer(0, i)
      ;[order[i], order[j]] = [order[j] ?? j, order[i] ?? i]
    }
    return order
  }

  /** Values of a domain: between its bounds, away from its kinks and poles, and from each other if it says so. */
  within(domain: Domain, length: number): number[] {
    const { low, high, separated } = domain
    if (separated === undefined) return Array.from({ length }, () => this.#away(domain, low, high))
    // One value per cell of a grid, no two cells' values nearer than asked for.
    const cell = Math.max((high - low) / Math.max(length, 1), separated)
    const play = cell - separated
    return this.order(length).map((place) => this.#away(domain, low + place * cell, low + place * cell + play))
  }

  #away({ avoid = [], distance = 0.05 }: Domain, low: number, high: number): number {
    for (let attempt = 0; attempt < attempts; attempt++) {
      const value = this.between(low, high)
      if (avoid.every((point) => Math.abs(value - point) >= distance)) return value
    }
    throw new Error(`no value between ${low} and ${high} lies ${distance} away from ${avoid.join(", ")}`)
  }
}

const attempts = 1000
