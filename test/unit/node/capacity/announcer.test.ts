import { expect } from 'chai'
import { createAnnouncer, type CapacityNow } from '../../../../node/capacity/announcer.ts'
import { TriforceError } from '../../../../protocol/errors.ts'
import { CAPACITY_BEAT_MS, CAPACITY_BYTES_MAX, CAPACITY_GPUS_MAX, CAPACITY_MODELS_MAX, CAPACITY_VALID_MS } from '../../../../protocol/limits.ts'
import { readAnnouncement, type Capacity } from '../../../../protocol/messages/capacity.ts'
import type { Signer } from '../../../../protocol/ports.ts'
import { aModel } from '../../../support/completions.ts'
import { fakeClock, settled } from '../../../support/fake-clock.ts'
import { fakeHost } from '../../../support/fake-host.ts'
import { testKey } from '../../../support/federation.ts'
import { quietLog } from '../../../support/quiet-log.ts'
import { fixedRandom } from '../../../support/seeded-random.ts'

function setUp(options: { now?: Partial<CapacityNow>; pause?: () => Capacity['pause']; jitter?: number; measure?: () => CapacityNow; signer?: Signer } = {}) {
  const clock = fakeClock()
  const host = fakeHost()
  const own: Capacity[] = []
  const { signer = testKey().signer } = options
  const peer = signer.publicKey
  const announcer = createAnnouncer({ host, signer, clock, random: fixedRandom(options.jitter ?? 0.5), log: quietLog() }, {
    topic: 't',
    measure: options.measure ?? (() => ({ peer, name: 'n', mode: 'contributor', gpus: [], slots: { total: 1, busy: 0, queued: 0 }, models: [aModel()], ...options.now })),
    onAnnounced: (capacity) => own.push(capacity),
    ...(options.pause === undefined ? {} : { pause: options.pause }),
  })
  const sent = () => host.published.map(readAnnouncement)
  async function pass(ms: number): Promise<void> {
    clock.advance(ms)
    await settled()
  }
  return { clock, host, own, announcer, sent, pass }
}

