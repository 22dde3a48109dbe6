/** Operations about who there is: accounts, keys, tiers. */
import { accountIdOf } from '../../protocol/api-key.ts'
import { toHex } from '../../protocol/bytes.ts'
import { sha256 } from '../../protocol/crypto.ts'
import { testKey } from '../support/federation.ts'
import type { Caller } from './caller.ts'
import { untold } from './oracle.ts'

export interface Operation {
  /** Begins it at this hub. */
  (hub: number): void
}

/** Things that were asked for and may be asked for again, at any hub or only where they were. */
export interface Repeatables {
  add(again: Operation, hub?: number): void
  some(): { readonly again: Operation; readonly hub: number | undefined } | undefined
}

const OPEN_TRIES_MAX = 20
const TIERS = ['free', 'contributor', 'pro', 'unlimited', 'enterprise']

export function peopleOperations(caller: Caller, repeatables: Repeatables) {
  const { oracle, random, world } = caller

  return {
    'open-account'() {
      if (oracle.accounts.size >= world.swarm.accounts) return
      const { publicKey } = testKey(random.bytes(32)).signer
      const id = accountIdOf(publicKey)
      const tier = random.unit() < 0.7 ? 'free' : caller.pick(TIERS)!
      const account = { ...untold(), publicKey, id, name: `account ${oracle.accounts.size}`, tier, tiers: new Set([tier]) }
      oracle.accounts.set(toHex(id), account)
      let tries = 0
      const again = (at: number) => {
        caller.append(at, 'open-account', account, async (ledger) => await ledger.openAccount({ publicKey, name: account.name, tier }), { failed: later })
      }
      // Without it nothing else can be asked for.
      const later = () => {
        tries += 1
        if (tries < OPEN_TRIES_MAX) caller.after(caller.between(100, 600), () => { again(caller.pick(caller.hubs) ?? 0) })
      }
      repeatables.add(again)
      again(caller.pick(caller.hubs)!)
    },

    'add-key'(hub: number) {
      const account = caller.someAccount()
      if (account === undefined) return
      const publicKey = sha256(random.bytes(8))
      const key = { ...untold(), account: toHex(account.id), publicKey, revoked: untold(), mayBeRevoked: false }
      oracle.keys.set(toHex(publicKey), key)
      const again = (at: number) => {
        caller.append(at, 'add-key', key, async (ledger) => await ledger.addKey({ publicKey, account: account.id, name: 'key' }), { expected: ['ENTRY_INVALID'] })
      }
      repeatables.add(again)
      again(hub)
    },

    'revoke-key'(hub: number) {
      const key = caller.pick([...oracle.keys.values()])
      if (key === undefined) return
      key.mayBeRevoked = true
      caller.append(hub, 'revoke-key', key.revoked, async (ledger) => await ledger.revokeKey({ publicKey: key.publicKey }), { expected: ['ENTRY_INVALID', 'NOT_FOUND'] })
    },

    'set-tier'(hub: number) {
      const account = caller.someAccount()
      if (account === undefined) return
      const tier = caller.pick(TIERS)!
      account.tiers.add(tier)
      caller.append(hub, 'set-tier', untold(), async (ledger) => await ledger.setTier({ account: account.id, tier }), { expected: ['ENTRY_INVALID', 'ENTRY_CONFLICT'] })
    },
  }
}
