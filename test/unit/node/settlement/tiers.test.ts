import { expect } from 'chai'
import { createPriorities } from '../../../../node/settlement/tiers.ts'
import { plan } from '../../../../ledger/tables/plan.ts'

describe('node/settlement/tiers', () => {
  it('serves in the order of the plan, and those of unknown tiers last', () => {
    const priorityOf = createPriorities({ ledger: { table: (table) => ({ table, rev: 0, content: plan.tiers }) } })
    const tiers = ['free', 'guest', 'unlimited', 'contributor', 'pro', 'enterprise']
    expect(tiers.toSorted((a, b) => priorityOf(a) - priorityOf(b))).to.deep.equal(['unlimited', 'pro', 'enterprise', 'contributor', 'free', 'guest'])
    expect(priorityOf('pro')).to.equal(priorityOf('enterprise'))
  })

  it('follows the table that two hubs signed, from the moment on at which it holds', () => {
    let content: unknown = { rows: [{ tier: 'free', priority: 3 }] }
    const priorityOf = createPriorities({ ledger: { table: (table) => ({ table, rev: 0, content }) } })
    expect(priorityOf('free')).to.equal(3)
    content = { rows: [{ tier: 'free', priority: 0 }, { tier: 'guest', priority: 5 }] }
    expect([priorityOf('free'), priorityOf('guest')]).to.deep.equal([0, 5])
  })
})
