import { expect } from 'chai'
import { createCapacityTable } from '../../../../node/capacity/table.ts'
import { encode } from '../../../../protocol/codec.ts'
import { CAPACITY_VALID_MS, CLOCK_SKEW_MS_MAX } from '../../../../protocol/limits.ts'
import { writeAnnouncement, type Capacity } from '../../../../protocol/messages/capacity.ts'
import { signDocument } from '../../../../protocol/signed.ts'
import { aCapacity, aModel } from '../../../support/completions.ts'
import { fakeClock } from '../../../support/fake-clock.ts'
import { testKey } from '../../../support/federation.ts'

function setUp(options: { demoAllowed?: boolean; rowsMax?: number; isHub?: () => boolean } = {}) {
  const clock = fakeClock()
  const table = createCapacityTable({ clock }, { demoAllowed: true, ...options })
  const key = testKey()
  const say = (part: Partial<Capacity> = {}, from = key) =>
    table.judge(writeAnnouncement(key.signer, aCapacity({ peer: from.signer.publicKey, ...part }, clock.now()))).verdict
  return { clock, table, key, say }
}

describe('node/capacity/table', () => {
  it('accepts an announcement and keeps it', () => {
    const { table, key, say } = setUp()
    expect(say()).to.equal('accept')
    expect(table.get(key.peerId)?.capacity.models[0]?.id).to.equal('tiny')
    expect(table.fresh()).to.have.length(1)
  })

  it('rejects what no honest peer forwards: nonsense, a field that does not fit, a false speaker', () => {
    const { table, say } = setUp()
    expect(table.judge(Uint8Array.of(0xff, 1)).verdict).to.equal('reject')
    expect(table.judge(encode({ v: 1 })).verdict).to.equal('reject')
    expect(say({ v: 2 as 1 })).to.equal('reject')
    expect(say({ models: Array.from({ length: 33 }, () => aModel()) })).to.equal('reject')
    expect(say({}, testKey())).to.equal('reject')
    expect(table.fresh()).to.have.length(0)
  })

  it('rejects what is not signed, what was changed after it was signed, and a signature of another kind', () => {
    const { clock, table, key } = setUp()
    const capacity = aCapacity({ peer: key.signer.publicKey }, clock.now())
    expect(table.judge(encode(capacity)).verdict).to.equal('reject')
    const good = writeAnnouncement(key.signer, capacity)
    for (let at = 0; at < good.length; at += 1) expect(table.judge(good.with(at, good[at]! ^ 1)).verdict, `byte ${at}`).to.equal('reject')
    expect(table.judge(encode(signDocument(key.signer, 'ticket', capacity))).verdict).to.equal('reject')
    expect(table.judge(encode({ ...signDocument(key.signer, 'capacity', capacity), batch: { index: 0, size: 2, path: [new Uint8Array(32)] } })).verdict).to.equal('reject')
    expect(table.fresh()).to.have.length(0)
    expect(table.judge(good).row?.peer).to.equal(key.peerId)
  })

  it('refuses who says that it is a hub and is none: a hub is trusted more and asked first', () => {
    expect(setUp().say({ mode: 'hub' })).to.equal('reject')
    expect(setUp({ isHub: () => true }).say({ mode: 'hub' })).to.equal('accept')
  })

  it('refuses the demo model outside a local federation', () => {
    expect(setUp({ demoAllowed: false }).say({ models: [aModel(), aModel({ id: 'demo', demo: true })] })).to.equal('reject')
    expect(setUp({ demoAllowed: true }).say({ models: [aModel({ demo: true })] })).to.equal('accept')
  })

  it('ignores a clock that is off by more than CLOCK_SKEW_MS_MAX, in both directions', () => {
    const { clock, say } = setUp()
    expect(say({ sentAt: clock.now() - CLOCK_SKEW_MS_MAX - 1 })).to.equal('ignore')
    expect(say({ sentAt: clock.now() + CLOCK_SKEW_MS_MAX + 1 })).to.equal('ignore')
    expect(say({ sentAt: clock.now() + CLOCK_SKEW_MS_MAX })).to.equal('accept')
  })

  it('ignores a message that was seen before and one that is older', () => {
    const { table, key, say } = setUp()
    expect(say({ seq: 10, name: 'new' })).to.equal('accept')
    expect(say({ seq: 10, name: 'again' })).to.equal('ignore')
    expect(say({ seq: 9, name: 'old' })).to.equal('ignore')
    expect(table.get(key.peerId)?.capacity.name).to.equal('new')
    expect(say({ seq: 11, name: 'newer' })).to.equal('accept')
  })

  it('takes a lower number again once the old row has expired, as after a clock was set right', () => {
    const { clock, say } = setUp()
    expect(say({ seq: Number.MAX_SAFE_INTEGER })).to.equal('accept')
    clock.advance(CAPACITY_VALID_MS)
    expect(say({ seq: 5 })).to.equal('accept')
  })

  it('drops a row after CAPACITY_VALID_MS and not one millisecond earlier', () => {
    const { clock, table, key, say } = setUp()
    say()
    clock.advance(CAPACITY_VALID_MS - 1)
    expect(table.fresh()).to.have.length(1)
    expect(table.get(key.peerId)).to.not.equal(undefined)
    clock.advance(1)
    expect(table.get(key.peerId)).to.equal(undefined)
    expect(table.fresh()).to.have.length(0)
  })

  it('does not keep a peer whose clock is ahead longer than others, and heeds a shorter promise', () => {
    const { clock, table, key, say } = setUp()
    say({ sentAt: clock.now() + CLOCK_SKEW_MS_MAX, validUntil: Number.MAX_SAFE_INTEGER })
    clock.advance(CAPACITY_VALID_MS)
    expect(table.get(key.peerId)).to.equal(undefined)
    say({ seq: clock.now(), sentAt: clock.now() - CLOCK_SKEW_MS_MAX, validUntil: clock.now() - CLOCK_SKEW_MS_MAX + 1_000 })
    clock.advance(1_000)
    expect(table.get(key.peerId)).to.equal(undefined)
  })

  it('is bounded: the row that was not renewed for longest goes first', () => {
    const { clock, table } = setUp({ rowsMax: 2 })
    const peers = [testKey(), testKey(), testKey()]
    const put = (index: number) => table.put(aCapacity({ peer: peers[index]!.signer.publicKey, seq: clock.now() }, clock.now()))
    put(0)
    put(1)
    put(0)
    put(2)
    expect(table.fresh().map((row) => row.peer)).to.have.members([peers[0]!.peerId, peers[2]!.peerId])
  })

  it('forgets a peer, and tells those who listen', () => {
    const { table, key, say } = setUp()
    let calls = 0
    const stop = table.onChange(() => { calls += 1 })
    say()
    table.forget(key.peerId)
    table.forget(key.peerId)
    expect(table.get(key.peerId)).to.equal(undefined)
    expect(calls).to.equal(2)
    stop()
    say({ seq: 1 })
    expect(calls).to.equal(2)
  })

  it('remembers since when it knows a model', () => {
    const { clock, table, say } = setUp()
    say()
    const first = clock.now()
    clock.advance(10_000)
    say()
    expect(table.firstSeenAt('tiny')).to.equal(first)
  })
})
