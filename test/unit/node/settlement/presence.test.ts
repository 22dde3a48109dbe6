import { expect } from 'chai'
import * as fc from 'fast-check'
import { devicesOf } from '../../../../node/capacity/devices.ts'
import { createPresenceTracker, presenceDefaults, startPresence, type PresenceTracker } from '../../../../node/settlement/presence.ts'
import type { PresenceFact } from '../../../../ledger/interface.ts'
import { CAPACITY_BEAT_MS, CAPACITY_VALID_MS } from '../../../../protocol/limits.ts'
import type { Capacity } from '../../../../protocol/messages/capacity.ts'
import { aCapacity } from '../../../support/completions.ts'
import { fakeClock } from '../../../support/fake-clock.ts'
import { fakeLedger } from '../../../support/fake-ledger.ts'
import { testKey } from '../../../support/federation.ts'
import { quietLog } from '../../../support/quiet-log.ts'

const key = testKey()
const boot = new Uint8Array(16).fill(1)
const GPU = { name: 'NVIDIA GeForce RTX 4090', vramBytes: 24 * 2 ** 30, vramFreeBytes: 0 }
const START = 1_800_000_000_000
const DEVICE_START = 700

/** What the contributor says `ms` after the start. */
function said(ms: number, part: Partial<Capacity> = {}): Capacity {
  return aCapacity({ peer: key.signer.publicKey, gpus: [GPU], clock: { boot, ms: DEVICE_START + ms }, ...part }, START + ms)
}

function hear(tracker: PresenceTracker, ms: number, part: Partial<Capacity> = {}): readonly PresenceFact[] {
  return tracker.announced(said(ms, part), START + ms)
}

/** Both intervals of each fact, from the start. */
function spans(facts: readonly PresenceFact[]): number[][] {
  return facts.map((fact) => [fact.deviceFromMs - DEVICE_START, fact.deviceToMs - DEVICE_START, fact.wallFromMs - START, fact.wallToMs - START])
}