describe('node/capacity/announcer', () => {
  it('makes one message of a burst of changes', async () => {
    const { announcer, sent, pass } = setUp()
    announcer.start()
    for (let n = 0; n < 50; n += 1) announcer.changed()
    await pass(1_000)
    expect(sent()).to.have.length(1)
    announcer.changed()
    await pass(1_000)
    expect(sent()).to.have.length(2)
  })

  it('says at once that the machine is paused, why and until when, and that it lends again', async () => {
    let pause: Capacity['pause']
    const { announcer, sent, pass } = setUp({ pause: () => pause })
    announcer.start()
    await pass(1_000)
    pause = { why: 'schedule', until: 1_900_000_000_000 }
    announcer.changedNow()
    await pass(0)
    pause = undefined
    announcer.changed()
    announcer.changedNow()
    await pass(1_000)
    expect(sent().map(({ draining, pause: said }) => [draining, said])).to.deep.equal([[false, undefined], [true, { why: 'schedule', until: 1_900_000_000_000 }], [false, undefined]])
  })

  it('repeats it every CAPACITY_BEAT_MS, a fifth earlier or later', async () => {
    for (const [jitter, beatMs] of [[0, CAPACITY_BEAT_MS * 0.8], [0.5, CAPACITY_BEAT_MS], [0.999_999, CAPACITY_BEAT_MS * 1.2]] as const) {
      const { announcer, sent, pass } = setUp({ jitter })
      announcer.start()
      await pass(beatMs - 1)
      expect(sent(), `jitter ${jitter}`).to.have.length(1)
      await pass(1)
      expect(sent(), `jitter ${jitter}`).to.have.length(2)
      await pass(beatMs + 1)
      expect(sent(), `jitter ${jitter}`).to.have.length(3)
    }
  })

  it('numbers its messages upwards and gives them a time to live', async () => {
    const { announcer, clock, sent, pass } = setUp()
    announcer.start()
    await pass(40_000)
    const seqs = sent().map((one) => one.seq)
    expect(seqs.length).to.be.at.least(4)
    for (let n = 1; n < seqs.length; n += 1) expect(seqs[n]).to.be.greaterThan(seqs[n - 1]!)
    expect(seqs[0]).to.be.at.least(clock.now() - 40_000)
    expect(sent()[0]!.validUntil - sent()[0]!.sentAt).to.equal(CAPACITY_VALID_MS)
  })

  it('speaks up when a hub subscribes, and tells the node itself what was said', async () => {
    const { announcer, host, own, sent, pass } = setUp()
    host.subscribed()
    await pass(1_000)
    expect(sent(), 'before start').to.have.length(0)
    announcer.start()
    await pass(1_000)
    host.subscribed()
    await pass(1_000)
    expect(sent()).to.have.length(2)
    expect(own.map((one) => one.seq)).to.deep.equal(sent().map((one) => one.seq))
  })

  it('drops models from the end until the message fits', async () => {
    const models = Array.from({ length: 40 }, (_, n) => aModel({ id: `${'m'.repeat(120)}${n}`, capabilities: ['chat', 'json', 'tools', 'vision', 'embedding', 'reasoning', 'continue'] }))
    const { announcer, host, own, sent, pass } = setUp({ now: { models } })
    announcer.start()
    await pass(1_000)
    expect(host.published[0]!.byteLength).to.be.at.most(CAPACITY_BYTES_MAX)
    const kept = sent()[0]!.models.map((model) => model.id)
    expect(kept.length).to.be.within(10, CAPACITY_MODELS_MAX)
    expect(kept).to.deep.equal(models.slice(0, kept.length).map((model) => model.id))
    expect(own[0]!.models).to.have.length(kept.length)
  })

  it('leaves out a model that would make hubs refuse the whole message, and what is over a limit', async () => {
    const odd = [aModel({ id: 'with space' }), aModel({ tokensPerSecond: Number.NaN }), aModel({ digest: 'short' })]
    const gpus = Array.from({ length: CAPACITY_GPUS_MAX + 3 }, () => ({ name: 'g', vramBytes: 1, vramFreeBytes: 1 }))
    const { announcer, sent, pass } = setUp({ now: { models: [...odd, aModel({ id: 'good' })], gpus } })
    announcer.start()
    await pass(1_000)
    expect(sent()[0]!.models.map((model) => model.id)).to.deep.equal(['good'])
    expect(sent()[0]!.gpus).to.have.length(CAPACITY_GPUS_MAX)
  })

  it('lives on where nobody listens or the measuring fails', async () => {
    let isBroken = true
    const { signer } = testKey()
    const { announcer, host, sent, pass } = setUp({
      signer,
      measure: () => {
        if (isBroken) throw new Error('driver is gone')
        return { peer: signer.publicKey, name: 'n', mode: 'contributor', gpus: [], slots: { total: 1, busy: 0, queued: 0 }, models: [] }
      },
    })
    host.onPublish = () => Promise.reject(new TriforceError('NO_HUB'))
    announcer.start()
    await pass(1_000)
    isBroken = false
    await pass(2 * CAPACITY_BEAT_MS)
    expect(sent().length).to.be.at.least(1)
  })

  it('says that it leaves, at once, and then nothing more', async () => {
    const { announcer, host, sent, pass } = setUp()
    announcer.start()
    await pass(1_000)
    announcer.changed()
    await announcer.leave()
    expect(sent().map((one) => one.draining)).to.deep.equal([false, true])
    announcer.changed()
    host.subscribed()
    await pass(60_000)
    expect(sent()).to.have.length(2)
  })

  it('ends with stop, also where a change was waiting', async () => {
    const { announcer, sent, pass } = setUp()
    announcer.start()
    announcer.stop()
    announcer.changed()
    await pass(60_000)
    expect(sent()).to.have.length(0)
  })
})
