import { expect } from 'chai'
import { createState, nameOf, type LedgerState } from '../../../../ledger/fold/state.ts'
import { emptyTail, type CheckedFrame, type LogTail } from '../../../../ledger/frame.ts'
import type { HubEffect, HubEvent, HubMessage } from '../../../../ledger/hub/events.ts'
import { decodeSealRow, forkProofOf, sealRowKey, signPromise, signSeal, type LogEnd } from '../../../../ledger/hub/seal-documents.ts'
import { finalOf, createCase } from '../../../../ledger/hub/seal-case.ts'
import { createSeal } from '../../../../ledger/hub/seal.ts'
import { createHub } from '../../../../ledger/hub/step.ts'
import { ISLAND_RELEASE_MS } from '../../../../ledger/rules.ts'
import { sha256 } from '../../../../protocol/crypto.ts'
import type { LogId } from '../../../../protocol/messages/ledger.ts'
import { testKey } from '../../../support/federation.ts'
import { grantOf, logBuilder } from '../../../support/ledger-frames.ts'
import { testWorld } from '../../../support/ledger-world.ts'

const world = testWorld()
const { network } = world.federation
const hubKeys = world.hubs.map(({ signer }) => signer.publicKey)
const signerOf = (hub: number) => world.hubs[hub]!.signer
const hashOf = (name: string) => sha256(Buffer.from(name))
const gone: LogId = { hub: 2, epoch: 1 }
const START = 1_800_000_000_000
/** Default times of the machine. */
const UNREACHABLE_MS = 60_000
const PROMISE_MS = 10_000

const endAt = (no: number, name = `frame ${no}`): LogEnd => ({ log: gone, no, hash: hashOf(name) })

function addLog(state: LedgerState, log: LogId, frame: number): void {
  state.logs.set(nameOf(log), {
    log, frame, tsMs: START, seen: { frame: 0, vector: [] }, shares: [], status: { is: 'live' }, forked: false,
  })
}

/** One hub (0: the successor of hub 2, or 1) with the log of hub 2 up to frame 5. Everything that it wants to keep is kept at once unless `hold` is set. */
function machineOf(me: number, { rows = new Map<string, Uint8Array>(), connected = [1 - me], hold = false, nowMs = START } = {}) {
  const tails = new Map<string, LogEnd & Partial<LogTail>>([[nameOf(gone), endAt(5)]])
  const machine = createSeal({
    network, hubKeys, signer: signerOf(me), ends: () => [...tails.values()].map(({ log, no }) => ({ log, no })),
    tailOf: (log) => {
      const end = tails.get(nameOf(log))
      return { ...emptyTail(log), ...end }
    },
  }, { rows, nowMs })
  const state = createState(network, hubKeys)
  for (const hub of [0, 1, 2]) addLog(state, { hub, epoch: 1 }, 5)
  const hub = createHub({ network, me, state, machines: [] })
  hub.writing = { hub: me, epoch: 1 }
  for (const peer of connected) hub.connected.add(peer)
  const kept: { key: string; value: Uint8Array }[] = []
  const self = {
    hub, state, tails, nowMs,
    step: (event: HubEvent): readonly HubEffect[] => {
      const effects: HubEffect[] = []
      for (const effect of machine.step(hub, event, self.nowMs)) {
        effects.push(effect)
        if (effect.type !== 'persist') continue
        kept.push(effect)
        if (!hold) effects.push(...self.step({ type: 'persisted', key: effect.key }))
      }
      return effects
    },
    tick: (afterMs: number) => {
      self.nowMs += afterMs
      return self.step({ type: 'tick' })
    },
    from: (peer: number, message: HubMessage) => self.step({ type: 'message', hub: peer, message }),
    limit: () => machine.limitOf(state, gone),
    end: () => machine.endOf(gone),
    mayAck: (author: number) => machine.mayAck(author),
    unheard: () => machine.unheard,
    rows: () => new Map(kept.map(({ key, value }) => [key, value])),
  }
  return self
}

const sent = (effects: readonly HubEffect[]) => effects.flatMap((effect) => effect.type === 'send' ? [`${effect.message.t} to ${effect.hub}`] : [])
const warned = (effects: readonly HubEffect[]) => effects.flatMap((effect) => effect.type === 'warn' ? [effect.text] : [])
const appended = (effects: readonly HubEffect[]) => effects.filter(({ type }) => type === 'append').length

