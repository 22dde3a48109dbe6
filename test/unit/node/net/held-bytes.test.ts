import { expect } from 'chai'
import { createHeldBytes } from '../../../../node/net/held-bytes.ts'

describe('node/net/held-bytes', () => {
  it('allows a peer its bound over all streams, and not one byte more', () => {
    const held = createHeldBytes(100)
    expect(held.count('a', 60)).to.equal(true)
    expect(held.count('a', 40)).to.equal(true)
    expect(held.count('a', 1)).to.equal(false)
  })

  it('counts down again, and each peer on its own', () => {
    const held = createHeldBytes(100)
    held.count('a', 100)
    expect(held.count('b', 100)).to.equal(true)
    held.count('a', -100)
    expect(held.count('a', 100)).to.equal(true)
  })
})
