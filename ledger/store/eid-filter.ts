/**
 * Which ids were never logged? A Bloom filter over the ids of all stored entries, so that a new id costs no look into the
 * database: nearly every id that is asked for is new. It may take a new id for a known one, never the other way round.
 *
 * 16 bits and 4 places for an id: 0.24 % of new ids are taken for known ones and looked up (Bloom 1970: (1 - e^(-4/16))^4).
 * It grows by filters of twice the size, of which each is asked. An id that was cut off again stays.
 */
const BITS_PER_ID = 16
const PLACES = 4
/** Ids of the first part: 128 KiB. */
const FIRST_IDS = 65_536

export interface EidFilter {
  /** `eid`: at least 16 bytes. */
  add(eid: Uint8Array): void
  /** False: it was never added. */
  mayHave(eid: Uint8Array): boolean
}

interface Part {
  readonly bits: Uint32Array
  /** A mask, since the number of bits is a power of two. */
  readonly mask: number
  readonly idsMax: number
  ids: number
}

function createPart(idsMax: number): Part {
  const bits = idsMax * BITS_PER_ID
  return { bits: new Uint32Array(bits / 32), mask: bits - 1, idsMax, ids: 0 }
}

/** Ids of entries are hashes or random; those that a stranger chose are mixed all the same. */
function placeOf(eid: Uint8Array, place: number): number {
  const at = place * 4
  const word = eid[at]! | eid[at + 1]! << 8 | eid[at + 2]! << 16 | eid[at + 3]! << 24
  const mixed = Math.imul(word ^ word >>> 15, 0x2c1b_3c6d)
  return (mixed ^ mixed >>> 13) >>> 0
}

function has({ bits, mask }: Part, eid: Uint8Array): boolean {
  for (let place = 0; place < PLACES; place += 1) {
    const bit = placeOf(eid, place) & mask
    if ((bits[bit >>> 5]! & 1 << (bit & 31)) === 0) return false
  }
  return true
}

export function createEidFilter(firstIds = FIRST_IDS): EidFilter {
  const parts = [createPart(firstIds)]
  return {
    add: (eid) => {
      if (parts.some((part) => has(part, eid))) return
      let part = parts.at(-1)!
      if (part.ids >= part.idsMax) {
        part = createPart(part.idsMax * 2)
        parts.push(part)
      }
      part.ids += 1
      for (let place = 0; place < PLACES; place += 1) {
        const bit = placeOf(eid, place) & part.mask
        part.bits[bit >>> 5]! |= 1 << (bit & 31)
      }
    },
    mayHave: (eid) => parts.some((part) => has(part, eid)),
  }
}