const promiseOf = (hub: number, end: LogEnd): HubMessage => ({ t: 'sealPromise', document: signPromise(signerOf(hub), network, end) })
const certificateOf = (hubs: readonly number[], end: LogEnd): HubMessage =>
  ({ t: 'sealCertificate', log: gone, signatures: hubs.map((hub) => signSeal(signerOf(hub), network, end)) })

describe('ledger/hub: the seal machine', () => {
  const refusals: Readonly<Record<string, { readonly prepare: (machine: ReturnType<typeof machineOf>) => void; readonly log?: LogId; readonly because: string }>> = {
    "the hub's own log": { prepare: () => {}, log: { hub: 0, epoch: 1 }, because: "this hub's own log" },
    'a hub that does not write': { prepare: ({ hub }) => { hub.writing = undefined }, because: 'does not write' },
    'a log that is sealed': {
      prepare: ({ state }) => {
        state.logs.get('2/1')!.status = { is: 'sealed', frame: 5, successor: '0/1', sealedDay: 0, returned: true, at: { tsMs: 0, hub: 0, epoch: 1, frame: 1, seq: 0 } }
      },
      because: 'sealed already',
    },
    'another seal that is outstanding': { prepare: ({ state }) => { state.outstandingSeal = '1/1' }, because: 'not back yet' },
  }
  for (const [name, { prepare, log = gone, because }] of Object.entries(refusals)) {
    it(`promises nothing for ${name}`, () => {
      const machine = machineOf(0)
      prepare(machine)
      const effects = machine.step({ type: 'seal', log })
      expect(warned(effects)).to.have.length(1)
      expect(warned(effects)[0]).to.include(because)
      expect(machine.rows().size).to.equal(0)
      expect(sent(effects)).to.deep.equal([])
    })
  }

  it('promises for a connected hub only where its own admin wants it too', () => {
    const machine = machineOf(0, { connected: [1, 2] })
    expect(sent(machine.from(1, { t: 'sealAsk', log: gone, forced: true }))).to.deep.equal([])
    expect(machine.limit()).to.equal(Number.POSITIVE_INFINITY)
    machine.step({ type: 'seal', log: gone })
    expect(machine.limit()).to.equal(5)
  })

  it('sends a promise only when it is on the disk, and takes no frames beyond it at once', () => {
    const machine = machineOf(0, { hold: true })
    const effects = machine.step({ type: 'seal', log: gone })
    expect(effects.map(({ type }) => type)).to.deep.equal(['persist'])
    expect(machine.limit()).to.equal(5)
    expect(sent(machine.tick(1_000))).to.deep.equal([])
    expect(sent(machine.step({ type: 'persisted', key: sealRowKey(gone) }))).to.deep.equal(['sealAsk to 1', 'sealPromise to 1'])
    expect(decodeSealRow(machine.rows().get(sealRowKey(gone))!).promise).to.not.equal(undefined)
    const again = machineOf(0, { rows: machine.rows() })
    expect(again.limit(), 'after a restart').to.equal(5)
  })

  it('signs the longer promise once it has its frames, and two signatures are a certificate', () => {
    const machine = machineOf(0)
    machine.step({ type: 'seal', log: gone })
    expect(sent(machine.from(1, promiseOf(1, endAt(8))))).to.not.include('sealCertificate to 1')
    expect(machine.limit()).to.equal(8)
    machine.tails.set('2/1', endAt(8))
    machine.state.logs.get('2/1')!.frame = 8
    expect(sent(machine.step({ type: 'folded', log: gone, frame: 8, tsMs: START, entries: [] }))).to.include('sealCertificate to 1')
    expect(machine.end()).to.equal(undefined)
    const effects = machine.from(1, certificateOf([1], endAt(8)))
    expect(machine.end()).to.deep.include({ no: 8 })
    expect(appended(effects), 'the successor logs the seal').to.equal(1)
    expect(machineOf(0, { rows: machine.rows() }).end(), 'after a restart').to.deep.include({ no: 8 })
  })

  it("takes nobody else's word: foreign, doubled and mismatching signatures seal nothing", () => {
    const machine = machineOf(0)
    const messages: readonly HubMessage[] = [
      certificateOf([1, 2], endAt(5)), certificateOf([1, 1], endAt(5)), certificateOf([2], endAt(5)), promiseOf(2, endAt(9)),
      { t: 'sealCertificate', log: gone, signatures: [signSeal(signerOf(0), network, endAt(5)), signSeal(signerOf(1), network, endAt(6))] },
    ]
    for (const message of messages) machine.from(1, message)
    expect(machine.end()).to.equal(undefined)
    expect(machine.limit()).to.equal(Number.POSITIVE_INFINITY)
  })

  it('seals by itself only where the hub is away for a minute, the other one is there, and somebody is short', () => {
    const short: HubEvent = { type: 'short', account: 'aa', unit: 1, min: 1n, want: 1n }
    const cases: readonly (readonly [string, number, boolean, readonly number[], boolean])[] = [
      ['too soon', UNREACHABLE_MS - 1, true, [1], false], ['nobody is short', UNREACHABLE_MS, false, [1], false],
      ['the hub is there', UNREACHABLE_MS, true, [1, 2], false], ['the other one is away', UNREACHABLE_MS, true, [], false],
      ['all is given', UNREACHABLE_MS, true, [1], true],
    ]
    for (const [name, afterMs, isShort, connected, seals] of cases) {
      const machine = machineOf(0, { connected: [...connected] })
      machine.nowMs += afterMs - 1
      if (isShort) machine.step(short)
      machine.tick(1)
      expect(machine.limit(), name).to.equal(seals ? 5 : Number.POSITIVE_INFINITY)
    }
  })

  it('takes a promise back that nobody answers, but never once it has signed', () => {
    const machine = machineOf(0)
    machine.step({ type: 'seal', log: gone })
    machine.tick(PROMISE_MS - 1)
    expect(machine.limit()).to.equal(5)
    machine.tick(1)
    expect(machine.limit()).to.equal(Number.POSITIVE_INFINITY)
    machine.step({ type: 'seal', log: gone })
    machine.from(1, promiseOf(1, endAt(5)))
    machine.tick(UNREACHABLE_MS * 10)
    expect(machine.limit()).to.equal(5)
  })

  it('takes a promise back in time also where the clock was set back meanwhile', () => {
    const machine = machineOf(0)
    machine.step({ type: 'seal', log: gone })
    machine.tick(-3_600_000)
    expect(machine.limit()).to.equal(5)
    machine.tick(PROMISE_MS)
    expect(machine.limit()).to.equal(Number.POSITIVE_INFINITY)
  })

  it('takes a promise back in time also where the clock was set back while the hub was down', () => {
    const before = machineOf(0, { nowMs: START + 3_600_000 })
    before.step({ type: 'seal', log: gone })
    const machine = machineOf(0, { rows: before.rows() })
    expect(machine.limit()).to.equal(5)
    machine.tick(PROMISE_MS)
    expect(machine.limit()).to.equal(Number.POSITIVE_INFINITY)
  })

  it('seals one log at a time', () => {
    const machine = machineOf(0, { connected: [] })
    machine.step({ type: 'seal', log: gone })
    expect(warned(machine.step({ type: 'seal', log: { hub: 1, epoch: 1 } }))[0]).to.include('not back yet')
    expect([...machine.rows().keys()]).to.deep.equal([sealRowKey(gone)])
  })

  it('waits a day for the lost end, then asks for the release and what follows it', () => {
    const machine = machineOf(0)
    machine.from(1, certificateOf([0, 1], endAt(5)))
    machine.state.logs.get('2/1')!.status = {
      is: 'sealed', frame: 5, successor: '0/1', sealedDay: 0, returned: false, at: { tsMs: START, hub: 0, epoch: 1, frame: 6, seq: 9 },
    }
    machine.state.outstandingSeal = '2/1'
    expect(appended(machine.tick(ISLAND_RELEASE_MS - 1))).to.equal(0)
    expect(appended(machine.tick(1))).to.be.greaterThan(0)
  })

  it("of two histories takes the successor's, and the longer promise of one", () => {
    const promised = (me: number, own: LogEnd) => ({ ...createCase(gone), promise: { document: signPromise(signerOf(me), network, own), end: own, forced: true, atMs: 0 } })
    const long = endAt(9, 'one')
    const brief = endAt(7, 'two')
    for (const [own, peer] of [[long, brief], [brief, long]] as const) {
      expect(finalOf({ ...promised(0, own), peerPromise: peer }, { me: 0, forked: false }), 'one history').to.equal(long)
      expect(finalOf({ ...promised(0, own), peerPromise: peer, differs: true }, { me: 0, forked: true }), 'the successor keeps its own').to.equal(own)
      const signed = { ...peer, signatures: [] }
      expect(finalOf({ ...promised(1, own), peerPromise: peer, peerSignature: signed }, { me: 1, forked: true }), 'the other one follows').to.equal(signed)
    }
    expect(finalOf({ ...promised(1, long), peerPromise: brief }, { me: 1, forked: true }), 'and waits for it').to.equal(undefined)
    expect(finalOf({ ...promised(1, endAt(7, 'b')), peerPromise: endAt(7, 'a') }, { me: 1, forked: false })).to.deep.equal(endAt(7, 'a'))
  })

  it('keeps of its own history what it took up to the other promise before it knew of two: its own log rests on that', () => {
    const key = testKey().signer
    const [ours, theirs] = [logBuilder(world, 2, { logKey: key }), logBuilder(world, 2, { logKey: key })]
    const [mine, others] = [ours, theirs].map((log, which) => Array.from({ length: 9 }, (_, at) => log.next([grantOf(at < 6 ? `both ${at}` : `${which} ${at}`)])))
    const machine = machineOf(0)
    machine.tails.set(nameOf(gone), mine![6]!.tail)
    machine.step({ type: 'seal', log: gone })
    const end = ({ header, hash }: CheckedFrame): LogEnd => ({ log: gone, no: header.no, hash })
    machine.from(1, promiseOf(1, end(others![8]!)))
    expect(machine.limit()).to.equal(9)
    machine.tails.set(nameOf(gone), mine![7]!.tail)
    const [one, other] = [mine![6]!, others![6]!].map(({ headerBytes, signature }) => ({ header: headerBytes, signature }))
    const effects = machine.step({ type: 'forked', ...forkProofOf(gone, 7, one!, other!), from: 1 })
    expect(effects.filter(({ type }) => type === 'truncate')).to.deep.equal([])
    expect(machine.limit()).to.equal(8)
    expect(machine.from(1, certificateOf([1], end(mine![7]!))).flatMap((effect) => effect.type === 'warn' ? [effect.text] : [])).to.deep.equal(['the log 2/1 is sealed at frame 8'])
  })

  it('promises for a connected hub that asks itself: it has given the log up, though its newer one may not be in the state', () => {
    const machine = machineOf(0, { connected: [1, 2] })
    machine.from(1, { t: 'sealAsk', log: gone, forced: false })
    expect(machine.limit()).to.equal(Number.POSITIVE_INFINITY)
    machine.from(2, { t: 'sealAsk', log: gone, forced: false })
    expect(machine.limit()).to.equal(5)
    machine.tick(1_000)
    expect(machine.limit(), 'and does not take it back').to.equal(5)
  })

  it('tells of two histories whoever connects, its hub too, until the log is sealed', () => {
    const key = testKey().signer
    const [one, other] = [1, 2].map((which) => logBuilder(world, 2, { logKey: key }).next([grantOf(`${which}`)])).map((frame) => ({ frame, header: frame.headerBytes, signature: frame.signature }))
    const machine = machineOf(0, { connected: [] })
    machine.tails.set(nameOf(gone), one!.frame.tail)
    expect(sent(machine.step({ type: 'forked', ...forkProofOf(gone, one!.frame.header.no, one!, other!), from: 2 }))).to.deep.equal([])
    for (const peer of [1, 2]) {
      machine.hub.connected.add(peer)
      expect(sent(machine.step({ type: 'connected', hub: peer }))).to.deep.equal([`fork to ${peer}`])
    }
    machine.state.logs.get(nameOf(gone))!.status = { is: 'sealed', frame: 1, successor: '0/1', sealedDay: 0, returned: true, at: { tsMs: START, hub: 0, epoch: 1, frame: 1, seq: 1 } }
    expect(sent(machine.step({ type: 'connected', hub: 2 }))).to.deep.equal([])
  })

  describe('a hub that lost its disk', () => {
    const recalled = (question: number, ...ends: { readonly log: LogId; readonly no: number }[]): HubMessage => ({ t: 'recalled', question, ends })
    const questionOf = (effects: readonly HubEffect[]) => effects.flatMap((effect) => effect.type === 'send' && effect.message.t === 'recall' ? [effect.message.question] : [])[0]!

    it('acknowledges nothing to an author, and promises no seal, before the others have told what they hold', () => {
      const machine = machineOf(0)
      expect([machine.mayAck(1), machine.mayAck(2), machine.unheard()]).to.deep.equal([true, true, 0])
      const effects = machine.step({ type: 'forgot' })
      expect(sent(effects)).to.deep.equal(['recall to 1'])
      expect([machine.mayAck(1), machine.mayAck(2), machine.unheard()]).to.deep.equal([false, false, 2])
      expect(warned(machine.step({ type: 'seal', log: gone }))[0]).to.include('not both others have told')

      machine.from(1, recalled(questionOf(effects) - 1))
      expect(machine.mayAck(2), 'an answer to an older question').to.equal(false)
      expect(machine.from(1, recalled(questionOf(effects))).some(({ type }) => type === 'heard')).to.equal(true)
      // Hub 1 has told of seals of hub 2's log; of those of hub 1's log only hub 2 knows.
      expect([machine.mayAck(2), machine.mayAck(1), machine.unheard()]).to.deep.equal([true, false, 1])
      expect(warned(machine.step({ type: 'seal', log: gone }))[0]).to.include('not both others have told')

      machine.hub.connected.add(2)
      const asked = machine.step({ type: 'connected', hub: 2 })
      expect(sent(asked)).to.deep.equal(['recall to 2'])
      // It counts as heard when what it has of its own log is here.
      machine.from(2, recalled(questionOf(asked), { log: gone, no: 6 }))
      expect([machine.mayAck(1), machine.unheard()]).to.deep.equal([true, 1])
      machine.tails.set(nameOf(gone), endAt(6))
      expect(machine.tick(250).some(({ type }) => type === 'heard')).to.equal(true)
      expect(machine.unheard()).to.equal(0)
    })

    it('remembers over a restart whom it has not heard, and asks again where no answer comes', () => {
      const machine = machineOf(0)
      machine.step({ type: 'forgot' })
      const again = machineOf(0, { rows: machine.rows() })
      expect([again.mayAck(2), again.unheard()]).to.deep.equal([false, 2])
      expect(sent(again.step({ type: 'connected', hub: 1 }))).to.deep.equal(['recall to 1'])
      expect(sent(again.tick(4_999))).to.deep.equal([])
      expect(sent(again.tick(1))).to.deep.equal(['recall to 1'])
    })

    it('is told open seals before the answer, and what it had promised and signed seals nothing any more', () => {
      const machine = machineOf(1)
      machine.step({ type: 'seal', log: gone })
      // Hub 0 has promised more than hub 1 has, and signed that.
      machine.from(0, promiseOf(0, endAt(8)))
      machine.from(0, certificateOf([0], endAt(8)))
      const answer = machine.from(0, { t: 'recall', question: 7 })
      expect(sent(answer)).to.deep.equal(['sealAsk to 0', 'sealPromise to 0', 'recalled to 0'])
      expect(answer.at(-1)).to.deep.include({ message: { t: 'recalled', question: 7, ends: [] } })
      machine.tails.set(nameOf(gone), endAt(8))
      machine.step({ type: 'folded', log: gone, frame: 8, tsMs: START, entries: [] })
      expect(machine.end(), 'the former signature').to.equal(undefined)
      machine.from(0, promiseOf(0, endAt(8)))
      machine.from(0, certificateOf([0], endAt(8)))
      expect(machine.end()?.no).to.equal(8)
    })

    it('answers nobody before what is being written is on the disk', () => {
      const machine = machineOf(1, { hold: true })
      machine.step({ type: 'seal', log: gone })
      machine.from(0, { t: 'recall', question: 1 })
      expect(sent(machine.step({ type: 'persisted', key: 'recall' }))).to.deep.equal([])
      machine.step({ type: 'persisted', key: sealRowKey(gone) })
      expect(sent(machine.step({ type: 'persisted', key: 'recall' }))).to.deep.equal(['sealAsk to 0', 'sealPromise to 0', 'recalled to 0'])
    })

    it('promises again what the other one has signed: nobody signs without its promise', () => {
      const machine = machineOf(0, { connected: [1, 2] })
      const effects = machine.step({ type: 'forgot' })
      const question = questionOf(effects)
      machine.from(1, certificateOf([1], endAt(5)))
      machine.from(1, recalled(question))
      machine.from(2, recalled(question))
      expect([machine.unheard(), machine.limit()]).to.deep.equal([0, Number.POSITIVE_INFINITY])
      // It is told again every few seconds; the log's hub is connected.
      machine.from(1, certificateOf([1], endAt(5)))
      expect(machine.limit()).to.equal(5)
    })
  })
})
