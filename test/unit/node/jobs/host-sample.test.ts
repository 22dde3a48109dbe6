/** Choices among many hosts: whatever is announced, never one that cannot do it, and one's own first. */
import { expect } from 'chai'
import * as fc from 'fast-check'
import { createCapacityTable } from '../../../../node/capacity/table.ts'
import type { HostOffer } from '../../../../node/jobs/candidates.ts'
import { planRoute, type PlanOrder } from '../../../../node/jobs/route-plan.ts'
import { CAPACITY_VALID_MS } from '../../../../protocol/limits.ts'
import { modelCapabilitySchema, type Capacity, type ModelCapability } from '../../../../protocol/messages/capacity.ts'
import { peerIdOf } from '../../../../protocol/peer-key.ts'
import { noClouds } from '../../../support/cloud-market.ts'
import { aCapacity, aModel } from '../../../support/completions.ts'
import { fakeClock } from '../../../support/fake-clock.ts'
import { testKey } from '../../../support/federation.ts'
import { seededRandom } from '../../../support/seeded-random.ts'

/** Making keys is slow, and any will do. */
const keys = Array.from({ length: 40 }, () => testKey().signer.publicKey)
const account = new Uint8Array(16)

interface HostPart {
  readonly isHub: boolean
  readonly draining: boolean
  readonly total: number
  readonly busy: number
  readonly capabilities: readonly ModelCapability[]
  readonly connected: boolean
  readonly own: boolean
  readonly isOld: boolean
  readonly cooling: boolean
}

const anyHost: fc.Arbitrary<HostPart> = fc.record({
  isHub: fc.boolean(), draining: fc.boolean(), total: fc.nat(4), busy: fc.nat(5), capabilities: fc.subarray<ModelCapability>(['chat', 'json', 'tools', 'vision']), connected: fc.boolean(),
  own: fc.boolean(), isOld: fc.boolean(), cooling: fc.boolean(),
})

function world(hosts: readonly HostPart[], seed: number) {
  const clock = fakeClock()
  const table = createCapacityTable({ clock }, { demoAllowed: true, isHub: () => true })
  const { unit } = seededRandom(seed)
  const of = new Map(hosts.map((host, index) => [peerIdOf(keys[index]!), host]))
  const say = (wanted: boolean) => hosts.forEach((host, index) => {
    if (host.isOld !== wanted) return
    const part: Partial<Capacity> & Pick<Capacity, 'peer'> = {
      peer: keys[index]!, mode: host.isHub ? 'hub' : 'contributor', draining: host.draining, slots: { total: host.total, busy: host.busy, queued: 0 },
      models: [aModel({ capabilities: [...host.capabilities] })],
    }
    table.put(aCapacity(part, clock.now()))
  })
  say(true)
  clock.advance(CAPACITY_VALID_MS)
  say(false)
  const plan = (part: Partial<PlanOrder> = {}) => planRoute({
    table, isSelf: () => false, isConnected: (peer) => of.get(peer)?.connected === true, clouds: noClouds, modelHosts: { find: () => Promise.resolve([]) },
    record: { load: () => 0, coolingDown: (peer) => of.get(peer)?.cooling === true }, privacyOf: () => ({ capacity }) => of.get(peerIdOf(capacity.peer))?.own === true ? 'own' : 'any',
    ownPeers: () => [...of].filter(([, { own }]) => own).map(([peer]) => peer),
  }, { account, model: 'tiny', needs: ['chat'], ...part }, unit)
  return { of, plan, table, clock }
}

const isAble = (host: HostPart, needs: readonly ModelCapability[]) => !host.isOld && !host.draining && host.connected && needs.every((need) => host.capabilities.includes(need))

