import { expect } from 'chai'
import { createUseWatch, parseProgramTable } from '../../../providers/use-watch.ts'
import { fakeClock, settled } from '../../support/fake-clock.ts'

/** Recorded: driver 550 with a game, a desktop and an engine. */
const PMON = `# gpu         pid   type     sm    mem    enc    dec    jpg    ofa    command
# Idx           #    C/G      %      %      %      %      %      %    name
    0       1467     G      3      1      -      -      -      -    Xorg
    0       3120     C     88     40      -      -      -      -    triforce-engine
    0       4711     G     71     20      -      -      -      -    game.x86_64
`
const QUIET = '# gpu pid type sm mem enc dec command\n    0          -     -      -      -      -      -    -\n'

function setUp() {
  const clock = fakeClock()
  const machine = { pmon: QUIET, total: '0', processor: 0, running: 0 }
  let changes = 0
  const watch = createUseWatch({
    clock, running: () => machine.running, onChange: () => { changes += 1 }, processor: () => machine.processor,
    nvidia: (args) => args[0] === 'pmon' ? machine.pmon === '' ? Promise.reject(new Error('not supported')) : Promise.resolve(machine.pmon) : Promise.resolve(`${machine.total}\n`),
  })
  async function pass(seconds: number): Promise<void> {
    for (let second = 0; second < seconds; second += 5) {
      clock.advance(5_000)
      await settled()
    }
  }
  return { watch, machine, pass, changes: () => changes }
}

describe('providers/use-watch', () => {
  it('sees a game, also while answers are computed, and that it has been over for a minute', async () => {
    const { watch, machine, pass, changes } = setUp()
    watch.watch('gpu')
    await pass(10)
    expect(watch.usedBy).to.equal(undefined)
    machine.pmon = PMON
    machine.running = 2
    await pass(10)
    expect([watch.usedBy, changes()]).to.deep.equal(['game.x86_64', 1])
    machine.pmon = QUIET
    machine.running = 0
    await pass(50)
    expect(watch.usedBy).to.equal('game.x86_64')
    await pass(15)
    expect([watch.usedBy, changes()]).to.deep.equal([undefined, 2])
  })

  it('takes neither the desktop nor an engine for another program', async () => {
    const { watch, machine, pass } = setUp()
    machine.pmon = PMON.split('\n').filter((line) => !line.includes('game')).join('\n')
    machine.running = 1
    watch.watch('gpu')
    await pass(30)
    expect(watch.usedBy).to.equal(undefined)
  })

  it('goes by the whole load where the driver names no programs, but not by its own', async () => {
    const { watch, machine, pass } = setUp()
    Object.assign(machine, { pmon: '', total: '64', running: 1 })
    watch.watch('gpu')
    await pass(30)
    expect(watch.usedBy).to.equal(undefined)
    machine.running = 0
    await pass(10)
    expect(watch.usedBy).to.equal('64 % of the GPU')
  })

  it('watches the processor where that is asked for, and nothing when it is off', async () => {
    const { watch, machine, pass } = setUp()
    machine.processor = 0.9
    watch.watch('processor')
    await pass(10)
    expect(watch.usedBy).to.equal('90 % of the processor')
    watch.watch('off')
    expect(watch.usedBy).to.equal(undefined)
    await pass(60)
    expect(watch.usedBy).to.equal(undefined)
  })

  it('reads nonsense as nothing', () => {
    expect(parseProgramTable('Unable to query\n\n# x\n 0 - - - - -\n')).to.deep.equal([])
    expect(parseProgramTable(PMON).map(({ name, percent }) => [name, percent])).to.deep.equal([['Xorg', 3], ['triforce-engine', 88], ['game.x86_64', 71]])
  })
})
