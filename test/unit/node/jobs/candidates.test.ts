import { expect } from 'chai'
import { findCandidates, needsOf } from '../../../../node/jobs/candidates.ts'
import type { Capacity } from '../../../../protocol/messages/capacity.ts'
import { aCapacity, aModel, aRequest } from '../../../support/completions.ts'

function find(rows: Readonly<Record<string, Partial<Capacity>>>, options: { connected?: readonly string[]; recorded?: Readonly<Record<string, readonly string[]>> } = {}) {
  return findCandidates({
    table: { fresh: () => Object.entries(rows).map(([peer, part]) => ({ peer, capacity: aCapacity({ peer: new Uint8Array(32), ...part }, 1), receivedAt: 0 })) },
    modelHosts: { find: () => Promise.resolve(Object.entries(options.recorded ?? {}).map(([peer, addresses]) => ({ peer, addresses }))) },
    isConnected: (peer) => (options.connected ?? []).includes(peer),
  }, 'tiny', ['chat', 'json'])
}

describe('node/jobs/candidates', () => {
  it('takes hosts that are connected, or that gave an address with their provider record', async () => {
    const { hosts, offers } = await find({ near: {}, far: {}, lost: {} }, { connected: ['near'], recorded: { far: ['/ip4/1.2.3.4/tcp/1/p2p/far'], gone: ['/x'] } })
    expect(hosts.map((host) => host.row.peer)).to.deep.equal(['near', 'far'])
    expect(hosts[1]!.addresses).to.deep.equal(['/ip4/1.2.3.4/tcp/1/p2p/far'])
    expect(offers).to.equal(3)
  })

  it('leaves out a host that leaves, lacks the model or cannot do what is needed, and counts the offers', async () => {
    const { hosts, offers } = await find({
      leaving: { draining: true }, other: { models: [aModel({ id: 'big' })] }, unable: { models: [aModel({ capabilities: ['chat'] })] }, good: {},
    }, { connected: ['leaving', 'other', 'unable', 'good'] })
    expect(hosts.map((host) => host.row.peer)).to.deep.equal(['good'])
    expect(offers).to.equal(3)
  })

  it('never takes a host from the DHT alone', async () => {
    expect(await find({}, { recorded: { stale: ['/ip4/1.2.3.4/tcp/1'] }, connected: ['stale'] })).to.deep.equal({ hosts: [], offers: 0 })
  })

  it('reads from the request what a host must be able to do', () => {
    expect(needsOf(aRequest())).to.deep.equal(['chat'])
    expect(needsOf(aRequest({ responseFormat: { type: 'json_object' }, continueLast: true }))).to.deep.equal(['chat', 'json', 'continue'])
  })
})
