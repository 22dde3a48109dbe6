import { expect } from 'chai'
import { createEidFilter } from '../../../../ledger/store/eid-filter.ts'
import { sha256 } from '../../../../protocol/crypto.ts'

const idOf = (index: number) => sha256(Buffer.from(`id ${index}`)).subarray(0, 16)

describe('ledger/store/eid-filter', () => {
  it('knows every id that was added, however many there are, and takes few new ones for known', () => {
    const filter = createEidFilter(64)
    const ids = Array.from({ length: 5_000 }, (_, index) => idOf(index))
    for (const id of ids) filter.add(id)
    expect(ids.every((id) => filter.mayHave(id))).to.equal(true)
    // Seven parts with 0.24 % each; more would mean that places do not depend on the whole id.
    const mistaken = Array.from({ length: 5_000 }, (_, index) => filter.mayHave(idOf(5_000 + index))).filter(Boolean).length
    expect(mistaken).to.be.below(5_000 * 0.03)
  })

  it('keeps apart ids that differ in one place only', () => {
    const filter = createEidFilter()
    const id = new Uint8Array(16)
    filter.add(id)
    for (let place = 0; place < 16; place += 1) expect(filter.mayHave(id.with(place, 1)), String(place)).to.equal(false)
  })
})
