/**
 * Writes DAG-CBOR straight into one piece of memory, for the values that messages and entries are made of: about six times
 * as fast as a general encoder. What it does not know it leaves alone, and codec.ts asks the general one.
 * The bytes are those of @ipld/dag-cbor, which test/unit/protocol/codec.test.ts checks.
 */

const UINT = 0x00
const NEGATIVE = 0x20
const BYTES = 0x40
const TEXT = 0x60
const ARRAY = 0x80
const MAP = 0xa0
const FALSE = 0xf4
const TRUE = 0xf5
const NULL = 0xf6
const FLOAT64 = 0xfb

/** Deeper values are left to the general encoder, which also finds circles. */
const DEPTH_MAX = 32
/** Text of up to this length is copied letter by letter, which beats a call into C++. */
const SHORT_TEXT = 48
const SHORT_BYTES = 40
/** Orders of fields that are kept: a program has some hundred, and a user's data may bring others. */
const ORDERS_MAX = 512
const ORDERS_OF_ONE_MAX = 16
const ORDER_KEYS_MAX = 64
/** Memory that is kept between two values. */
const KEPT_BYTES_MAX = 2 * 1024 * 1024
const UINT64_MAX = 2n ** 64n - 1n

interface Field {
  readonly key: string
  /** The name with its head. */
  readonly bytes: Uint8Array
}

const NO_FIELDS: readonly Field[] = []
/** By the first name of an object: its names as they are listed, and as they are written. */
const orders = new Map<string, { readonly keys: readonly string[]; readonly fields: readonly Field[] }[]>()

let memory = Buffer.allocUnsafeSlow(64 * 1024)
let out = new Uint8Array(memory.buffer)
let view = new DataView(memory.buffer)
let at = 0

/** The bytes of a value; undefined where it holds something that only the general encoder knows, or refuses. */
export function writeCbor(value: unknown): Uint8Array | undefined {
  at = 0
  const bytes = write(value, 0) ? out.slice(0, at) : undefined
  if (memory.byteLength > KEPT_BYTES_MAX) resize(64 * 1024)
  return bytes
}

function resize(bytes: number): void {
  memory = Buffer.allocUnsafeSlow(bytes)
  out = new Uint8Array(memory.buffer)
  view = new DataView(memory.buffer)
}

function reserve(bytes: number): void {
  if (at + bytes <= out.byteLength) return
  const former = out.subarray(0, at)
  resize(Math.max(2 * out.byteLength, at + bytes))
  out.set(former)
}

function write(value: unknown, depth: number): boolean {
  switch (typeof value) {
    case 'string':
      return writeText(value)
    case 'number':
      return writeNumber(value)
    case 'bigint':
      return writeBigint(value)
    case 'boolean':
      writeByte(value ? TRUE : FALSE)
      return true
    case 'object':
      if (value === null) {
        writeByte(NULL)
        return true
      }
      return writeObject(value, depth)
    case 'undefined':
    case 'symbol':
    case 'function':
      return false
  }
}

function writeByte(byte: number): void {
  reserve(1)
  out[at] = byte
  at += 1
}

/** Major type and a number from 0 that a double holds exactly, in as few bytes as can be. */
function writeHead(major: number, value: number): void {
  reserve(9)
  if (value < 24) {
    out[at] = major | value
    at += 1
  } else if (value < 0x100) {
    out[at] = major | 24
    out[at + 1] = value
    at += 2
  } else if (value < 0x1_0000) {
    out[at] = major | 25
    out[at + 1] = value >>> 8
    out[at + 2] = value
    at += 3
  } else if (value < 0x1_0000_0000) {
    out[at] = major | 26
    view.setUint32(at + 1, value)
    at += 5
  } else {
    out[at] = major | 27
    view.setUint32(at + 1, Math.floor(value / 0x1_0000_0000))
    view.setUint32(at + 5, value)
    at += 9
  }
}

