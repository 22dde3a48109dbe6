import { expect } from 'chai'
import { createCatchUp } from '../../../ledger/catch-up.ts'
import { fakeClock } from '../../support/fake-clock.ts'

describe('ledger/catch-up', () => {
  it('goes first while this hub has still to take over much of what it missed; some is always on its way', () => {
    let missing = 64
    const catchUp = createCatchUp({ clock: fakeClock(), missing: () => missing })
    expect(catchUp.goesFirst()).to.equal(false)
    missing = 65
    expect(catchUp.goesFirst()).to.equal(true)
    missing = 0
    expect(catchUp.goesFirst()).to.equal(false)
  })

  it('waits for nothing that does not come', () => {
    const clock = fakeClock()
    const catchUp = createCatchUp({ clock, missing: () => 1_000_000 })
    clock.advance(9_999)
    expect(catchUp.goesFirst()).to.equal(true)
    clock.advance(1)
    expect(catchUp.goesFirst()).to.equal(false)
  })
})
