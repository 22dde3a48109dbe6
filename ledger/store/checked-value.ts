/** Values that carry their own checksum: what no signature and no hash chain protects is not believed without it. */
import { bytesEqual, concatBytes } from '../../protocol/bytes.ts'
import { sha256 } from '../../protocol/crypto.ts'

const SUM_BYTES = 8

/** The key is part of the sum, so that one value never passes for another one's. */
const sumOf = (key: Uint8Array, value: Uint8Array) => sha256(key, value).subarray(0, SUM_BYTES)

export function withSum(key: Uint8Array, value: Uint8Array): Uint8Array {
  return concatBytes(sumOf(key, value), value)
}

/** Gives undefined where the stored bytes are not what was written under this key. */
export function withoutSum(key: Uint8Array, stored: Uint8Array): Uint8Array | undefined {
  const value = stored.subarray(SUM_BYTES)
  return stored.byteLength >= SUM_BYTES && bytesEqual(stored.subarray(0, SUM_BYTES), sumOf(key, value)) ? Uint8Array.from(value) : undefined
}
