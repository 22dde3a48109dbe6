import { expect } from 'chai'
import * as fc from 'fast-check'
import { encodeEntry, type EncodedEntry } from '../../../../ledger/entries/entry.ts'
import { dumpState } from '../../../../ledger/fold/dump.ts'
import { accountOf, accountsOf, apiKeyOf, apiKeysOf, balanceOf } from '../../../../ledger/fold/views.ts'
import { accountIdOf } from '../../../../protocol/api-key.ts'
import { toHex } from '../../../../protocol/bytes.ts'
import { createFoldWorld, foldInOrder, type FoldWorld } from '../../../support/fold-world.ts'

const publicKeys = [1, 2, 3].map((byte) => new Uint8Array(32).fill(byte))
const ids = publicKeys.map(accountIdOf)

const entryArbitrary: fc.Arbitrary<EncodedEntry> = fc.oneof(
  fc.record({ account: fc.nat(2), name: fc.constantFrom('a', 'b'), tier: fc.constantFrom('free', 'pro') })
    .map(({ account, name, tier }) => encodeEntry({ k: 'AccountOpen', account: ids[account]!, publicKey: publicKeys[account]!, name, tier })),
  fc.record({ key: fc.nat(2), account: fc.nat(2), name: fc.constantFrom('x', 'y') })
    .map(({ key, account, name }) => encodeEntry({ k: 'KeyAdd', publicKey: publicKeys[key]!, account: ids[account]!, name })),
  fc.nat(2).map((key) => encodeEntry({ k: 'KeyRevoke', publicKey: publicKeys[key]! })),
)

/** Each hub logs on its own, in frames of one entry; nobody has heard of the others. */
function apart(logs: readonly (readonly { readonly entry: EncodedEntry; readonly stepMs: number }[])[]): FoldWorld {
  const world = createFoldWorld()
  const startMs = world.nowMs
  for (const [hub, said] of logs.entries()) {
    world.nowMs = startMs
    for (const { entry, stepMs } of said) {
      world.nowMs += stepMs
      expect(world.say(hub, entry)).to.equal(undefined)
      world.commit(hub)
    }
  }
  return world
}

const logsArbitrary = fc.array(fc.array(fc.record({ entry: entryArbitrary, stepMs: fc.integer({ min: 1, max: 3 }) }), { maxLength: 8 }), { minLength: 3, maxLength: 3 })

describe('ledger/fold: accounts and keys', () => {
  it('are the same for every interleaving of logs that say different things of them', () => {
    fc.assert(fc.property(logsArbitrary, fc.infiniteStream(fc.nat()), (logs, turns) => {
      const { logs: frames } = apart(logs)
      expect(dumpState(foldInOrder(frames, (count) => (turns.next().value as number) % count))).to.equal(dumpState(foldInOrder(frames, () => 0)))
    }))
  })

  it('are what the earlier of two entries says', () => {
    const open = (name: string) => encodeEntry({ k: 'AccountOpen', account: ids[0]!, publicKey: publicKeys[0]!, name, tier: 'free' })
    const world = apart([[{ entry: open('late'), stepMs: 9 }], [{ entry: open('early'), stepMs: 5 }], [{ entry: open('latest'), stepMs: 12 }]])
    for (const choose of [() => 0, (count: number) => count - 1]) {
      const state = foldInOrder(world.logs, choose)
      expect(accountsOf(state).map(({ name }) => name)).to.deep.equal(['early'])
    }
  })

  it('never take back a revoked key, whichever came first', () => {
    const add = encodeEntry({ k: 'KeyAdd', publicKey: publicKeys[0]!, account: ids[1]!, name: 'k' })
    const revoke = encodeEntry({ k: 'KeyRevoke', publicKey: publicKeys[0]! })
    const known = foldInOrder(apart([[{ entry: add, stepMs: 5 }], [], []]).logs, () => 0)
    expect(apiKeyOf(known, toHex(publicKeys[0]!))).to.deep.include({ name: 'k' })
    expect(apiKeysOf(known, toHex(ids[1]!))).to.have.lengthOf(1)
    for (const logs of [[add, revoke], [revoke, add]]) {
      const state = foldInOrder(apart([logs.map((entry) => ({ entry, stepMs: 1 })), [], []]).logs, () => 0)
      expect(apiKeyOf(state, toHex(publicKeys[0]!))).to.equal(undefined)
      expect(apiKeysOf(state, toHex(ids[1]!))).to.deep.equal([])
    }
  })

  it('may come after their money', () => {
    const world = createFoldWorld()
    const home = [0, 1, 2].find((hub) => world.say(hub, { k: 'Grant', account: ids[0]!, amount: 7n, source: 's' }) === undefined)!
    const { state } = world.hubs[home]!
    expect(accountOf(state, toHex(ids[0]!))).to.equal(undefined)
    expect(balanceOf(state, toHex(ids[0]!)).available).to.equal(7n)
    world.say(home, { k: 'AccountOpen', account: ids[0]!, publicKey: publicKeys[0]!, name: 'a', tier: 'free' })
    expect(accountOf(state, toHex(ids[0]!))).to.deep.include({ name: 'a', tier: 'free', balanceMicroCredits: 7n })
  })
})
