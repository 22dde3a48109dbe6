import { expect } from 'chai'
import { createBatchGate, type BatchMember } from '../../../../providers/embedded/batch-gate.ts'
import { fakeClock, settled, type FakeClock } from '../../../support/fake-clock.ts'

const PASS_MS = 40

describe('providers/embedded/batch-gate', () => {
  let clock: FakeClock
  let gate: ReturnType<typeof createBatchGate>
  let passes: string[]

  beforeEach(() => {
    clock = fakeClock()
    gate = createBatchGate({ clock })
    passes = []
  })

  /** Notes when a member may ask for its token. */
  async function ask(name: string, member: BatchMember): Promise<void> {
    await member.ready()
    passes.push(name)
  }

  it('holds nobody up who is alone', () => {
    const member = gate.join()
    gate.join()
    expect(member.ready()).to.equal(undefined)
  })

  it('brings those together who came at different times, within one pass', async () => {
    const [first, second] = [gate.join(), gate.join()]
    await ask('first', first)
    clock.advance(PASS_MS / 2)
    void ask('second', second)
    await settled()
    expect(passes, 'the first is computing').to.deep.equal(['first'])
    clock.advance(1)
    await settled()
    expect(passes, 'no pass has been measured yet, so nobody knows how long to wait').to.deep.equal(['first', 'second'])
    // The first comes back after its pass and waits for the second, which is in one of its own.
    clock.advance(PASS_MS / 2 - 1)
    void ask('first', first)
    await settled()
    expect(passes).to.have.length(2)
    clock.advance(PASS_MS / 2 - 1)
    void ask('second', second)
    await settled()
    expect(passes.slice(2)).to.deep.equal(['first', 'second'])
  })

  it('waits no longer than a pass and a half for one that does not come', async () => {
    const [first, second] = [gate.join(), gate.join()]
    await ask('first', first)
    clock.advance(PASS_MS)
    await ask('first', first)
    clock.advance(PASS_MS / 2)
    void ask('second', second)
    clock.advance(PASS_MS / 2)
    void ask('first', first)
    await settled()
    expect(passes.slice(2), 'both compute').to.deep.equal(['second', 'first'])
    clock.advance(PASS_MS)
    void ask('first', first)
    clock.advance(PASS_MS)
    await settled()
    expect(passes.slice(4)).to.deep.equal([])
    clock.advance(PASS_MS / 2 + 1)
    await settled()
    expect(passes.slice(4)).to.deep.equal(['first'])
  })

  it('waits for nobody who pauses or leaves, and lets one go who pauses while it waits', async () => {
    const [first, second, third] = [gate.join(), gate.join(), gate.join()]
    await ask('first', first)
    void ask('second', second)
    void ask('third', third)
    clock.advance(300)
    await settled()
    passes.length = 0
    void ask('first', first)
    second.pause()
    await settled()
    expect(passes).to.deep.equal([])
    gate.leave(third)
    await settled()
    expect(passes).to.deep.equal(['first'])
    void ask('second', second)
    await settled()
    expect(passes).to.deep.equal(['first'])
    second.pause()
    await settled()
    expect(passes).to.deep.equal(['first', 'second'])
  })
})