function writeNumber(value: number): boolean {
  if (Number.isSafeInteger(value)) {
    if (value >= 0) writeHead(UINT, value)
    else writeHead(NEGATIVE, -1 - value)
    return true
  }
  if (!Number.isFinite(value)) return false
  reserve(9)
  out[at] = FLOAT64
  view.setFloat64(at + 1, value)
  at += 9
  return true
}

function writeBigint(value: bigint): boolean {
  const rounded = Number(value)
  // Below 2^53 the number is exact.
  if (rounded >= 0 && rounded <= Number.MAX_SAFE_INTEGER) {
    writeHead(UINT, rounded)
    return true
  }
  if (value < 0n || value > UINT64_MAX) return false
  reserve(9)
  out[at] = UINT | 27
  view.setBigUint64(at + 1, value)
  at += 9
  return true
}

function writeText(text: string): boolean {
  const { length } = text
  if (length <= SHORT_TEXT) {
    const start = at
    writeHead(TEXT, length)
    reserve(length)
    let place = at
    for (let index = 0; index < length; index += 1) {
      const code = text.charCodeAt(index)
      if (code >= 0x80) break
      out[place] = code
      place += 1
    }
    if (place === at + length) {
      at = place
      return true
    }
    at = start
  }
  if (!text.isWellFormed()) return false
  const bytes = Buffer.byteLength(text, 'utf8')
  writeHead(TEXT, bytes)
  reserve(bytes)
  memory.write(text, at, 'utf8')
  at += bytes
  return true
}

function writeBytes(bytes: Uint8Array): void {
  const { length } = bytes
  writeHead(BYTES, length)
  reserve(length)
  if (length <= SHORT_BYTES) for (let index = 0; index < length; index += 1) out[at + index] = bytes[index]!
  else out.set(bytes, at)
  at += length
}

function writeObject(value: object, depth: number): boolean {
  if (value instanceof Uint8Array) {
    writeBytes(value)
    return true
  }
  if (depth >= DEPTH_MAX) return false
  if (Array.isArray(value)) {
    writeHead(ARRAY, value.length)
    for (let index = 0; index < value.length; index += 1) if (!write(value[index], depth + 1)) return false
    return true
  }
  return Object.getPrototypeOf(value) === Object.prototype && writeMap(value as Record<string, unknown>, depth)
}

function writeMap(value: Record<string, unknown>, depth: number): boolean {
  const keys = Object.keys(value)
  const fields = orderOf(keys)
  if (fields === undefined) return false
  writeHead(MAP, fields.length)
  for (let index = 0; index < fields.length; index += 1) {
    const { key, bytes } = fields[index]!
    const { length } = bytes
    reserve(length)
    for (let place = 0; place < length; place += 1) out[at + place] = bytes[place]!
    at += length
    if (!write(value[key], depth + 1)) return false
  }
  return true
}

/** These fields in the order in which they are written; undefined where the name of one is not plain. */
function orderOf(keys: readonly string[]): readonly Field[] | undefined {
  const first = keys[0]
  if (first === undefined) return NO_FIELDS
  const known = orders.get(first)
  if (known !== undefined) for (const order of known) if (isSame(order.keys, keys)) return order.fields
  const fields: Field[] = []
  // Shorter ones first, those of one length by their letters.
  for (const key of keys.toSorted((a, b) => a.length - b.length || (a < b ? -1 : 1))) {
    // `/` and `asCID` are how the general encoder tells a link from a map.
    if (!/^[ -~]{1,23}$/.test(key) || key === '/' || key === 'asCID') return undefined
    fields.push({ key, bytes: Uint8Array.of(TEXT | key.length, ...Buffer.from(key, 'latin1')) })
  }
  if (keys.length > ORDER_KEYS_MAX) return fields
  if (known === undefined) {
    if (orders.size < ORDERS_MAX) orders.set(first, [{ keys, fields }])
  } else if (known.length < ORDERS_OF_ONE_MAX) {
    known.push({ keys, fields })
  }
  return fields
}

function isSame(a: readonly string[], b: readonly string[]): boolean {
  if (a.length !== b.length) return false
  for (let index = 0; index < a.length; index += 1) if (a[index] !== b[index]) return false
  return true
}
