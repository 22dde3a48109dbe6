import { expect } from 'chai'
import { createLiveness, livenessDefaults, type LivenessOptions } from '../../../../node/jobs/liveness.ts'
import { OWN_LATE_MS } from '../../../../node/jobs/silence-watch.ts'
import { fakeClock, settled } from '../../../support/fake-clock.ts'
import { quietLog } from '../../../support/quiet-log.ts'

/** Hosts answer at once, unless they stand in `frozen`; then nothing comes until the deadline. */
function setUp(options: Partial<LivenessOptions> = {}) {
  const clock = fakeClock()
  const frozen = new Set<string>()
  const connected = new Set<string>()
  const asked: string[] = []
  const liveness = createLiveness({
    clock, log: quietLog(), isConnected: (peer) => connected.has(peer),
    ping(peer, waitMsMax) {
      asked.push(peer)
      if (!frozen.has(peer)) return Promise.resolve()
      return new Promise((_, reject) => {
        clock.after(waitMsMax, () => reject(new Error('silent')))
      })
    },
  }, options)
  function lends(...peers: string[]): void {
    for (const peer of peers) {
      connected.add(peer)
      liveness.heard(peer)
    }
  }
  async function pass(ms: number): Promise<void> {
    for (let done = 0; done < ms; done += 100) {
      clock.advance(Math.min(100, ms - done))
      await settled()
    }
  }
  return { clock, frozen, connected, asked, liveness, lends, pass }
}

describe('node/jobs/liveness', function () {
  this.timeout(20_000)

  it('finds a frozen host within 5 s, and takes it back with its first word', async () => {
    const { frozen, liveness, lends, pass } = setUp()
    lends('a', 'b')
    await pass(1_700)
    frozen.add('a')
    await pass(5_000)
    expect([liveness.silent('a'), liveness.silent('b')]).to.deep.equal([true, false])
    await pass(30_000)
    expect(liveness.silent('a')).to.equal(true)
    frozen.delete('a')
    await pass(livenessDefaults.againMsMax + livenessDefaults.answerMsMax + livenessDefaults.lookMs)
    expect(liveness.silent('a')).to.equal(false)
    frozen.add('b')
    await pass(5_000)
    liveness.heard('b')
    expect(liveness.silent('b')).to.equal(false)
  })

  it('never takes a host for frozen that answers, however long it loads, and does not ask one that it hears', async () => {
    const { asked, liveness, lends, pass } = setUp()
    lends('loads')
    await pass(90_000)
    expect(liveness.silent('loads')).to.equal(false)
    expect(asked.length).to.be.within(30, 50)
    asked.length = 0
    for (let second = 0; second < 20; second += 1) {
      await pass(1_000)
      liveness.heard('loads')
    }
    expect(asked).to.deep.equal([])
  })

  it('has a host that was lost out at once, until it is connected again or forgotten', async () => {
    const { connected, liveness, lends, pass } = setUp()
    lends('a')
    connected.delete('a')
    liveness.left('a')
    expect(liveness.silent('a')).to.equal(true)
    // An announcement that was on its way, by another hub.
    liveness.heard('a')
    expect(liveness.silent('a')).to.equal(true)
    connected.add('a')
    expect(liveness.silent('a')).to.equal(false)
    connected.delete('a')
    liveness.left('a')
    await pass(livenessDefaults.goneMs + 1_000)
    expect(liveness.silent('a')).to.equal(false)
  })

  it('looks at once at a host that kept silent in a job, and counts it as silent meanwhile', async () => {
    const { asked, frozen, liveness, lends, pass } = setUp()
    lends('a', 'b')
    frozen.add('a')
    liveness.doubt('a')
    liveness.doubt('b')
    expect([asked, liveness.silent('a'), liveness.silent('b')]).to.deep.equal([['a', 'b'], true, true])
    await settled()
    expect([liveness.silent('a'), liveness.silent('b')]).to.deep.equal([true, false])
    await pass(10_000)
    expect(liveness.silent('a')).to.equal(true)
  })

  it('takes nobody\'s word for a death: it looks, and does not listen to who was wrong three times', async () => {
    const { asked, frozen, liveness, lends, pass } = setUp()
    lends('a')
    for (let n = 0; n < 5; n += 1) {
      liveness.reported('a', 'liar')
      expect(liveness.silent('a')).to.equal(false)
      await settled()
    }
    expect(asked).to.have.length(3)
    liveness.reported('never-heard-of', 'liar')
    expect(asked).to.have.length(3)
    frozen.add('a')
    liveness.reported('a', 'honest')
    await pass(livenessDefaults.answerMsMax)
    expect(liveness.silent('a')).to.equal(true)
  })

  it('does not blame a host for a deadline that passed while this process stood still', async () => {
    for (const [lateMs, silent] of [[0, true], [OWN_LATE_MS + 1, false]] as const) {
      const clock = fakeClock()
      const liveness = createLiveness({
        clock, log: quietLog(), isConnected: () => true,
        ping: (_, waitMsMax) => new Promise((_resolve, reject) => {
          clock.after(waitMsMax + lateMs, () => reject(new Error('silent')))
        }),
      })
      liveness.heard('a')
      liveness.reported('a', 'somebody')
      clock.advance(livenessDefaults.answerMsMax + lateMs)
      await settled()
      expect(liveness.silent('a')).to.equal(silent)
    }
  })

  it('asks no more hosts in one look than it may, and each in its turn', async () => {
    const { asked, lends, pass } = setUp({ pingsPerLook: 2, quietMs: 0, lookMs: 500 })
    lends('a', 'b', 'c')
    await pass(500)
    expect(asked).to.have.length(2)
    await pass(500)
    expect(new Set(asked)).to.deep.equal(new Set(['a', 'b', 'c']))
  })
})
