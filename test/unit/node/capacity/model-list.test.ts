import { expect } from 'chai'
import { listModels, listResting } from '../../../../node/capacity/model-list.ts'
import type { Capacity } from '../../../../protocol/messages/capacity.ts'
import { aCapacity, aModel } from '../../../support/completions.ts'

const list = (...capacities: readonly Partial<Capacity>[]) => listModels(tableOf(capacities))

function tableOf(capacities: readonly Partial<Capacity>[]) {
  return {
    fresh: () => capacities.map((part, index) => ({ peer: `p${index}`, contributor: '', capacity: aCapacity({ peer: new Uint8Array(32).fill(index), ...part }, 1_000), receivedAt: 0 })),
    firstSeenAt: () => 7,
  }
}

describe('node/capacity/model-list', () => {
  it('joins the offers of one model: hosts counted, largest context, all capabilities and quantisations', () => {
    const models = list(
      { models: [aModel({ id: 'b', contextTokens: 100, capabilities: ['chat'], quantization: 'Q4' }), aModel({ id: 'a' })] },
      { models: [aModel({ id: 'b', contextTokens: 300, capabilities: ['chat', 'json'], quantization: 'Q8' })] },
      { models: [aModel({ id: 'b', contextTokens: 200, capabilities: ['chat'], quantization: '' })] },
    )
    expect(models.map((model) => model.id)).to.deep.equal(['a', 'b'])
    expect(models[1]).to.deep.equal({ id: 'b', hosts: 3, contextTokens: 300, capabilities: ['chat', 'json'], quantizations: ['Q4', 'Q8'], demo: false, firstSeenAt: 7 })
  })

  it('leaves out peers that leave', () => {
    expect(list({ draining: true })).to.deep.equal([])
  })

  it('lists apart what nobody lends now: only models of which every host is paused or leaving', () => {
    const table = tableOf([{ draining: true, models: [aModel({ id: 'b' }), aModel({ id: 'a' })] }, { draining: true, models: [aModel({ id: 'b' })] }, { models: [aModel({ id: 'a' })] }])
    expect(listResting(table).map(({ id, hosts }) => [id, hosts])).to.deep.equal([['b', 2]])
    expect(listModels(table).map(({ id, hosts }) => [id, hosts])).to.deep.equal([['a', 1]])
  })
})
