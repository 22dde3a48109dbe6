/** Amounts in fixed bytes: 16 each, big-endian, so that no sum of amounts of 63 bits can overflow. */

export const AMOUNT_BYTES = 16

const LOW = (1n << 64n) - 1n
const LIMIT = 1n << 128n

/** Gives the place after it. Throws a RangeError where `value` is negative or does not fit: then something was added up wrongly. */
export function writeAmount(target: DataView, at: number, value: bigint): number {
  if (value >= 0n && value <= LOW) {
    target.setUint32(at, 0)
    target.setUint32(at + 4, 0)
    target.setBigUint64(at + 8, value)
    return at + AMOUNT_BYTES
  }
  if (value < 0n || value >= LIMIT) throw new RangeError(`the amount ${value} is negative or too large`)
  target.setBigUint64(at, value >> 64n)
  target.setBigUint64(at + 8, value & LOW)
  return at + AMOUNT_BYTES
}

export function readAmount(source: DataView, at: number): bigint {
  return (source.getBigUint64(at) << 64n) | source.getBigUint64(at + 8)
}

export function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}