describe('node/jobs: choices among announced hosts', () => {
  it('never a host that lacks a capability, has expired, leaves or cannot be reached; and one is found where there is one', async () => {
    await fc.assert(fc.asyncProperty(fc.array(anyHost, { maxLength: keys.length }), fc.subarray<ModelCapability>(['chat', 'json', 'tools', 'vision']), fc.integer(), async (hosts, needs, seed) => {
      const { of, plan } = world(hosts, seed)
      const { steps } = await plan({ needs })
      for (const { peer } of steps) expect(isAble(of.get(peer)!, needs)).to.equal(true)
      expect(new Set(steps.map(({ peer }) => peer)).size).to.equal(steps.length)
      expect(steps.length > 0).to.equal(hosts.some((host) => isAble(host, needs)))
    }))
  })

  it('the account\'s own machines first, while they have a free slot and have not just failed', async () => {
    await fc.assert(fc.asyncProperty(fc.array(anyHost, { maxLength: keys.length }), fc.integer(), async (hosts, seed) => {
      const { of, plan } = world(hosts, seed)
      const { steps } = await plan()
      const good = (host: HostPart) => isAble(host, ['chat']) && host.busy < host.total && !host.cooling
      const own = hosts.filter((host) => host.own && good(host)).length
      expect(steps.slice(0, own).every(({ peer }) => of.get(peer)!.own && good(of.get(peer)!))).to.equal(true)
    }))
  })

  it('a free host before a full one, whichever few are looked at', async () => {
    await fc.assert(fc.asyncProperty(fc.array(anyHost, { maxLength: keys.length }), fc.integer(), async (hosts, seed) => {
      const { of, plan } = world(hosts, seed)
      const { steps } = await plan({ wanted: 2 })
      const isFree = (host: HostPart) => host.busy < host.total && !host.cooling
      if (hosts.some((host) => isAble(host, ['chat']) && isFree(host) && !host.own)) {
        // Those that cooled down among the few may hide it; then no free one was among them.
        const first = of.get(steps[0]!.peer)!
        expect(isFree(first) || hosts.some((host) => host.cooling)).to.equal(true)
      }
    }))
  })

  it('says of all hosts why none may be asked', async () => {
    const base: HostPart = { isHub: false, draining: false, total: 2, busy: 0, capabilities: ['chat'], connected: true, own: false, isOld: false, cooling: false }
    const { plan } = world([{ ...base, draining: true }, { ...base, capabilities: ['json'] }, { ...base, connected: false }, { ...base, isOld: true }], 1)
    const { steps, leftOut, offers } = await plan()
    expect([steps, offers, leftOut.map(({ reason }) => reason).sort()]).to.deep.equal([[], 3, ['draining', 'incapable', 'unreachable']])
  })

  it('spreads jobs evenly over many equal hosts', async () => {
    const base: HostPart = { isHub: false, draining: false, total: 64, busy: 0, capabilities: ['chat'], connected: true, own: false, isOld: false, cooling: false }
    const { plan } = world(keys.map(() => base), 9)
    const got = new Map<string, number>()
    for (let n = 0; n < keys.length * 200; n += 1) {
      const [first] = (await plan()).steps as [HostOffer]
      got.set(first.peer, (got.get(first.peer) ?? 0) + 1)
    }
    // Nothing is announced in between, so this is the spread of blind choices: 200 each, give or take a third.
    for (const count of got.values()) expect(count).to.be.within(130, 270)
    expect(got.size).to.equal(keys.length)
  })

  it('keeps the index true to the rows, whatever is announced in which order', () => {
    const change = fc.record({ peer: fc.nat(7), models: fc.uniqueArray(fc.constantFrom('a', 'b', 'c'), { maxLength: 3 }), busy: fc.nat(3), draining: fc.boolean(), capabilities: fc.subarray([...modelCapabilitySchema.options], { maxLength: 3 }), forget: fc.boolean() })
    fc.assert(fc.property(fc.array(change, { maxLength: 60 }), (changes) => {
      const clock = fakeClock()
      const table = createCapacityTable({ clock }, { demoAllowed: true, rowsMax: 5 })
      for (const { peer, models, busy, draining, capabilities, forget } of changes) {
        clock.advance(1)
        if (forget) table.forget(peerIdOf(keys[peer]!))
        else table.put(aCapacity({ peer: keys[peer]!, draining, slots: { total: 2, busy, queued: 0 }, models: models.map((id) => aModel({ id, capabilities })) }, clock.now()))
      }
      for (const model of ['a', 'b', 'c']) {
        const indexed = [...table.groups(model)].flatMap((group) => group.hosts.map((host) => ({ group, host })))
        const rows = table.fresh().filter(({ capacity }) => capacity.models.some(({ id }) => id === model))
        expect(indexed.map(({ host }) => host.row.peer).sort()).to.deep.equal(rows.map(({ peer }) => peer).sort())
        for (const { group, host: { row, model: offered } } of indexed) {
          expect(table.host(row.peer, model)?.row).to.equal(row)
          expect([group.isFull, group.draining, [...group.capabilities]]).to.deep.equal([row.capacity.slots.busy >= 2, row.capacity.draining, [...new Set(offered.capabilities)]])
        }
      }
    }))
  })
})
