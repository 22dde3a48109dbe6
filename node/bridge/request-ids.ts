/** Names of requests: 24 hexadecimal digits. Random bytes are fetched in lots, since a call costs more than the bytes. */
import type { Random } from '../../protocol/ports.ts'

const ID_BYTES = 12
const LOT_IDS = 256

export function createRequestIds(random: Random): () => string {
  let lot = ''
  let used = LOT_IDS
  return () => {
    if (used >= LOT_IDS) {
      lot = Buffer.from(random.bytes(ID_BYTES * LOT_IDS)).toString('hex')
      used = 0
    }
    const start = used * ID_BYTES * 2
    used += 1
    return lot.slice(start, start + ID_BYTES * 2)
  }
}
