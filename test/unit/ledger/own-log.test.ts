import { expect } from 'chai'
import { createOwnEnds } from '../../../ledger/own-ends.ts'
import { createOwnLog } from '../../../ledger/own-log.ts'
import type { LogTail } from '../../../ledger/frame.ts'
import type { Anchor, EpochKeyFile, HubFiles, Marker } from '../../../ledger/store/hub-files.ts'
import { toTriforceError, type TriforceError } from '../../../protocol/errors.ts'
import type { LogId } from '../../../protocol/messages/ledger.ts'
import { LOG_EPOCHS_MAX } from '../../../protocol/messages/ledger-fields.ts'
import { fakeClock, settled } from '../../support/fake-clock.ts'
import { testKey } from '../../support/federation.ts'
import { cryptoRandom, testWorld } from '../../support/ledger-world.ts'
import { logBuilder } from '../../support/ledger-frames.ts'
import { quietLog } from '../../support/quiet-log.ts'

const world = testWorld()
const started = 1_800_000_000
/** An epoch is named after the second of its opening: 3 s later where a hub has waited for peers. */
const startedAlone = started + 3

/** A hub with a log of three frames, its files as given; `opened` collects the epochs that were opened. */
async function ownLogWorld({ anchorNo = 3, keyOf = 'log', frames = 3, ownTailsMax = 1, markerNo = 'none', damagedAt, ...options }: {
  anchorNo?: number | 'none' | 'foreign'; keyOf?: 'log' | 'other' | 'none'; frames?: number; ownTailsMax?: number
  markerNo?: number | 'none' | 'foreign'; damagedAt?: number; mayBeginAlone?: boolean
} = {}) {
  const clock = fakeClock(started * 1_000)
  const key = testKey()
  const builder = logBuilder(world, 0, { epoch: 5, logKey: key.signer })
  const tails: LogTail[] = []
  for (let no = 1; no <= frames; no += 1) tails.push(builder.next().tail)
  const endAt = (no: number): Anchor => ({ epoch: 5, no, hash: tails[no - 1]?.hash ?? new Uint8Array(32), promises: 0 })
  const files: { anchor: Anchor | undefined; key: EpochKeyFile | undefined; marker: Marker | undefined } = {
    marker: markerNo === 'none' ? undefined : { boot: 'b', ...markerNo === 'foreign' ? { epoch: 5, no: 2, hash: new Uint8Array(32), promises: 0 } : endAt(markerNo) },
    anchor: anchorNo === 'none' ? undefined : anchorNo === 'foreign' ? { epoch: 5, no: 2, hash: new Uint8Array(32), promises: 0 } : endAt(anchorNo),
    key: keyOf === 'none' ? undefined : { epoch: 5, seed: keyOf === 'log' ? key.seed : testKey().seed },
  }
  const hubFiles: HubFiles = {
    readMarker: () => Promise.resolve(files.marker), writeMarker: (end) => { files.marker = { boot: 'b', ...end }; return Promise.resolve() },
    readAnchor: () => Promise.resolve(files.anchor), writeAnchor: (anchor) => { files.anchor = anchor; return Promise.resolve() },
    readEpochKey: () => Promise.resolve(files.key), writeEpochKey: (file) => { files.key = file; return Promise.resolve() },
    close: () => {},
  }
  const peers = { connected: 0, compared: 0, heard: 2 }
  const behind: LogId[] = []
  const opened: number[] = []
  const failures: TriforceError[] = []
  const seals = new Map<number, { readonly no: number }>()
  const forks = new Set<number>()
  const folded = { all: true }
  const damage = damagedAt === undefined ? {} : { damage: { log: { hub: 0, epoch: 5 }, end: endAt(frames) } }
  const all = [...tails]
  if (damagedAt !== undefined) tails.length = damagedAt - 1
  const own = await createOwnLog({
    clock, random: cryptoRandom, log: quietLog(), signer: world.hubs[0]!.signer, files: hubFiles, ends: await createOwnEnds({ clock, log: quietLog(), files: hubFiles }), ownTails: () => tails.slice(-ownTailsMax),
    hashOf: (_, no) => Promise.resolve(tails[no - 1]?.hash), behind: () => behind, sealedAt: ({ epoch }) => seals.get(epoch), isForked: ({ epoch }) => forks.has(epoch), isFolded: () => folded.all, peers: () => peers, idle: () => Promise.resolve(),
    onLost: () => { peers.heard = 0 },
    openLog: ({ log }) => opened.push(log.epoch), pauseLog: () => opened.push(-1),
  }, { network: world.federation.network, hub: 0, ...damage, ...options }, { onOpen: () => {}, onFailed: (error) => { failures.push(toTriforceError(error)) } })
  const meet = async (count = 1) => {
    peers.connected = count
    peers.compared = count
    if (peers.heard < 2) peers.heard = count
    own.review()
    await settled()
  }
  const waitAlone = async () => {
    clock.advance(3_000)
    await settled()
  }
  return { own, clock, files, peers, behind, opened, failures, seals, forks, folded, all, meet, waitAlone, tails }
}

