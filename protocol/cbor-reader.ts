/**
 * Reads the DAG-CBOR that codec.ts writes, without making a token of each piece: about five times as fast as a general
 * decoder. Strict: integers in as few bytes as can be, keys in order and each once, text that is UTF-8. At anything else
 * it gives up, and codec.ts asks the general decoder, which knows what else is allowed and what is wrong.
 */

/** Deeper values are left to the general decoder. */
const DEPTH_MAX = 32
const SHORT_TEXT = 24
/** Names of fields that are kept, by a hash of their bytes: the same few come again and again. */
const NAMES = 1_024

interface Name {
  readonly text: string
  readonly bytes: Uint8Array
}

/** What `read` gives where it gives up; no value that can be read. */
const NOTHING = Symbol('nothing')

const names: (Name | undefined)[] = Array.from({ length: NAMES }, () => undefined)
const utf8 = new TextDecoder('utf-8', { fatal: true })

let data: Uint8Array = new Uint8Array()
let view = new DataView(data.buffer)
let at = 0
let views = false

/**
 * Undefined where the bytes are something that only the general decoder can judge; no value is undefined.
 * `asViews`: byte strings are parts of `bytes`, which must not change any more.
 */
export function readCbor(bytes: Uint8Array, asViews = false): unknown {
  views = asViews
  // A Buffer's `slice` makes no copy.
  data = bytes.constructor === Uint8Array ? bytes : new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  view = new DataView(data.buffer, data.byteOffset, data.byteLength)
  at = 0
  const value = read(0)
  return value === NOTHING || at !== data.length ? undefined : value
}

function read(depth: number): unknown {
  const first = data[at]
  if (first === undefined) return NOTHING
  at += 1
  const minor = first & 0x1f
  switch (first >>> 5) {
    case 0: {
      if (minor < 24) return minor
      if (minor === 27) return readWide()
      const value = readArgument(minor)
      return value < 0 ? NOTHING : value
    }
    case 1: {
      const value = readArgument(minor)
      return value < 0 ? NOTHING : -1 - value
    }
    case 2: {
      const length = readLength(minor)
      return length < 0 || at + length > data.length ? NOTHING : readBytes(at + length)
    }
    case 3: {
      const length = readLength(minor)
      return length < 0 || at + length > data.length ? NOTHING : readText(at + length)
    }
    case 4:
      return readArray(readLength(minor), depth)
    case 5:
      return readMap(readLength(minor), depth)
    case 7:
      return readSimple(first)
    default:
      return NOTHING
  }
}

/** A number in one, two or four more bytes, or in none; -1 where it is another kind, or in more bytes than it needs. */
function readArgument(minor: number): number {
  if (minor < 24) return minor
  const start = at
  if (minor === 24 && start < data.length) {
    at += 1
    const value = data[start]!
    return value < 24 ? -1 : value
  }
  if (minor === 25 && start + 2 <= data.length) {
    at += 2
    const value = view.getUint16(start)
    return value < 0x100 ? -1 : value
  }
  if (minor === 26 && start + 4 <= data.length) {
    at += 4
    const value = view.getUint32(start)
    return value < 0x1_0000 ? -1 : value
  }
  return -1
}

/** An integer of eight bytes: a number where a double holds it exactly. */
function readWide(): number | bigint | typeof NOTHING {
  if (at + 8 > data.length) return NOTHING
  const high = view.getUint32(at)
  if (high === 0) return NOTHING
  const value = high < 0x20_0000 ? high * 0x1_0000_0000 + view.getUint32(at + 4) : view.getBigUint64(at)
  at += 8
  return value
}

/** Of bytes, text, arrays and maps: longer ones than four bytes can say do not come. -1 as in `readArgument`. */
const readLength = readArgument

function readBytes(end: number): Uint8Array {
  const bytes = views ? data.subarray(at, end) : data.slice(at, end)
  at = end
  return bytes
}

function readText(end: number): string | typeof NOTHING {
  const start = at
  at = end
  if (end - start <= SHORT_TEXT) {
    let text = ''
    let place = start
    for (; place < end; place += 1) {
      const byte = data[place]!
      if (byte >= 0x80) break
      text += String.fromCharCode(byte)
    }
    if (place === end) return text
  }
  try {
    return utf8.decode(data.subarray(start, end))
  } catch {
    return NOTHING
  }
}

function readArray(length: number, depth: number): unknown {
  // Each element has a byte at least.
  if (length < 0 || depth >= DEPTH_MAX || length > data.length - at) return NOTHING
  const values: unknown[] = []
  for (let index = 0; index < length; index += 1) {
    const value = read(depth + 1)
    if (value === NOTHING) return NOTHING
    values.push(value)
  }
  return values
}

function readMap(length: number, depth: number): unknown {
  if (length < 0 || depth >= DEPTH_MAX || length > data.length - at) return NOTHING
  const map: Record<string, unknown> = {}
  let former = ''
  for (let index = 0; index < length; index += 1) {
    const key = readKey()
    if (key === undefined || key.length < former.length || key.length === former.length && key <= former) return NOTHING
    former = key
    const value = read(depth + 1)
    if (value === NOTHING) return NOTHING
    map[key] = value
  }
  return map
}

/** A name of 1 to 23 ASCII letters; undefined for any other. */
function readKey(): string | undefined {
  const length = (data[at] ?? 0) - 0x60
  const start = at + 1
  const end = start + length
  if (length < 1 || length > 23 || end > data.length) return undefined
  at = end
  const place = (length * 61 + data[start]! * 7 + data[start + (length >> 1)]! * 31 + data[end - 1]!) % NAMES
  const known = names[place]
  if (known !== undefined && known.bytes.length === length && startsWith(known.bytes, start)) return known.text
  const bytes = data.slice(start, end)
  if (bytes.some((byte) => byte >= 0x80)) return undefined
  const text = Buffer.from(bytes).toString('latin1')
  // A plain assignment would change the map's prototype.
  if (text === '__proto__') return undefined
  names[place] = { text, bytes }
  return text
}

function startsWith(bytes: Uint8Array, start: number): boolean {
  for (let index = 0; index < bytes.length; index += 1) if (bytes[index] !== data[start + index]) return false
  return true
}

function readSimple(first: number): unknown {
  switch (first) {
    case 0xf4:
      return false
    case 0xf5:
      return true
    case 0xf6:
      return null
    case 0xfb: {
      if (at + 8 > data.length) return NOTHING
      const value = view.getFloat64(at)
      at += 8
      return Number.isFinite(value) ? value : NOTHING
    }
    default:
      return NOTHING
  }
}
