/** Amounts in fixed bytes: 16 each, big-endian, so that no sum of amounts of 63 bits can overflow. */

export const AMOUNT_BYTES = 16

const LOW = (1n << 64n) - 1n
const LIMIT = 1n << 128n

/** Throws a RangeError where `value` is negative or does not fit: then something was added up wrongly. */
export function writeAmount(target: Buffer, at: number, value: bigint): number {
  if (value < 0n || value >= LIMIT) throw new RangeError(`the amount ${value} is negative or too large`)
  if (value <= LOW) {
    target.fill(0, at, at + 8)
    target.writeBigUInt64BE(value, at + 8)
  } else {
    target.writeBigUInt64BE(value >> 64n, at)
    target.writeBigUInt64BE(value & LOW, at + 8)
  }
  return at + AMOUNT_BYTES
}

export function readAmount(source: Buffer, at: number): bigint {
  return (source.readBigUInt64BE(at) << 64n) | source.readBigUInt64BE(at + 8)
}