describe('ledger/own-log', () => {
  it('goes on with a whole log when a peer has nothing newer', async () => {
    const { own, opened, meet } = await ownLogWorld()
    expect(own.writable).to.equal(false)
    await meet()
    expect([own.writable, opened]).to.deep.equal([true, [5]])
  })

  it('goes on alone after 3 s where the marker names the end of its log, and not one millisecond earlier', async () => {
    const { own, clock, opened } = await ownLogWorld({ anchorNo: 1, markerNo: 3 })
    clock.advance(2_999)
    await settled()
    expect(own.writable).to.equal(false)
    clock.advance(1)
    await settled()
    expect([own.writable, opened]).to.deep.equal([true, [5]])
  })

  it('goes on alone where the process ended before the marker was written for the last frame', async () => {
    const { own, waitAlone } = await ownLogWorld({ markerNo: 2 })
    await waitAlone()
    expect(own.writable).to.equal(true)
  })

  it('never goes on alone without a marker: the machine was restarted; with a peer it does', async () => {
    const { own, opened, meet, waitAlone } = await ownLogWorld()
    await waitAlone()
    expect(own.writable).to.equal(false)
    await meet()
    expect([own.writable, opened]).to.deep.equal([true, [5]])
  })

  it('waits on while a peer is connected that has not said where it stands', async () => {
    const { own, peers, waitAlone } = await ownLogWorld({ markerNo: 3 })
    peers.connected = 1
    await waitAlone()
    expect(own.writable).to.equal(false)
  })

  it('waits until everything that a peer has of its log is here, and then opens a new epoch', async () => {
    const { own, behind, opened, meet } = await ownLogWorld()
    behind.push({ hub: 0, epoch: 5 })
    await meet()
    expect(own.writable).to.equal(false)
    behind.pop()
    await meet()
    expect(own.writable, 'the other peer may have more').to.equal(false)
    await meet(2)
    expect([own.writable, opened]).to.deep.equal([true, [started]])
  })

  for (const [what, options] of [['ends before its anchor', { anchorNo: 4 }], ['has another history than its anchor', { anchorNo: 'foreign' }], ['has no anchor', { anchorNo: 'none' }],
    ['ends before the marker of this run of the machine, though not before its anchor', { anchorNo: 3, markerNo: 4 }],
    ['has another history than its marker', { markerNo: 'foreign' }]] as const) {
    it(`never continues a log that ${what}, and opens a new one only with both peers`, async () => {
      const { own, opened, meet, waitAlone, files } = await ownLogWorld(options)
      await waitAlone()
      expect(own.writable).to.equal(false)
      await meet()
      expect(own.writable).to.equal(false)
      await meet(2)
      expect([own.writable, opened]).to.deep.equal([true, [startedAlone]])
      expect([files.key!.epoch, files.anchor!.epoch, files.anchor!.no]).to.deep.equal([startedAlone, startedAlone, 0])
    })
  }

  it('opens a new epoch where the key is gone or is another, also alone', async () => {
    for (const keyOf of ['none', 'other'] as const) {
      const { opened, waitAlone } = await ownLogWorld({ keyOf, markerNo: 3 })
      await waitAlone()
      expect(opened).to.deep.equal([startedAlone])
    }
  })

  it('starts a first log where there is nothing, but not without both peers: the folder may be a lost one', async () => {
    const { own, opened, waitAlone, meet } = await ownLogWorld({ frames: 0, anchorNo: 'none', keyOf: 'none' })
    await waitAlone()
    expect(own.writable).to.equal(false)
    await meet(1)
    expect(own.writable).to.equal(false)
    await meet(2)
    expect(opened).to.deep.equal([startedAlone])
  })

  it('starts a first log alone where that was allowed', async () => {
    const { opened, waitAlone } = await ownLogWorld({ frames: 0, anchorNo: 'none', keyOf: 'none', mayBeginAlone: true })
    await waitAlone()
    expect(opened).to.deep.equal([startedAlone])
  })

  it('continues its log where only a frame in the middle was broken, once that frame is back', async () => {
    const { own, opened, behind, all, tails, meet } = await ownLogWorld({ damagedAt: 2, markerNo: 3 })
    behind.push({ hub: 0, epoch: 5 })
    await meet()
    expect(own.writable).to.equal(false)
    tails.push(...all.slice(1))
    behind.pop()
    await meet()
    expect([own.writable, opened]).to.deep.equal([true, [5]])
  })

  it('opens a new epoch where the peers give back less, or more, than was stored behind the broken frame', async () => {
    for (const back of [2, 4]) {
      const { opened, all, tails, meet } = await ownLogWorld({ damagedAt: 2, frames: 4 })
      // With 4 stored frames a whole log ends at 4; here the peers have `back`.
      tails.push(...all.slice(1, back === 4 ? 3 : back))
      await meet(2)
      await meet(2)
      expect(opened).to.deep.equal([started])
    }
  })

  it('never goes on alone with a broken frame', async () => {
    const { own, waitAlone } = await ownLogWorld({ damagedAt: 2, anchorNo: 1, markerNo: 1 })
    await waitAlone()
    expect(own.writable).to.equal(false)
  })

  it('closes a log that was sealed, waits until it is cut there, and opens a new one that names it', async () => {
    const { own, seals, opened, tails, meet } = await ownLogWorld()
    await meet()
    seals.set(5, { no: 2 })
    own.review()
    await settled()
    expect([own.writable, opened]).to.deep.equal([false, [5, -1]])
    tails.pop()
    await meet()
    expect([own.writable, opened]).to.deep.equal([true, [5, -1, started]])
  })

  it('opens a new log at the start where its log is sealed', async () => {
    const { seals, opened, meet } = await ownLogWorld()
    seals.set(5, { no: 3 })
    await meet()
    expect(opened).to.deep.equal([started])
  })

  it('fails where a fork of its log is proved, and goes on in a new log once that is sealed', async () => {
    const forked = await ownLogWorld()
    await forked.meet()
    forked.forks.add(5)
    forked.own.review()
    expect([forked.own.writable, forked.failures.map(({ code }) => code)]).to.deep.equal([false, ['LOG_FORKED']])
    const sealed = await ownLogWorld()
    sealed.forks.add(5)
    sealed.seals.set(5, { no: 3 })
    await sealed.meet()
    expect([sealed.opened, sealed.failures]).to.deep.equal([[started], []])
  })

  it('waits 10 s for the seal of a forked log before it fails: frames with it may be on their way', async () => {
    const { own, clock, forks, seals, opened, failures, meet } = await ownLogWorld()
    forks.add(5)
    await meet()
    expect([own.writable, failures]).to.deep.equal([false, []])
    clock.advance(9_999)
    expect(failures).to.deep.equal([])
    seals.set(5, { no: 3 })
    own.review()
    await settled()
    expect([own.writable, opened]).to.deep.equal([true, [started + 9]])
    const unsealed = await ownLogWorld()
    unsealed.forks.add(5)
    await unsealed.meet()
    unsealed.clock.advance(10_000)
    expect(unsealed.failures.map(({ code }) => code)).to.deep.equal(['LOG_FORKED'])
  })

  it('does not write before all of its log is in the state', async () => {
    const { own, folded, meet } = await ownLogWorld()
    folded.all = false
    await meet()
    expect(own.writable).to.equal(false)
    folded.all = true
    await meet()
    expect(own.writable).to.equal(true)
  })

  it('writes the marker behind every frame', async () => {
    const { own, files, meet, tails } = await ownLogWorld()
    await meet()
    for (const tail of tails) own.advanced(tail)
    await settled()
    expect(files.marker).to.deep.include({ epoch: 5, no: 3, hash: tails[2]!.hash })
  })

  it('closes the log when a peer turns up with more of it, and opens a new one when that is here', async () => {
    const { own, behind, opened, meet, clock } = await ownLogWorld()
    await meet()
    behind.push({ hub: 0, epoch: 5 })
    own.review()
    expect([own.writable, opened]).to.deep.equal([false, [5, -1]])
    clock.advance(1_000)
    behind.pop()
    await meet(2)
    expect(opened).to.deep.equal([5, -1, started + 1])
  })

  it('fails when it is overtaken a second time: another process writes with its key', async () => {
    const { own, behind, opened, failures, meet } = await ownLogWorld()
    await meet()
    behind.push({ hub: 0, epoch: 5 })
    own.review()
    behind.pop()
    await meet(2)
    behind.push({ hub: 0, epoch: started + 1 })
    own.review()
    behind.pop()
    await meet(2)
    expect([own.writable, opened]).to.deep.equal([false, [5, -1, started, -1]])
    expect(failures.map(({ code }) => code)).to.deep.equal(['LOG_FORKED'])
    expect(failures[0]!.message).to.include('its key is in use twice')
  })

  it('opens no more logs than the other hubs take', async () => {
    const { own, opened, failures, meet } = await ownLogWorld({ keyOf: 'none', frames: LOG_EPOCHS_MAX, ownTailsMax: LOG_EPOCHS_MAX })
    await meet(2)
    await meet(2)
    expect([own.writable, opened]).to.deep.equal([false, []])
    expect(failures.map(({ code }) => code)).to.deep.equal(['LOG_FORKED'])
  })

  it('lets the anchor follow the log at most 200 ms behind', async () => {
    const { own, clock, files, meet, tails } = await ownLogWorld({ anchorNo: 1 })
    await meet()
    own.advanced(tails[2]!)
    clock.advance(199)
    await settled()
    expect(files.anchor!.no).to.equal(1)
    clock.advance(1)
    await settled()
    expect(files.anchor!.no).to.equal(3)
  })

  it('never writes again once stopped', async () => {
    const { own, meet } = await ownLogWorld()
    own.stop()
    await meet()
    expect(own.writable).to.equal(false)
  })
})
