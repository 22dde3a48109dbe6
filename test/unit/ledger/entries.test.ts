import { expect } from 'chai'
import * as fc from 'fast-check'
import { decodeEntry, encodeEntry, expectedEid, peekEntry, type Entry } from '../../../ledger/entries/entry.ts'
import { MICRO_CREDITS_MAX } from '../../../ledger/entries/fields.ts'
import { toHex } from '../../../protocol/bytes.ts'
import { encode } from '../../../protocol/codec.ts'
import { receiptIdOf } from '../../../protocol/messages/receipt.ts'
import { testKey } from '../../support/federation.ts'
import { receiptEntry, testReceipt, testTicket } from '../../support/ledger-world.ts'

const id = new Uint8Array(16).fill(1)
const key = new Uint8Array(32).fill(2)
const hub = testKey().signer
const ticket = testTicket('net', hub, { jobId: id })
const receipt = testReceipt('net', hub, { jobId: id }, ticket)
const lone = testReceipt('net', hub, { jobId: id, half: null }, ticket)

const all = [
  encodeEntry({ k: 'AccountOpen', account: id, publicKey: key, name: 'Ada', tier: 'free' }),
  encodeEntry({ k: 'KeyAdd', publicKey: key, account: id, name: 'laptop' }),
  encodeEntry({ k: 'KeyRevoke', publicKey: key }),
  encodeEntry({ k: 'Grant', account: id, amount: 5n, source: 'start' }),
  encodeEntry({ k: 'EpochOpen', hub: 1, epoch: 7, key: ticket }),
  receiptEntry(receipt),
  receiptEntry(lone),
]

describe('ledger/entries', () => {
  it('reads every kind back from its bytes, with the id of its content', () => {
    for (const { entry, bytes } of all) {
      const read = decodeEntry(bytes)
      expect(read.k).to.equal(entry.k)
      expect(toHex(encode(read)), entry.k).to.equal(toHex(bytes))
      expect(toHex(read.eid)).to.equal(toHex(expectedEid(read)))
    }
  })

  it('sees kind and id of every entry in its first bytes, and refuses what does not begin like one', () => {
    for (const { entry, bytes } of all) {
      const peeked = peekEntry(bytes)!
      expect(peeked.kind).to.equal(entry.k)
      expect(toHex(peeked.eid)).to.equal(toHex(entry.eid))
      expect(peekEntry(bytes.subarray(0, 20))).to.equal(undefined)
    }
    expect(peekEntry(encode({ k: 'Unknown', eid: id }))).to.equal(undefined)
    expect(peekEntry(new Uint8Array())).to.equal(undefined)
  })

  it("gives the same id for the same fact and the receipt's id for a receipt", () => {
    const grant = (account: Uint8Array, source: string, amount: bigint) => encodeEntry({ k: 'Grant', account, amount, source }).entry.eid
    expect(toHex(grant(id, 'a', 1n))).to.equal(toHex(grant(id, 'a', 2n)))
    expect(toHex(grant(id, 'a', 1n))).to.not.equal(toHex(grant(id, 'b', 1n)))
    expect(toHex(grant(id, 'a', 1n))).to.not.equal(toHex(grant(key.slice(0, 16), 'a', 1n)))
    expect(toHex(receiptEntry(lone).entry.eid)).to.equal(toHex(receiptIdOf(id)))
    expect(new Set(all.map(({ entry }) => toHex(entry.eid))).size).to.equal(all.length - 1)
  })

  it('keeps any amount from 1 to 2^63 - 1 exactly, as a bigint, and refuses every other', () => {
    fc.assert(fc.property(fc.bigInt({ min: 1n, max: MICRO_CREDITS_MAX }), (amount) => {
      const { bytes } = encodeEntry({ k: 'Grant', account: id, amount, source: 's' })
      expect((decodeEntry(bytes) as Extract<Entry, { k: 'Grant' }>).amount).to.equal(amount)
    }))
    for (const amount of [0n, -1n, MICRO_CREDITS_MAX + 1n]) {
      expect(() => encodeEntry({ k: 'Grant', account: id, amount, source: 's' }), String(amount)).to.throw()
    }
  })

  it('refuses unknown kinds, unknown fields and wrong sizes', () => {
    const good = { k: 'KeyRevoke', eid: id, publicKey: key }
    expect(() => decodeEntry(encode(good))).to.not.throw()
    expect(() => decodeEntry(encode({ ...good, k: 'Mint' }))).to.throw()
    expect(() => decodeEntry(encode({ ...good, extra: 1 }))).to.throw()
    expect(() => decodeEntry(encode({ ...good, publicKey: id }))).to.throw()
    expect(() => decodeEntry(encode({ ...good, eid: key }))).to.throw()
  })
})
