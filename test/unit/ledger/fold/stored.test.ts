import { expect } from 'chai'
import { decodeEntry, encodeEntry } from '../../../../ledger/entries/entry.ts'
import { dumpState } from '../../../../ledger/fold/dump.ts'
import { foldFrame } from '../../../../ledger/fold/frame-fold.ts'
import { createState } from '../../../../ledger/fold/state.ts'
import { storedEntry, storedFrame } from '../../../../ledger/fold/stored.ts'
import { foldHubKeys, foldInOrder, foldNetwork, foldable, foldReceipt } from '../../../support/fold-world.ts'
import { live } from '../../../support/fold-workload.ts'
import { seededUnit } from '../../../support/seeded-random.ts'

const id = new Uint8Array(16).fill(1)
const half = { some: 'thing' }
const seen = { observedMs: 1, endedAt: 2 }

describe('ledger/fold/stored', () => {
  it('reads every entry of a long life as the first, checked reading does, and folds to the same state', () => {
    const unit = seededUnit(5)
    const { world } = live(Array.from({ length: 12_000 }, () => Math.floor(unit() * 2 ** 30)))
    const state = createState(foldNetwork, foldHubKeys)
    for (let next = foldable(state, world.logs); next.length > 0; next = foldable(state, world.logs)) foldFrame(state, storedFrame(next[0]!))
    expect(dumpState(state)).to.equal(dumpState(foldInOrder(world.logs, () => 0)))
    for (const { entries, entryBytes } of [...world.logs.values()].flat()) {
      for (const [index, bytes] of entryBytes.entries()) {
        const read = storedEntry(bytes)
        if (read !== undefined) expect(read, entries[index]!.k).to.deep.equal(decodeEntry(bytes))
      }
    }
  })

  it('passes over receipts that earn nothing, and no others', () => {
    const read = (fields: { readonly bytes: Uint8Array }) => storedEntry(fields.bytes)?.k
    expect(read(foldReceipt(id, seen))).to.equal(undefined)
    expect(read(foldReceipt(id, { half, ...seen }))).to.equal(undefined)
    expect(read(foldReceipt(id, seen, 5n))).to.equal('JobReceipt')
    expect(read(foldReceipt(id, { half, ...seen }, 5n))).to.equal('JobReceipt')
    expect(read(foldReceipt(id, { half, ...seen }, 2n ** 62n))).to.equal('JobReceipt')
    const rates = [{ device: 'a', rate: 5n }]
    expect(read(foldReceipt(id, { half, ...seen }, []))).to.equal(undefined)
    expect(read(foldReceipt(id, seen, rates))).to.equal('JobReceipt')
    expect(read(foldReceipt(id, { half, ...seen }, rates))).to.equal('JobReceipt')
    expect(read(encodeEntry({ k: 'KeyRevoke', publicKey: new Uint8Array(32) }))).to.equal('KeyRevoke')
  })

  it('reads small and large amounts as bigints', () => {
    for (const amount of [1n, 2n ** 53n + 1n, 2n ** 63n - 1n]) {
      const rates = [{ device: 'a', rate: 1n }, { device: 'b', rate: amount }]
      expect(storedEntry(foldReceipt(id, { half, ...seen }, rates).bytes)).to.deep.include({ rates })
      expect(storedEntry(encodeEntry({ k: 'Grant', account: id, amount, source: 's' }).bytes)).to.deep.include({ amount })
    }
  })
})
