import { expect } from 'chai'
import * as fc from 'fast-check'
import { readLeaf, writeLeaf } from '../../../../ledger/checkpoint/state-leaf.ts'
import { readEntries, type PlacedEntry } from '../../../../ledger/checkpoint/statement-lines.ts'
import { createStatementPicker } from '../../../../ledger/checkpoint/statement-picker.ts'
import { decodeEntry } from '../../../../ledger/entries/entry.ts'
import { frameHeaderSchema } from '../../../../ledger/frame.ts'
import { decode, encode } from '../../../../protocol/codec.ts'
import { foldInOrder } from '../../../support/fold-world.ts'
import { live } from '../../../support/fold-workload.ts'
import { seededUnit } from '../../../support/seeded-random.ts'

function tape(seed: number, length: number): readonly number[] {
  const unit = seededUnit(seed)
  return Array.from({ length }, () => Math.floor(unit() * 2 ** 30))
}

describe('ledger/checkpoint: entries of a statement', () => {
  it('are found and add up to the balance, for every account of any life, seals and lost ends and all', function () {
    this.timeout(120_000)
    const kinds = new Map<string, number>()
    fc.assert(fc.property(fc.nat(), fc.integer({ min: 100, max: 5_000 }), (seed, length) => {
      const { world } = live(tape(seed, length))
      const state = foldInOrder(world.logs, () => 0)
      for (const [id, account] of state.accounts) {
        const picker = createStatementPicker(id, (hold) => state.holds.get(hold)?.account)
        for (const [name, frames] of world.logs) {
          // What a seal has cut off is in nobody's statement.
          for (const frame of frames.slice(0, state.logs.get(name)?.frame ?? 0)) picker.add({ ...frame, headerBytes: encode(frame.header) })
        }
        const leaf = readLeaf(Uint8Array.from(writeLeaf(id, account).bytes))!
        const entries = picker.pick(leaf).flatMap(({ header: bytes, entries: picked }): PlacedEntry[] => {
          const header = decode(frameHeaderSchema, bytes)
          return picked.map(({ index, bytes: entry }) => ({ entry: decodeEntry(entry), log: header, frame: header.no, seq: header.firstSeq + index, tsMs: header.tsMs }))
        })
        expect(entries.length).to.equal(leaf.chains.reduce((sum, chain) => sum + chain.entries, 0))
        for (const { entry } of entries) kinds.set(entry.k, (kinds.get(entry.k) ?? 0) + 1)
        const { minted, spent, held, inflight, back } = leaf.totals
        expect(readEntries(entries).sums, `seed ${seed}, length ${length}, account ${id}`).to.deep.equal({ minted, spent, held, inflight, back })
      }
    }), { numRuns: 40, examples: [[1_828_186_086, 4_030]] })
    for (const kind of ['Grant', 'Purchase', 'Chargeback', 'Hold', 'Extend', 'Settle', 'Expire', 'Refund', 'Give', 'Accept', 'Vest', 'BackRelease', 'Seal', 'IslandRelease']) {
      expect(kinds.get(kind) ?? 0, kind).to.be.greaterThan(0)
    }
  })
})
