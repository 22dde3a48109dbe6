import { expect } from 'chai'
import { step, type SyncEffect, type SyncMessage } from '../../../../ledger/reconcile/hub-sync.ts'
import { createSyncState, framesMissing, ownLogsBehind, peersHave, type SyncState } from '../../../../ledger/reconcile/sync-state.ts'
import type { TriforceError } from '../../../../protocol/errors.ts'
import type { LogId } from '../../../../protocol/messages/ledger.ts'

const logOf = (hub: number): LogId => ({ hub, epoch: 0 })
const headOf = (hub: number, no: number) => ({ log: logOf(hub), no, hash: new Uint8Array(32).fill(no) })
const frame = (bytes = 100) => new Uint8Array(bytes)
const hello = (...heads: readonly ReturnType<typeof headOf>[]): SyncMessage => ({ t: 'hello', v: 1, network: 'net', heads: [...heads] })

function machine(heads: readonly ReturnType<typeof headOf>[] = [], inFlightBytesMax?: number): SyncState {
  return createSyncState({ network: 'net', me: 0, heads, ...(inFlightBytesMax === undefined ? {} : { inFlightBytesMax }) })
}

function connect(state: SyncState, hub: number, ...heads: readonly ReturnType<typeof headOf>[]): readonly SyncEffect[] {
  return [...step(state, { type: 'connected', hub }), ...step(state, { type: 'message', hub, message: hello(...heads) })]
}

const sent = (effects: readonly SyncEffect[], hub: number) => effects.flatMap((effect) => effect.type === 'send' && effect.hub === hub ? [effect.message] : [])
const wants = (effects: readonly SyncEffect[], hub: number) => sent(effects, hub).filter((message) => message.t === 'want')
const loads = (effects: readonly SyncEffect[]) => effects.filter((effect) => effect.type === 'load')
const durable = (state: SyncState, hub: number, no: number, bytes = 100) => step(state, { type: 'durable', head: headOf(hub, no), frames: [frame(bytes)] })

