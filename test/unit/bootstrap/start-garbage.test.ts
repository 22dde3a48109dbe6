import { expect } from 'chai'
import { collectStartGarbage } from '../../../bootstrap/start-garbage.ts'

describe('bootstrap/start-garbage', () => {
  it('collects what nobody holds any more, and hands the collector to nobody else', () => {
    const held = new WeakRef({ garbage: true })
    // A WeakRef keeps what it points to until the turn ends.
    return new Promise<void>((resolve) => { setImmediate(resolve) }).then(() => {
      collectStartGarbage()
      expect(held.deref()).to.equal(undefined)
      expect('gc' in globalThis).to.equal(false)
    })
  })
})
