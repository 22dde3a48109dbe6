import { expect } from 'chai'
import { startHeartbeat } from '../../../../node/net/heartbeat.ts'
import type { Requests } from '../../../../node/net/requests.ts'
import { TriforceError } from '../../../../protocol/errors.ts'
import { HEARTBEAT_MS, HEARTBEAT_STRIKES } from '../../../../protocol/limits.ts'
import { fakeClock, settled } from '../../../support/fake-clock.ts'
import { fakeHost } from '../../../support/fake-host.ts'
import { quietLog } from '../../../support/quiet-log.ts'
import { fixedRandom } from '../../../support/seeded-random.ts'

function setUp(watch: (peer: string) => boolean = () => true) {
  const clock = fakeClock()
  const host = fakeHost()
  let silent = false
  let hold: Promise<void> | undefined
  const asked: string[] = []
  const requests: Requests = {
    async ask(peer) {
      asked.push(peer)
      await hold
      if (silent) throw new TriforceError('HOST_SILENT')
      return { t: 'pong' }
    },
  }
  const heartbeat = startHeartbeat({ host, requests, clock, random: fixedRandom(0.5), log: quietLog() }, watch)
  async function beat(): Promise<void> {
    clock.advance(HEARTBEAT_MS)
    await settled()
  }
  return { host, clock, asked, heartbeat, beat, setSilent: (value: boolean) => { silent = value }, setHold: (value: Promise<void> | undefined) => { hold = value } }
}

describe('node/net/heartbeat', () => {
  it('cuts the connection at the third miss in a row, not at the second', async () => {
    const { host, beat, setSilent } = setUp()
    host.connect('a')
    setSilent(true)
    for (let n = 1; n < HEARTBEAT_STRIKES; n += 1) await beat()
    expect(host.dropped).to.deep.equal([])
    await beat()
    expect(host.dropped).to.deep.equal(['a'])
  })

  it('starts to count anew after one good answer', async () => {
    const { host, beat, setSilent } = setUp()
    host.connect('a')
    setSilent(true)
    await beat()
    await beat()
    setSilent(false)
    await beat()
    setSilent(true)
    await beat()
    await beat()
    expect(host.dropped).to.deep.equal([])
    await beat()
    expect(host.dropped).to.deep.equal(['a'])
  })

  it('pings only whom it watches, and nobody after a disconnect or a stop', async () => {
    const { host, beat, asked, heartbeat } = setUp((peer) => peer !== 'b')
    host.connect('a')
    host.connect('b')
    await beat()
    expect(asked).to.deep.equal(['a'])
    host.disconnect('a')
    await beat()
    expect(asked).to.deep.equal(['a'])
    host.connect('a')
    heartbeat.stop()
    await beat()
    expect(asked).to.deep.equal(['a'])
  })

  it('keeps one beat a peer where the connection flaps while a ping is under way', async () => {
    const { host, beat, asked, setHold } = setUp()
    const { promise, resolve } = Promise.withResolvers<void>()
    host.connect('a')
    setHold(promise)
    await beat()
    host.disconnect('a')
    host.connect('a')
    setHold(undefined)
    resolve()
    await settled()
    asked.length = 0
    await beat()
    await beat()
    expect(asked).to.deep.equal(['a', 'a'])
  })

  it('does not count a miss against a peer that is gone', async () => {
    const { host, beat, setSilent, setHold } = setUp()
    const { promise, resolve } = Promise.withResolvers<void>()
    host.connect('a')
    setSilent(true)
    setHold(promise)
    await beat()
    host.disconnect('a')
    setHold(undefined)
    resolve()
    await settled()
    host.connect('a')
    await beat()
    await beat()
    expect(host.dropped).to.deep.equal([])
  })
})
