// Round numbers along an axis: steps of 1, 2 or 5 times a power of ten (Heckbert, "Nice numbers for graph labels",
// Graphics Gems 1990), or powers of ten on a logarithmic axis.

export interface Axis {
  readonly low: number
  readonly high: number
  readonly ticks: readonly number[]
  readonly labels: readonly string[]
  /** 0 at `low`, 1 at `high`. */
  position(value: number): number
}

/** An axis over the range with about `count` ticks; the range grows to the next tick at both ends if `isLoose`. */
export function linearAxis(low: number, high: number, count: number, isLoose: boolean): Axis {
  const [from, to] = isRange(low, high) ? [low, high] : spread(low)
  const step = niceStep((to - from) / Math.max(1, count - 1))
  // Multiples of a step are counted by integers: adding up steps would drift.
  const first = isLoose ? Math.floor(from / step + slack) : Math.ceil(from / step - slack)
  const last = isLoose ? Math.ceil(to / step - slack) : Math.floor(to / step + slack)
  const ticks = Array.from({ length: last - first + 1 }, (_, index) => Number(((first + index) * step).toPrecision(12)))
  const [start, end] = isLoose ? [first * step, last * step] : [from, to]
  return {
    low: start,
    high: end,
    ticks,
    labels: ticks.map((tick) => tickText(tick, step, Math.max(...ticks.map(Math.abs)))),
    position: (value) => (value - start) / (end - start),
  }
}

/** For positive values only. Ticks are powers of ten, with their double and fivefold where few powers are in range. */
export function logAxis(low: number, high: number): Axis {
  const [from, to] = isRange(low, high) ? [low, high] : [low / 2, low * 2]
  const powers = Math.log10(to) - Math.log10(from)
  const factors = powers > 3 ? [1] : [1, 2, 5]
  const stride = Math.max(1, Math.ceil(powers / 8))
  const ticks: number[] = []
  for (let power = Math.floor(Math.log10(from)); power <= Math.ceil(Math.log10(to)); power++) {
    if (power % stride !== 0) continue
    for (const factor of factors) ticks.push(Number(`${factor}e${power}`))
  }
  const inRange = ticks.filter((tick) => tick >= from * (1 - slack) && tick <= to * (1 + slack))
  const [start, end] = [Math.log10(from), Math.log10(to)]
  return {
    low: from,
    high: to,
    ticks: inRange,
    labels: inRange.map((tick) => tickText(tick, tick, tick)),
    position: (value) => (Math.log10(value) - start) / (end - start),
  }
}

const slack = 1e-9

/** Whether the ends are far enough apart that ticks between them differ in their twelve digits. */
function isRange(low: number, high: number): boolean {
  return high - low > Math.max(Math.abs(low), Math.abs(high)) * slack && high - low > Number.MIN_VALUE / slack
}

/** A range around a single value. */
function spread(value: number): [number, number] {
  const half = Math.abs(value) < Number.MIN_VALUE / slack ? 1 : Math.abs(value) * 0.5
  return [value - half, value + half]
}

function niceStep(rough: number): number {
  const power = Math.floor(Math.log10(rough))
  const fraction = rough / 10 ** power
  const nice = fraction < 1.5 ? 1 : fraction < 3.5 ? 2 : fraction < 7.5 ? 5 : 10
  return Number(`${nice}e${power}`)
}

/** "0.25", "1500", "20k", "3M", "1e-7": as many digits as the step has, in the unit of the largest tick. */
function tickText(tick: number, step: number, largest: number): string {
  if (tick === 0) return "0"
  const place = Math.floor(Math.log10(step) + slack)
  if (largest >= 1e9 || (largest < 1e-3 && step < 1e-4 * (1 - slack))) {
    const digits = Math.floor(Math.log10(Math.abs(tick)) + slack) - place
    return tick.toExponential(Math.max(0, digits)).replace("e+", "e")
  }
  const { unit, suffix } = units.find((each) => largest >= each.from && step >= each.step) ?? plain
  return `${(tick / unit).toFixed(Math.max(0, Math.log10(unit) - place))}${suffix}`
}

const plain = { unit: 1, suffix: "" }
const units = [
  { from: 1e6, step: 1e3, unit: 1e6, suffix: "M" },
  { from: 1e4, step: 1, unit: 1e3, suffix: "k" },
]
