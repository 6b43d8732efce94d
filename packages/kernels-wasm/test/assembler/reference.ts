// What the scalar instructions mean, written in JavaScript over bigints of any width and over float64.

export type Operation = (...operands: readonly bigint[]) => bigint | undefined
export type FloatOperation = (x: number, y: number) => number

/** Integer instructions of `width` bits over unsigned or signed bigints; undefined where WebAssembly traps. */
export function integerOperations(width: number): Readonly<Record<string, Operation>> {
  const signed = (x: bigint) => BigInt.asIntN(width, x)
  const unsigned = (x: bigint) => BigInt.asUintN(width, x)
  const bits = (x: bigint) => unsigned(x).toString(2).padStart(width, "0")
  const claim = (holds: boolean) => (holds ? 1n : 0n)
  const least = -(2n ** BigInt(width - 1))
  const shift = (y: bigint) => unsigned(y) % BigInt(width)
  const rotate = (x: bigint, y: bigint) => {
    const turned = bits(x).slice(Number(y)) + bits(x).slice(0, Number(y))
    return BigInt(`0b${turned}`)
  }
  const clamp = (x: bigint, low: bigint, high: bigint) => (x < low ? low : x > high ? high : x)
  const saturateS = (x: bigint) => clamp(x, least, -least - 1n)
  const saturateU = (x: bigint) => clamp(x, 0n, 2n ** BigInt(width) - 1n)
  return {
    eqz: (x = 0n) => claim(unsigned(x) === 0n),
    clz: (x = 0n) => BigInt(`${bits(x)}1`.indexOf("1")),
    ctz: (x = 0n) => BigInt(width - 1 - bits(x).lastIndexOf("1")),
    popcnt: (x = 0n) => BigInt(bits(x).replaceAll("0", "").length),
    extend8S: (x = 0n) => BigInt.asIntN(8, x),
    extend16S: (x = 0n) => BigInt.asIntN(16, x),
    extend32S: (x = 0n) => BigInt.asIntN(32, x),
    eq: (x = 0n, y = 0n) => claim(unsigned(x) === unsigned(y)),
    ne: (x = 0n, y = 0n) => claim(unsigned(x) !== unsigned(y)),
    ltS: (x = 0n, y = 0n) => claim(signed(x) < signed(y)),
    ltU: (x = 0n, y = 0n) => claim(unsigned(x) < unsigned(y)),
    gtS: (x = 0n, y = 0n) => claim(signed(x) > signed(y)),
    gtU: (x = 0n, y = 0n) => claim(unsigned(x) > unsigned(y)),
    leS: (x = 0n, y = 0n) => claim(signed(x) <= signed(y)),
    leU: (x = 0n, y = 0n) => claim(unsigned(x) <= unsigned(y)),
    geS: (x = 0n, y = 0n) => claim(signed(x) >= signed(y)),
    geU: (x = 0n, y = 0n) => claim(unsigned(x) >= unsigned(y)),
    add: (x = 0n, y = 0n) => x + y,
    sub: (x = 0n, y = 0n) => x - y,
    mul: (x = 0n, y = 0n) => x * y,
    divS: (x = 0n, y = 0n) =>
      signed(y) === 0n || (signed(x) === least && signed(y) === -1n) ? undefined : signed(x) / signed(y),
    divU: (x = 0n, y = 0n) => (unsigned(y) === 0n ? undefined : unsigned(x) / unsigned(y)),
    remS: (x = 0n, y = 0n) => (signed(y) === 0n ? undefined : signed(x) % signed(y)),
    remU: (x = 0n, y = 0n) => (unsigned(y) === 0n ? undefined : unsigned(x) % unsigned(y)),
    and: (x = 0n, y = 0n) => x & y,
    or: (x = 0n, y = 0n) => x | y,
    xor: (x = 0n, y = 0n) => x ^ y,
    shl: (x = 0n, y = 0n) => x << shift(y),
    shrS: (x = 0n, y = 0n) => signed(x) >> shift(y),
    shrU: (x = 0n, y = 0n) => unsigned(x) >> shift(y),
    rotl: (x = 0n, y = 0n) => rotate(x, shift(y)),
    rotr: (x = 0n, y = 0n) => rotate(x, shift(BigInt(width) - shift(y))),
    // Only vectors have the following.
    abs: (x = 0n) => (signed(x) < 0n ? -x : x),
    neg: (x = 0n) => -x,
    minS: (x = 0n, y = 0n) => (signed(x) < signed(y) ? x : y),
    minU: (x = 0n, y = 0n) => (unsigned(x) < unsigned(y) ? x : y),
    maxS: (x = 0n, y = 0n) => (signed(x) > signed(y) ? x : y),
    maxU: (x = 0n, y = 0n) => (unsigned(x) > unsigned(y) ? x : y),
    addSatS: (x = 0n, y = 0n) => saturateS(signed(x) + signed(y)),
    addSatU: (x = 0n, y = 0n) => saturateU(unsigned(x) + unsigned(y)),
    subSatS: (x = 0n, y = 0n) => saturateS(signed(x) - signed(y)),
    subSatU: (x = 0n, y = 0n) => saturateU(unsigned(x) - unsigned(y)),
    avgrU: (x = 0n, y = 0n) => (unsigned(x) + unsigned(y) + 1n) / 2n,
    q15mulrSatS: (x = 0n, y = 0n) => saturateS((signed(x) * signed(y) + 0x4000n) >> 15n),
  }
}

