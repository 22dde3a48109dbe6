import { expect } from 'chai'
import type { Channel } from '../../../../node/net/channel.ts'
import { createChannelPool } from '../../../../node/net/channel-pool.ts'
import { createLocalChannels } from '../../../../node/net/local-channel.ts'
import { TriforceError } from '../../../../protocol/errors.ts'
import { codeOf } from '../../../support/code-of.ts'
import { fakeHost } from '../../../support/fake-host.ts'

function poolOf(idlePerPeerMax = 2) {
  const host = fakeHost()
  const far: Channel[] = []
  host.onOpen = (peer) => {
    const [near, other] = createLocalChannels(peer)
    far.push(other)
    return Promise.resolve(near)
  }
  return { host, far, pool: createChannelPool({ host }, { protocol: '/x', idlePerPeerMax }) }
}

describe('node/net/channel-pool', () => {
  it('lends a channel again after a clean end, to the same peer only', async () => {
    const { pool } = poolOf()
    const first = await pool.lease('a')
    pool.giveBack(first)
    expect(await pool.lease('b')).to.not.equal(first)
    expect(await pool.lease('a')).to.equal(first)
    expect(await pool.lease('a')).to.not.equal(first)
  })

  it('never lends one that was discarded or has ended while it waited', async () => {
    const { pool, far } = poolOf()
    const first = await pool.lease('a')
    pool.discard(first, new TriforceError('HOST_SILENT'))
    expect(first.closed.aborted).to.equal(true)
    const second = await pool.lease('a')
    pool.giveBack(second)
    far[1]!.close()
    expect(await pool.lease('a')).to.not.equal(second)
  })

  it('aborts a channel on which more came than was asked for', async () => {
    const { pool, far } = poolOf()
    const channel = await pool.lease('a')
    far[0]!.send(Uint8Array.of(1))
    pool.giveBack(channel)
    expect((channel.closed.reason as TriforceError).code).to.equal('PROTOCOL_VIOLATION')
    expect(await pool.lease('a')).to.not.equal(channel)
  })

  it('keeps no more than idlePerPeerMax', async () => {
    const { pool } = poolOf(2)
    const leased = [await pool.lease('a'), await pool.lease('a'), await pool.lease('a')]
    for (const channel of leased) pool.giveBack(channel)
    expect(leased.map((channel) => channel.closed.aborted)).to.deep.equal([false, false, true])
  })

  it('forgets the channels of a peer that is gone, and closes all at the end', async () => {
    const { pool, host } = poolOf()
    const first = await pool.lease('a')
    pool.giveBack(first)
    host.disconnect('a')
    const second = await pool.lease('a')
    expect(second).to.not.equal(first)
    pool.giveBack(second)
    pool.close()
    expect(second.closed.aborted).to.equal(true)
  })

  it('passes on why a channel cannot be opened', async () => {
    const { pool, host } = poolOf()
    host.onOpen = () => Promise.reject(new TriforceError('HOST_LOST'))
    expect(await codeOf(pool.lease('a'))).to.equal('HOST_LOST')
  })
})
