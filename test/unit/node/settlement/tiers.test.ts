import { expect } from 'chai'
import { plan } from '../../../../ledger/tables/plan.ts'
import { createTiers } from '../../../../node/settlement/tiers.ts'

describe('node/settlement/tiers', () => {
  it('serves in the order of the plan, and those of unknown tiers last', () => {
    const tierOf = createTiers({ ledger: { table: (table) => ({ table, rev: 0, content: plan.tiers }) } })
    const tiers = ['free', 'guest', 'unlimited', 'contributor', 'pro', 'enterprise']
    expect(tiers.toSorted((a, b) => tierOf(a).priority - tierOf(b).priority)).to.deep.equal(['unlimited', 'pro', 'enterprise', 'contributor', 'free', 'guest'])
    expect(tierOf('pro').priority).to.equal(tierOf('enterprise').priority)
    expect(tierOf('guest')).to.deep.include({ requestsPerMinute: tierOf('free').requestsPerMinute, concurrentMax: tierOf('free').concurrentMax })
  })

  it('follows the table that two hubs signed, from the moment on at which it holds', () => {
    const row = (tier: string, priority: number) => ({ tier, priority, requestsPerMinute: 1, concurrentMax: 2 })
    let content: unknown = { rows: [row('free', 3)] }
    const tierOf = createTiers({ ledger: { table: (table) => ({ table, rev: 0, content }) } })
    expect(tierOf('free')).to.deep.equal({ priority: 3, requestsPerMinute: 1, concurrentMax: 2 })
    content = { rows: [row('free', 0), row('guest', 5)] }
    expect([tierOf('free').priority, tierOf('guest').priority]).to.deep.equal([0, 5])
  })
})