/** Float instructions in float64; the results of all but copysign and the comparisons still have to be rounded for f32. */
export const floatOperations: Readonly<Record<string, FloatOperation>> = {
  abs: (x) => Math.abs(x),
  neg: (x) => -x,
  ceil: (x) => Math.ceil(x),
  floor: (x) => Math.floor(x),
  trunc: (x) => Math.trunc(x),
  nearest: (x) => nearestEven(x),
  sqrt: (x) => Math.sqrt(x),
  add: (x, y) => x + y,
  sub: (x, y) => x - y,
  mul: (x, y) => x * y,
  div: (x, y) => x / y,
  min: (x, y) => Math.min(x, y),
  max: (x, y) => Math.max(x, y),
  pmin: (x, y) => (y < x ? y : x),
  pmax: (x, y) => (x < y ? y : x),
  copysign: (x, y) => (isNegative(x) === isNegative(y) ? x : -x),
}

export const floatComparisons: Readonly<Record<string, (x: number, y: number) => boolean>> = {
  eq: (x, y) => x === y,
  ne: (x, y) => x !== y,
  lt: (x, y) => x < y,
  gt: (x, y) => x > y,
  le: (x, y) => x <= y,
  ge: (x, y) => x >= y,
}

function isNegative(x: number): boolean {
  return x < 0 || Object.is(x, -0)
}

/** To the nearest integer, ties to even; keeps the sign of zero. */
function nearestEven(x: number): number {
  if (!Number.isFinite(x) || Math.abs(x) >= 2 ** 52) return x
  const low = Math.floor(x)
  const rounded = x - low < 0.5 || (x - low === 0.5 && low % 2 === 0) ? low : low + 1
  return rounded === 0 && isNegative(x) ? -0 : rounded
}

/** A float as an integer of `width` bits: truncated, and out of range undefined, or saturated with NaN to 0. */
export function truncated(x: number, width: number, isSigned: boolean, saturates: boolean): bigint | undefined {
  const low = isSigned ? -(2n ** BigInt(width - 1)) : 0n
  const high = isSigned ? 2n ** BigInt(width - 1) - 1n : 2n ** BigInt(width) - 1n
  if (Number.isNaN(x)) return saturates ? 0n : undefined
  const integer = Number.isFinite(x) ? BigInt(Math.trunc(x)) : x > 0 ? high + 1n : low - 1n
  if (integer >= low && integer <= high) return integer
  if (!saturates) return undefined
  return integer < low ? low : high
}

/** An integer to float32 in one rounding: bits below the rounding position may be gathered into one. */
export function nearestFloat32(x: bigint): number {
  const size = x < 0n ? -x : x
  if (size < 2n ** 53n) return Math.fround(Number(x))
  const gathered = ((size >> 20n) << 20n) | (size % 2n ** 20n === 0n ? 0n : 2n ** 19n)
  return Math.fround(Number(x < 0n ? -gathered : gathered))
}
