/** Folds entries about accounts and keys. Of two entries with one natural key the earlier position counts, in whatever order they come. */
import { toHex } from '../../protocol/bytes.ts'
import type { EntryOf } from '../entries/entry.ts'
import { dayOf } from '../rules.ts'
import { refuseUnlessClearing } from './apply-money.ts'
import { NO_EFFECT, type Effect, type Scene } from './effect.ts'
import { refuse } from './refused.ts'
import { accountFor, comparePositions } from './state.ts'

export function openAccount({ state, at }: Scene, entry: EntryOf<'AccountOpen'>): Effect {
  const id = toHex(entry.account)
  const known = state.accounts.get(id)?.opened
  if (known !== undefined && comparePositions(known.at, at) <= 0) return NO_EFFECT
  return {
    postings: [],
    after: () => {
      accountFor(state, id).opened = { publicKey: toHex(entry.publicKey), name: entry.name, tier: entry.tier, at }
      state.touched.add(id)
    },
  }
}

export function addKey({ state, at }: Scene, entry: EntryOf<'KeyAdd'>): Effect {
  const key = toHex(entry.publicKey)
  const known = state.keys.get(key)
  if (known !== undefined && comparePositions(known.at, at) <= 0) return NO_EFFECT
  return {
    postings: [],
    after: () => {
      const account = toHex(entry.account)
      if (known !== undefined) {
        const former = state.keysOfAccount.get(known.account)
        former?.delete(key)
        if (former?.size === 0) state.keysOfAccount.delete(known.account)
      }
      state.keys.set(key, { account, name: entry.name, terms: entry.terms, at })
      const keys = state.keysOfAccount.get(account)
      if (keys === undefined) state.keysOfAccount.set(account, new Set([key]))
      else keys.add(key)
    },
  }
}

export function revokeKey({ state }: Scene, entry: EntryOf<'KeyRevoke'>): Effect {
  return { postings: [], after: () => { state.revokedKeys.add(toHex(entry.publicKey)) } }
}

export function setTier(scene: Scene, entry: EntryOf<'TierSet'>): Effect {
  const { state, at } = scene
  const id = toHex(entry.account)
  refuseUnlessClearing(scene, id)
  const known = state.accounts.get(id)?.tiers.length ?? 0
  if (entry.rev <= known) return NO_EFFECT
  if (entry.rev !== known + 1) refuse(`it is tier change ${entry.rev} of an account with ${known}`)
  return {
    postings: [],
    after: () => {
      accountFor(state, id).tiers.push({ rev: entry.rev, tier: entry.tier, day: dayOf(at.tsMs), at })
      state.touched.add(id)
    },
  }
}
