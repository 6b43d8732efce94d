// Writes ONNX models: as much of protobuf as these graphs need (opset 17).

const float32 = 1
const int64 = 7
const attributeKinds = { float: 1, integer: 2, text: 3, integers: 7 }

function varint(n) {
  const bytes = []
  let rest = BigInt.asUintN(64, BigInt(n))
  do {
    const low = Number(rest & 127n)
    rest >>= 7n
    bytes.push(rest === 0n ? low : low | 128)
  } while (rest !== 0n)
  return Buffer.from(bytes)
}

const join = (...parts) => Buffer.concat(parts.flat())
const integer = (field, n) => join(varint(field << 3), varint(n))
const nested = (field, content) => {
  const bytes = typeof content === "string" ? Buffer.from(content) : content
  return join(varint((field << 3) | 2), varint(bytes.length), bytes)
}
const float = (field, x) => {
  const bytes = Buffer.alloc(4)
  bytes.writeFloatLE(x)
  return join(varint((field << 3) | 5), bytes)
}

function tensor(name, data, dims) {
  const type = data instanceof BigInt64Array ? int64 : float32
  const raw = Buffer.from(data.buffer, data.byteOffset, data.byteLength)
  return join(
    dims.map((size) => integer(1, size)),
    integer(2, type),
    nested(8, name),
    nested(9, raw),
  )
}

/** A list of integers, a text, an integer, or { float }. */
function attribute(name, value) {
  const named = nested(1, name)
  if (Array.isArray(value)) {
    return join(
      named,
      value.map((n) => integer(8, n)),
      integer(20, attributeKinds.integers),
    )
  }
  if (typeof value === "string") return join(named, nested(4, value), integer(20, attributeKinds.text))
  if (typeof value === "object") return join(named, float(2, value.float), integer(20, attributeKinds.float))
  return join(named, integer(3, value), integer(20, attributeKinds.integer))
}

function valueInfo(name, dims) {
  const shape = join(dims.map((size) => nested(1, integer(1, size))))
  return join(nested(1, name), nested(2, nested(1, join(integer(1, float32), nested(2, shape)))))
}

export class Graph {
  #nodes = []
  #constants = []
  #inputs = []
  #outputs = []
  #count = 0

  input(name, dims) {
    this.#inputs.push(valueInfo(name, dims))
    return name
  }

  constant(data, dims) {
    const name = this.#name()
    this.#constants.push(tensor(name, data, dims))
    return name
  }

  scalar(x) {
    return this.constant(Float32Array.of(x), [])
  }

  integers(...values) {
    return this.constant(BigInt64Array.from(values, BigInt), [values.length])
  }

  op(type, inputs, attributes = {}, output = this.#name()) {
    this.#nodes.push(
      join(
        inputs.map((name) => nested(1, name)),
        nested(2, output),
        nested(3, this.#name()),
        nested(4, type),
        Object.entries(attributes).map(([name, value]) => nested(5, attribute(name, value))),
      ),
    )
    return output
  }

  output(name, dims) {
    this.#outputs.push(valueInfo(name, dims))
    return name
  }

  build() {
    const graph = join(
      this.#nodes.map((node) => nested(1, node)),
      nested(2, "bench"),
      this.#constants.map((constant) => nested(5, constant)),
      this.#inputs.map((info) => nested(11, info)),
      this.#outputs.map((info) => nested(12, info)),
    )
    const opset = join(nested(1, ""), integer(2, 17))
    return new Uint8Array(join(integer(1, 8), nested(2, "bench"), nested(7, graph), nested(8, opset)))
  }

  #name() {
    return `v${this.#count++}`
  }
}
