import { expect } from 'chai'
import * as fc from 'fast-check'
import { encodeEntry, type Entry } from '../../../ledger/entries/entry.ts'
import { PROMO } from '../../../ledger/postings.ts'
import { accountOf, accountsOf, apiKeyOf, apiKeysOf, applyEntry, createState, totalOf, type LedgerState, type Position } from '../../../ledger/state.ts'
import { accountIdOf } from '../../../protocol/api-key.ts'
import { toHex } from '../../../protocol/bytes.ts'

const publicKeys = [1, 2, 3].map((byte) => new Uint8Array(32).fill(byte))
const ids = publicKeys.map(accountIdOf)

interface Placed { readonly entry: Entry; readonly at: Position }

const entryArbitrary: fc.Arbitrary<Entry> = fc.oneof(
  fc.record({ account: fc.nat(2), name: fc.constantFrom('a', 'b'), tier: fc.constantFrom('free', 'pro') })
    .map(({ account, name, tier }) => encodeEntry({ k: 'AccountOpen', account: ids[account]!, publicKey: publicKeys[account]!, name, tier }).entry),
  fc.record({ key: fc.nat(2), account: fc.nat(2), name: fc.constantFrom('x', 'y') })
    .map(({ key, account, name }) => encodeEntry({ k: 'KeyAdd', publicKey: publicKeys[key]!, account: ids[account]!, name }).entry),
  fc.nat(2).map((key) => encodeEntry({ k: 'KeyRevoke', publicKey: publicKeys[key]! }).entry),
  fc.record({ account: fc.nat(2), amount: fc.bigInt({ min: 1n, max: 10n ** 15n }), source: fc.constantFrom('s', 't') })
    .map(({ account, amount, source }) => encodeEntry({ k: 'Grant', account: ids[account]!, amount, source }).entry),
)

/** Three logs, each in its own order with growing times. */
const logsArbitrary = fc.array(fc.array(fc.record({ entry: entryArbitrary, step: fc.integer({ min: 1, max: 3 }) }), { maxLength: 8 }), { minLength: 3, maxLength: 3 })
  .map((logs) => logs.map((log, hub): Placed[] => {
    let tsMs = 0
    return log.map(({ entry, step }, seq) => {
      tsMs += step
      return { entry, at: { tsMs, hub, epoch: 0, seq } }
    })
  }))

function foldOf(entries: readonly Placed[]): LedgerState {
  const state = createState()
  for (const { entry, at } of entries) applyEntry(state, entry, at)
  return state
}

/** What people can see of a state, in one order. */
function view(state: LedgerState): unknown {
  return {
    accounts: accountsOf(state),
    keys: ids.map((id) => apiKeysOf(state, toHex(id))),
    balances: [...state.balances].filter(([, balance]) => balance !== 0n).sort(([a], [b]) => a < b ? -1 : 1),
  }
}

describe('ledger/state', () => {
  it('gives the same accounts, keys and balances for every interleaving of the logs', () => {
    fc.assert(fc.property(logsArbitrary, fc.array(fc.nat(2), { maxLength: 60 }), (logs, turns) => {
      const rest = logs.map((log) => [...log])
      const interleaved: Placed[] = []
      for (const turn of [...turns, ...logs.flatMap((log, hub) => log.map(() => hub))]) {
        const next = rest[turn]!.shift()
        if (next !== undefined) interleaved.push(next)
      }
      expect(view(foldOf(interleaved))).to.deep.equal(view(foldOf(logs.flat())))
    }))
  })

  it('keeps the sum of all balances at zero after every entry', () => {
    fc.assert(fc.property(logsArbitrary, (logs) => {
      const state = createState()
      for (const { entry, at } of logs.flat()) {
        applyEntry(state, entry, at)
        expect(totalOf(state)).to.equal(0n)
      }
    }))
  })

  it('takes a grant before its account is known', () => {
    const grant = encodeEntry({ k: 'Grant', account: ids[0]!, amount: 7n, source: 's' }).entry
    const open = encodeEntry({ k: 'AccountOpen', account: ids[0]!, publicKey: publicKeys[0]!, name: 'a', tier: 'free' }).entry
    const state = foldOf([{ entry: grant, at: { tsMs: 1, hub: 2, epoch: 0, seq: 1 } }, { entry: open, at: { tsMs: 9, hub: 0, epoch: 0, seq: 1 } }])
    expect(accountOf(state, toHex(ids[0]!))).to.deep.include({ name: 'a', tier: 'free', balanceMicroCredits: 7n })
    expect(state.balances.get(PROMO)).to.equal(-7n)
  })

  it('counts a grant that two hubs logged once, at the earlier amount', () => {
    const grant = (amount: bigint) => encodeEntry({ k: 'Grant', account: ids[0]!, amount, source: 's' }).entry
    const first = { entry: grant(5n), at: { tsMs: 10, hub: 1, epoch: 0, seq: 1 } }
    const second = { entry: grant(8n), at: { tsMs: 11, hub: 0, epoch: 0, seq: 1 } }
    for (const order of [[first, second], [second, first], [first, first, second]]) {
      expect(foldOf(order).balances.get(toHex(ids[0]!))).to.equal(5n)
    }
  })

  it('never takes back a revoked key, whichever came first', () => {
    const add = { entry: encodeEntry({ k: 'KeyAdd', publicKey: publicKeys[0]!, account: ids[1]!, name: 'k' }).entry, at: { tsMs: 5, hub: 0, epoch: 0, seq: 1 } }
    const revoke = { entry: encodeEntry({ k: 'KeyRevoke', publicKey: publicKeys[0]! }).entry, at: { tsMs: 1, hub: 1, epoch: 0, seq: 1 } }
    expect(apiKeyOf(foldOf([add]), toHex(publicKeys[0]!))).to.deep.include({ name: 'k', createdAt: 5 })
    for (const order of [[add, revoke], [revoke, add]]) {
      expect(apiKeyOf(foldOf(order), toHex(publicKeys[0]!))).to.equal(undefined)
      expect(apiKeysOf(foldOf(order), toHex(ids[1]!))).to.deep.equal([])
    }
  })
})