describe('node/settlement/presence', () => {
  it('claims the time between the first and the last announcement, and tells it when the connection ends', () => {
    const tracker = createPresenceTracker()
    for (let beat = 0; beat <= 6; beat += 1) expect(hear(tracker, beat * CAPACITY_BEAT_MS)).to.deep.equal([])
    const facts = tracker.left(key.peerId)
    expect(spans(facts)).to.deep.equal([[0, 60_000, 0, 60_000]])
    expect(facts[0]).to.deep.include({ contributor: key.signer.publicKey, boot, devices: [{ device: GPU.name, name: GPU.name, vramBytes: GPU.vramBytes }] })
    expect([tracker.size, tracker.left(key.peerId), tracker.end()]).to.deep.equal([0, [], []])
  })

  it('tells of a long presence every few minutes, in parts that meet and never overlap', () => {
    const tracker = createPresenceTracker()
    const facts: PresenceFact[] = []
    for (let beat = 0; beat <= 100; beat += 1) facts.push(...hear(tracker, beat * CAPACITY_BEAT_MS))
    facts.push(...tracker.end())
    expect(spans(facts)).to.deep.equal([
      [0, 300_000, 0, 300_000], [300_000, 600_000, 300_000, 600_000], [600_000, 900_000, 600_000, 900_000], [900_000, 1_000_000, 900_000, 1_000_000],
    ])
  })

  it('bears a lost announcement, and ends the presence where it falls silent: silence is not claimed', () => {
    const tracker = createPresenceTracker()
    hear(tracker, 0)
    hear(tracker, CAPACITY_VALID_MS)
    expect(spans(hear(tracker, 2 * CAPACITY_VALID_MS + 1))).to.deep.equal([[0, CAPACITY_VALID_MS, 0, CAPACITY_VALID_MS]])
    hear(tracker, 2 * CAPACITY_VALID_MS + 5_000)
    expect(tracker.due(START + 3 * CAPACITY_VALID_MS)).to.deep.equal([])
    expect(spans(tracker.due(START + 4 * CAPACITY_VALID_MS))).to.deep.equal([[70_001, 75_000, 70_001, 75_000]])
    expect(tracker.size).to.equal(0)
  })

  it('counts no one who drains, offers nothing, only consumes or tells no clock', () => {
    for (const part of [{ draining: true }, { models: [] }, { mode: 'consumer' as const }, { clock: undefined }]) {
      const tracker = createPresenceTracker()
      for (let beat = 0; beat < 5; beat += 1) tracker.announced({ ...said(beat * 1_000), ...part }, START + beat * 1_000)
      expect([tracker.size, tracker.end()], JSON.stringify(part)).to.deep.equal([0, []])
    }
  })

  it('counts until it says that it leaves', () => {
    const tracker = createPresenceTracker()
    hear(tracker, 0)
    hear(tracker, 10_000)
    expect(spans(hear(tracker, 14_000, { draining: true }))).to.deep.equal([[0, 14_000, 0, 14_000]])
    expect(hear(tracker, 15_000, { draining: true })).to.deep.equal([])
  })

  it('parts presences of two boots, and of other hardware', () => {
    const tracker = createPresenceTracker()
    hear(tracker, 0)
    hear(tracker, 10_000)
    const restarted = { boot: new Uint8Array(16).fill(2), ms: 50 }
    expect(spans(hear(tracker, 20_000, { clock: restarted }))).to.deep.equal([[0, 10_000, 0, 10_000]])
    hear(tracker, 30_000, { clock: { ...restarted, ms: 10_050 } })
    const [second] = hear(tracker, 40_000, { clock: { ...restarted, ms: 20_050 }, gpus: [] })
    expect([second?.deviceFromMs, second?.deviceToMs, second?.wallFromMs, second?.wallToMs]).to.deep.equal([50, 20_050, START + 20_000, START + 40_000])
    hear(tracker, 50_000, { clock: { ...restarted, ms: 30_050 }, gpus: [] })
    expect(tracker.end().map((fact) => fact.devices.map(({ device }) => device))).to.deep.equal([['cpu']])
  })

  it('takes clocks that run backwards for a new beginning', () => {
    const device = createPresenceTracker()
    hear(device, 0, { clock: { boot, ms: 10_000 } })
    expect(device.announced(said(0, { clock: { boot, ms: 9_000 } }), START + 10_000)).to.deep.equal([])
    expect(device.end()).to.deep.equal([])
    const wall = createPresenceTracker()
    hear(wall, 0)
    wall.announced(said(10_000), START - 5_000)
    expect(wall.end()).to.deep.equal([])
  })

  it('follows a bounded number', () => {
    const tracker = createPresenceTracker({ contributorsMax: 2 })
    const peers = [testKey(), testKey(), testKey()]
    for (const peer of peers) for (const ms of [0, 1_000]) tracker.announced(said(ms, { peer: peer.signer.publicKey }), START + ms)
    expect(tracker.size).to.equal(2)
    expect(tracker.end()).to.have.length(2)
  })

  it('never claims more than the time between two announcements that were heard, whatever comes', () => {
    const event = fc.record({
      gap: fc.integer({ min: -2_000, max: 60_000 }), deviceGap: fc.integer({ min: -2_000, max: 60_000 }), draining: fc.boolean(), offers: fc.boolean(),
      reboot: fc.boolean(), cut: fc.boolean(), look: fc.boolean(),
    })
    fc.assert(fc.property(fc.array(event, { maxLength: 60 }), (events) => {
      const tracker = createPresenceTracker()
      const facts: PresenceFact[] = []
      let [wall, ms, boots] = [START, 100_000, 0]
      let [wallHeard, deviceHeard] = [0, 0]
      for (const { gap, deviceGap, draining, offers, reboot, cut, look } of events) {
        wall += gap
        ms += deviceGap
        if (reboot) boots += 1
        if (gap > 0 && gap <= CAPACITY_VALID_MS) wallHeard += gap
        if (deviceGap > 0) deviceHeard += deviceGap
        const clock = { boot: new Uint8Array(16).fill(boots), ms: Math.max(0, ms) }
        facts.push(...tracker.announced(said(0, { clock, draining, ...(offers ? {} : { models: [] }) }), wall))
        if (cut) facts.push(...tracker.left(key.peerId))
        if (look) facts.push(...tracker.due(wall))
      }
      facts.push(...tracker.end())
      for (const fact of facts) {
        expect(fact.deviceToMs).to.be.greaterThan(fact.deviceFromMs)
        expect(fact.wallToMs - fact.wallFromMs).to.be.within(1, presenceDefaults.tellMs + CAPACITY_VALID_MS)
      }
      expect(facts.reduce((sum, fact) => sum + fact.wallToMs - fact.wallFromMs, 0)).to.be.at.most(wallHeard)
      expect(facts.reduce((sum, fact) => sum + fact.deviceToMs - fact.deviceFromMs, 0)).to.be.at.most(deviceHeard)
    }))
  })

  it('listens to those that are connected to this hub, logs what is due, and the rest at its end', () => {
    const clock = fakeClock()
    const ledger = fakeLedger()
    const connected = new Set([key.peerId])
    const presence = startPresence({ ledger, clock, log: quietLog(), isConnected: (peer) => connected.has(peer) })
    const other = testKey()
    for (let beat = 0; beat <= 40; beat += 1) {
      for (const { signer } of [key, other]) presence.heard(aCapacity({ peer: signer.publicKey, clock: { boot, ms: Math.floor(clock.monotonicMs()) } }, clock.now()))
      clock.advance(CAPACITY_BEAT_MS)
    }
    expect(ledger.presences.map((fact) => fact.deviceToMs - fact.deviceFromMs)).to.deep.equal([300_000])
    presence.stop()
    expect(ledger.presences.map((fact) => fact.deviceToMs - fact.deviceFromMs)).to.deep.equal([300_000, 100_000])
    expect(ledger.presences.every((fact) => Buffer.compare(fact.contributor, key.signer.publicKey) === 0)).to.equal(true)
    expect(presence.devicesOf(other.signer.publicKey)).to.deep.equal([{ device: 'cpu', name: 'cpu', vramBytes: 0 }])
    expect(presence.devicesOf(testKey().signer.publicKey)).to.equal(undefined)
  })
})

describe('node/capacity/devices', () => {
  it('names equal GPUs apart, and the processor where there is none', () => {
    const names = (gpus: Parameters<typeof devicesOf>[0]) => devicesOf(gpus).map(({ device }) => device)
    expect(names([])).to.deep.equal(['cpu'])
    expect(names([GPU, { ...GPU, name: 'A100' }, GPU, GPU])).to.deep.equal([GPU.name, 'A100', `${GPU.name} #2`, `${GPU.name} #3`])
    expect(names([{ ...GPU, name: 'x'.repeat(256) }, { ...GPU, name: 'x'.repeat(256) }]).every((name) => name.length <= 256)).to.equal(true)
  })
})
