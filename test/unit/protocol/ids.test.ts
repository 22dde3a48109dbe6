import { expect } from 'chai'
import { protocolIds } from '../../../protocol/ids.ts'

describe('protocol/ids', () => {
  it('puts network and version into every name', () => {
    const ids = protocolIds('home-1')
    for (const name of Object.values(ids)) expect(name).to.match(/^\/triforce\/home-1\/[a-z]+\/1$/)
    expect(new Set(Object.values(ids)).size).to.equal(Object.keys(ids).length)
    for (const name of Object.values(protocolIds('home'))) expect(Object.values(ids)).to.not.include(name)
  })
})
