/** A sum over rows that does not depend on their order: two sets of rows with equal sums are the same set. */
import { sha256 } from '../../protocol/crypto.ts'

export interface RowSum {
  readonly rows: number
  add(key: Uint8Array, value: Uint8Array): void
  equals(other: RowSum): boolean
  /** 128 bits, hexadecimal. */
  digest(): string
}

const MODULUS = 2n ** 128n

export function createRowSum(): RowSum {
  let rows = 0
  let sum = 0n
  const self: RowSum = {
    get rows() { return rows },
    add: (key, value) => {
      rows += 1
      const hash = Buffer.from(sha256(Uint8Array.of(key.byteLength), key, value))
      sum = (sum + (hash.readBigUInt64BE(0) << 64n) + hash.readBigUInt64BE(8)) % MODULUS
    },
    equals: (other) => other.rows === rows && other.digest() === self.digest(),
    digest: () => sum.toString(16).padStart(32, '0'),
  }
  return self
}