describe('ledger/reconcile/hub-sync', () => {
  it('says hello with its heads, first and once', () => {
    const effects = step(machine([headOf(0, 4)]), { type: 'connected', hub: 1 })
    expect(sent(effects, 1)).to.deep.equal([hello(headOf(0, 4))])
  })

  it('refuses messages before hello, a second hello and another network', () => {
    const codeOf = (run: () => unknown) => {
      try {
        run()
        return 'none'
      } catch (error) {
        return (error as TriforceError).code
      }
    }
    const state = machine()
    step(state, { type: 'connected', hub: 1 })
    expect(codeOf(() => step(state, { type: 'message', hub: 1, message: { t: 'ack', log: logOf(0), no: 1 } }))).to.equal('PROTOCOL_VIOLATION')
    expect(codeOf(() => step(state, { type: 'message', hub: 1, message: { ...hello(), network: 'x' } as SyncMessage }))).to.equal('PROTOCOL_VIOLATION')
    step(state, { type: 'message', hub: 1, message: hello() })
    expect(codeOf(() => step(state, { type: 'message', hub: 1, message: hello() }))).to.equal('PROTOCOL_VIOLATION')
  })

  it('reads from where the peer stands, sends that, and then pushes new frames from memory', () => {
    const state = machine([headOf(0, 5)])
    const [load] = loads(connect(state, 1, headOf(0, 3)))
    expect(load).to.deep.include({ hub: 1, log: logOf(0), from: 4 })
    const effects = step(state, { type: 'loaded', hub: 1, log: logOf(0), from: 4, frames: [frame(), frame()] })
    expect(sent(effects, 1)).to.have.length(1)
    expect(sent(durable(state, 0, 6), 1).map(({ t }) => t)).to.deep.equal(['frames'])
  })

  it('reads no second time what is not there, until its log reaches further', () => {
    const state = machine([headOf(0, 5)])
    expect(loads(connect(state, 1, headOf(0, 3)))).to.have.length(1)
    expect(step(state, { type: 'loaded', hub: 1, log: logOf(0), from: 4, frames: [] })).to.deep.equal([])
    expect(loads(step(state, { type: 'collected' }))).to.deep.equal([])
    const [load] = loads(durable(state, 0, 6))
    expect(load).to.deep.include({ hub: 1, log: logOf(0), from: 4 })
    const effects = step(state, { type: 'loaded', hub: 1, log: logOf(0), from: 4, frames: [frame(), frame(), frame()] })
    expect(sent(effects, 1)).to.have.length(1)
  })

  it('knows how much peers have that is not here, without what may not be accepted', () => {
    const state = createSyncState({ network: 'net', me: 0, heads: [headOf(0, 5), headOf(1, 2)], limitOf: ({ hub }) => hub === 2 ? 4 : Number.POSITIVE_INFINITY })
    expect(framesMissing(state)).to.equal(0)
    connect(state, 1, headOf(0, 3), headOf(1, 10), headOf(2, 9))
    connect(state, 2, headOf(1, 7), headOf(2, 9))
    expect(framesMissing(state)).to.equal(8 + 4)
    step(state, { type: 'durable', head: headOf(1, 10), frames: [] })
    expect(framesMissing(state)).to.equal(4)
    step(state, { type: 'disconnected', hub: 1 })
    step(state, { type: 'disconnected', hub: 2 })
    expect(framesMissing(state)).to.equal(0)
  })

  it('stops at the in-flight bound and goes on after the acknowledgement', () => {
    const state = machine([], 250)
    connect(state, 1)
    expect(sent(durable(state, 0, 1), 1)).to.have.length(1)
    expect(sent(durable(state, 0, 2), 1)).to.have.length(1)
    expect(sent(durable(state, 0, 3), 1)).to.have.length(1)
    expect(durable(state, 0, 4)).to.deep.equal([])
    const [load] = loads(step(state, { type: 'message', hub: 1, message: { t: 'ack', log: logOf(0), no: 2 } }))
    expect(load).to.deep.include({ from: 4 })
    expect(peersHave(state, logOf(0))).to.equal(2)
  })

  it('sends nothing while the stream is full and only the newest acknowledgement after it', () => {
    const state = machine()
    connect(state, 1)
    step(state, { type: 'blocked', hub: 1 })
    for (const no of [1, 2, 3]) expect(durable(state, 1, no)).to.deep.equal([])
    expect(durable(state, 0, 1)).to.deep.equal([])
    const effects = step(state, { type: 'drained', hub: 1 })
    expect(sent(effects, 1)).to.deep.equal([{ t: 'ack', log: logOf(1), no: 3 }])
    expect(loads(effects)).to.have.length(1)
  })

  it('acknowledges frames to their author at once, and to the third hub from time to time, so each knows what the other has', () => {
    const state = machine()
    connect(state, 1)
    connect(state, 2)
    for (const no of [1, 2]) {
      const effects = durable(state, 1, no)
      expect(sent(effects, 1)).to.deep.equal([{ t: 'ack', log: logOf(1), no }])
      expect(sent(effects, 2)).to.deep.equal([])
    }
    const effects = step(state, { type: 'collected' })
    expect(sent(effects, 2)).to.deep.equal([{ t: 'ack', log: logOf(1), no: 2 }])
    expect(sent(effects, 1)).to.deep.equal([])
    expect(step(state, { type: 'collected' })).to.deep.equal([])
  })

  it('tells the third hub at once what it has of an author that is gone', () => {
    const state = machine()
    connect(state, 1)
    connect(state, 2)
    durable(state, 1, 1)
    expect(sent(step(state, { type: 'disconnected', hub: 1 }), 2)).to.deep.equal([{ t: 'ack', log: logOf(1), no: 1 }])
    expect(sent(durable(state, 1, 2), 2)).to.deep.equal([{ t: 'ack', log: logOf(1), no: 2 }])
  })

  it("asks a peer for an absent author's frames, and not while the author is there to push", () => {
    const absent = machine([headOf(2, 3)])
    expect(wants(connect(absent, 1, headOf(2, 7)), 1)).to.deep.equal([{ t: 'want', log: logOf(2), from: 4, bytesMax: 1024 * 1024 }])

    const present = machine([headOf(2, 3)])
    connect(present, 2, headOf(2, 7))
    expect(wants(connect(present, 1, headOf(2, 7)), 1)).to.deep.equal([])
    expect(wants(step(present, { type: 'disconnected', hub: 2 }), 1)).to.have.length(1)
  })

  it('tells a peer what came between its own hello and that of the peer', () => {
    const state = machine()
    connect(state, 2)
    step(state, { type: 'connected', hub: 1 })
    expect(sent(durable(state, 2, 3), 1)).to.deep.equal([])
    const effects = [...step(state, { type: 'message', hub: 1, message: hello() }), ...step(state, { type: 'collected' })]
    expect(sent(effects, 1)).to.deep.equal([{ t: 'ack', log: logOf(2), no: 3 }])
  })

  it('asks on until it has what the peer has, one question at a time', () => {
    const state = machine()
    connect(state, 1, headOf(2, 7))
    expect(wants(step(state, { type: 'message', hub: 1, message: { t: 'ack', log: logOf(2), no: 8 } }), 1)).to.deep.equal([])
    expect(wants(step(state, { type: 'accepted', hub: 1, log: logOf(2), no: 5, gap: false, limited: false }), 1)).to.deep.equal([{ t: 'want', log: logOf(2), from: 6, bytesMax: 1024 * 1024 }])
    expect(wants(step(state, { type: 'accepted', hub: 1, log: logOf(2), no: 8, gap: false, limited: false }), 1)).to.deep.equal([])
  })

  it('asks for its own lost frames', () => {
    const state = machine([headOf(0, 2)])
    expect(wants(connect(state, 1, headOf(0, 5)), 1)).to.have.length(1)
    expect(ownLogsBehind(state)).to.deep.equal([logOf(0)])
    step(state, { type: 'accepted', hub: 1, log: logOf(0), no: 5, gap: false, limited: false })
    expect(ownLogsBehind(state)).to.deep.equal([])
  })

  it('has lost nothing that stands behind the end of a sealed log, though a peer still has it', () => {
    const limits = new Map<string, number>()
    const state = createSyncState({ network: 'net', me: 0, heads: [headOf(0, 5)], limitOf: (log) => limits.get(`${log.hub}/${log.epoch}`) ?? Number.POSITIVE_INFINITY })
    connect(state, 1, headOf(0, 5))
    step(state, { type: 'message', hub: 1, message: { t: 'ack', log: logOf(0), no: 5 } })
    limits.set(`0/${logOf(0).epoch}`, 3)
    step(state, { type: 'truncated', log: logOf(0), head: headOf(0, 3) })
    expect(ownLogsBehind(state)).to.deep.equal([])
    limits.set(`0/${logOf(0).epoch}`, 4)
    expect(ownLogsBehind(state), 'of what counts it has').to.deep.equal([logOf(0)])
  })

  it('asks again where a gap came, and only once', () => {
    const state = machine()
    connect(state, 1, headOf(1, 3))
    expect(wants(step(state, { type: 'accepted', hub: 1, log: logOf(1), no: 1, gap: true, limited: false }), 1)).to.deep.equal([{ t: 'want', log: logOf(1), from: 2, bytesMax: 1024 * 1024 }])
    expect(wants(step(state, { type: 'accepted', hub: 1, log: logOf(1), no: 1, gap: true, limited: false }), 1)).to.deep.equal([])
  })

  it('serves what was asked, up to the bytes asked for', () => {
    const state = machine([headOf(2, 9)])
    connect(state, 1, headOf(2, 3))
    const [load] = loads(step(state, { type: 'message', hub: 1, message: { t: 'want', log: logOf(2), from: 4, bytesMax: 150 } }))
    expect(load).to.deep.include({ log: logOf(2), from: 4, bytesMax: 150 })
    const effects = step(state, { type: 'loaded', hub: 1, log: logOf(2), from: 4, frames: [frame(), frame()] })
    expect(sent(effects, 1)).to.have.length(1)
    expect(loads(effects), 'nothing beyond the question').to.deep.equal([])
  })

  it('does not send what the peer got elsewhere meanwhile, and forgets it as in flight', () => {
    const state = machine([headOf(0, 5)], 1_000)
    connect(state, 1, headOf(0, 1))
    step(state, { type: 'message', hub: 1, message: { t: 'ack', log: logOf(0), no: 5 } })
    expect(sent(step(state, { type: 'loaded', hub: 1, log: logOf(0), from: 2, frames: [frame(), frame()] }), 1)).to.deep.equal([])
    expect(sent(durable(state, 0, 6), 1)).to.have.length(1)
  })

  it('acknowledges again what it had already, or it would stay in flight at the sender', () => {
    const state = machine([headOf(1, 4)])
    connect(state, 1, headOf(1, 4))
    expect(sent(step(state, { type: 'accepted', hub: 1, log: logOf(1), no: 4, gap: false, limited: false }), 1).map(({ t }) => t)).to.deep.equal(['ack'])
  })

  it('cuts a long catch-up into messages of at most 1 MiB and 256 frames', () => {
    const state = machine([headOf(0, 400)], 10 ** 9)
    connect(state, 1)
    const many = step(state, { type: 'loaded', hub: 1, log: logOf(0), from: 1, frames: Array.from({ length: 300 }, () => frame(10)) })
    expect(sent(many, 1).map((message) => message.t === 'frames' ? message.frames.length : 0)).to.deep.equal([256, 44])
    const large = step(state, { type: 'loaded', hub: 1, log: logOf(0), from: 301, frames: Array.from({ length: 5 }, () => frame(250_000)) })
    expect(sent(large, 1).map((message) => message.t === 'frames' ? message.frames.length : 0)).to.deep.equal([4, 1])
  })

  it('drops what was read for a position that is no longer the right one', () => {
    const state = machine([headOf(0, 9)])
    connect(state, 1, headOf(0, 5))
    step(state, { type: 'message', hub: 1, message: { t: 'want', log: logOf(0), from: 8, bytesMax: 1 } })
    const effects = step(state, { type: 'loaded', hub: 1, log: logOf(0), from: 6, frames: [frame()] })
    expect(sent(effects, 1)).to.deep.equal([])
    expect(loads(effects)[0]).to.deep.include({ from: 8 })
  })

  it('sends a frame again that the peer has had, beside what it pushes', () => {
    const state = machine([headOf(0, 9)])
    connect(state, 1, headOf(0, 9))
    const effects = step(state, { type: 'message', hub: 1, message: { t: 'want', log: logOf(0), from: 3, bytesMax: 1 } })
    expect(loads(effects)).to.deep.equal([{ type: 'load', hub: 1, log: logOf(0), from: 3, bytesMax: 1, framesMax: 256, once: true }])
    const again = step(state, { type: 'loaded', hub: 1, log: logOf(0), from: 3, frames: [frame()], once: true })
    expect(sent(again, 1).map(({ t }) => t)).to.deep.equal(['frames'])
    expect(sent(durable(state, 0, 10), 1).map(({ t }) => t), 'the push goes on').to.deep.equal(['frames'])
  })

  it('stops reading for a peer what cannot be read, instead of trying for ever', () => {
    const state = machine([headOf(0, 5)])
    expect(loads(connect(state, 1, headOf(0, 3)))).to.have.length(1)
    expect(step(state, { type: 'unreadable', hub: 1, log: logOf(0), from: 4 })).to.deep.equal([])
  })

  it('asks for nothing beyond the limit of a log, and for what it dropped once the limit is gone', () => {
    let limit = 3
    const state = createSyncState({ network: 'net', me: 0, heads: [headOf(2, 3)], limitOf: () => limit })
    connect(state, 2, headOf(2, 3))
    expect(wants(connect(state, 1, headOf(2, 7)), 1)).to.deep.equal([])
    expect(wants(step(state, { type: 'accepted', hub: 2, log: logOf(2), no: 3, gap: false, limited: true }), 2)).to.deep.equal([])
    limit = 5
    expect(wants(step(state, { type: 'limits' }), 1)).to.deep.equal([{ t: 'want', log: logOf(2), from: 4, bytesMax: 1024 * 1024 }])
    step(state, { type: 'accepted', hub: 1, log: logOf(2), no: 5, gap: false, limited: true })
    limit = Number.POSITIVE_INFINITY
    // Its author, which says nowhere how far it is; the third hub dropped out of it would be asked by what it said.
    expect(wants(step(state, { type: 'limits' }), 2)).to.deep.equal([{ t: 'want', log: logOf(2), from: 6, bytesMax: 1024 * 1024 }])
  })

  it('asks the author for what it dropped also where it had dropped the same from another hub since, which is gone', () => {
    let limit = 3
    const state = createSyncState({ network: 'net', me: 0, heads: [headOf(2, 3)], limitOf: () => limit })
    connect(state, 2, headOf(2, 3))
    connect(state, 1, headOf(2, 7))
    for (const hub of [2, 1]) step(state, { type: 'accepted', hub, log: logOf(2), no: 3, gap: false, limited: true })
    step(state, { type: 'disconnected', hub: 1 })
    limit = Number.POSITIVE_INFINITY
    expect(wants(step(state, { type: 'limits' }), 2)).to.deep.equal([{ t: 'want', log: logOf(2), from: 4, bytesMax: 1024 * 1024 }])
  })

  it('forgets what it sent of a log that was cut, so that the rest goes on', () => {
    const state = machine([], 250)
    connect(state, 1)
    for (const no of [1, 2, 3]) durable(state, 0, no)
    expect(state.peers.get(1)!.inFlightBytes).to.equal(300)
    step(state, { type: 'truncated', log: logOf(0), head: headOf(0, 1) })
    expect(state.peers.get(1)!.inFlightBytes).to.equal(100)
    expect(state.heads.get('0/0')!.no).to.equal(1)
  })

  it('asks for no log that has two histories', () => {
    const state = machine()
    step(state, { type: 'forked', log: logOf(2) })
    expect(wants(connect(state, 1, headOf(2, 7)), 1)).to.deep.equal([])
  })

  it('starts anew after a lost connection', () => {
    const state = machine([], 250)
    connect(state, 1)
    for (const no of [1, 2, 3]) durable(state, 0, no)
    step(state, { type: 'disconnected', hub: 1 })
    const [load] = loads(connect(state, 1, headOf(0, 1)))
    expect(load).to.deep.include({ from: 2 })
  })

  it('acknowledges nothing to an author while it must not, and all of it once it may; what is there it tells others', () => {
    let may = false
    const state = createSyncState({ network: 'net', me: 0, heads: [headOf(1, 3)], mayAck: (author) => author !== 1 || may })
    expect(sent(connect(state, 1), 1)).to.deep.equal([hello()])
    expect(sent(connect(state, 2), 2)).to.deep.equal([hello(headOf(1, 3))])
    const effects = durable(state, 1, 4)
    expect(sent(effects, 1)).to.deep.equal([])
    expect(sent(effects, 2)).to.deep.equal([])
    expect(sent(step(state, { type: 'collected' }), 2)).to.deep.equal([{ t: 'ack', log: logOf(1), no: 4 }])
    may = true
    expect(sent(step(state, { type: 'heard' }), 1)).to.deep.equal([{ t: 'ack', log: logOf(1), no: 4 }])
    expect(sent(durable(state, 1, 5), 1)).to.deep.equal([{ t: 'ack', log: logOf(1), no: 5 }])
  })

  it('acknowledges nothing beyond the end of a log, though more of it is stored', () => {
    let limit = Number.POSITIVE_INFINITY
    let may = false
    const state = createSyncState({ network: 'net', me: 0, heads: [headOf(1, 27)], mayAck: () => may, limitOf: () => limit })
    connect(state, 1)
    // It hears of the seal and of the rest at once.
    limit = 11
    may = true
    expect(sent(step(state, { type: 'heard' }), 1)).to.deep.equal([{ t: 'ack', log: logOf(1), no: 11 }])
    expect(sent(connect(state, 1), 1)[0]).to.deep.equal(hello())
  })
})
