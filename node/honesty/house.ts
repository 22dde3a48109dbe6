/**
 * In whose name checks are asked: accounts that only this hub knows to be none. A host sees the id of an account, its key's
 * id and a priority, and can look neither up; some come often and some once, as with everybody else.
 */
import { toHex } from '../../protocol/bytes.ts'
import type { Random } from '../../protocol/ports.ts'

export interface HouseAccount {
  /** 16 bytes. */
  readonly account: Uint8Array
  /** As `keyIdOf` gives it. */
  readonly apiKey: Uint8Array
  readonly tier: string
}

export interface House {
  /** `tier`: of an ordinary job a moment ago. */
  next(tier: string): HouseAccount
  has(account: Uint8Array): boolean
}

const NAMES = 64
/** A name is used so often on the average. */
const USES = 12
/** Names that are recognised; the last jobs of the oldest ended long ago. */
const REMEMBERED_MAX = 4_096

export function createHouse({ random }: { readonly random: Random }): House {
  const names: HouseAccount[] = []
  const known = new Set<string>()

  function create(tier: string): HouseAccount {
    const made = { account: random.bytes(16), apiKey: random.bytes(16), tier }
    if (known.size >= REMEMBERED_MAX) known.delete(known.values().next().value!)
    known.add(toHex(made.account))
    return made
  }

  return {
    next(tier) {
      const place = Math.floor(random.unit() * NAMES)
      const found = names[place]
      if (found !== undefined && random.unit() > 1 / USES) return found
      const fresh = create(tier)
      if (place < names.length) names[place] = fresh
      else names.push(fresh)
      return fresh
    },
    has: (account) => known.has(toHex(account)),
  }
}
