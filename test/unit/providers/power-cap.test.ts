import { expect } from 'chai'
import { createPowerCap, parsePowerTable } from '../../../providers/power-cap.ts'

const TWO = '0, 450.00, 150.00, 600.00\n1, 420.00, 100.00, 450.00\n'

function setUp(options: { table?: string; refuses?: { stdout?: string; code: number } } = {}) {
  const calls: string[] = []
  const cap = createPowerCap((args) => {
    if (args[0]?.startsWith('--query') === true) return Promise.resolve(options.table ?? TWO)
    calls.push(args.join(' '))
    return options.refuses === undefined ? Promise.resolve('') : Promise.reject(Object.assign(new Error('exit'), options.refuses))
  })
  return { cap, calls }
}

describe('providers/power-cap', () => {
  it('bounds each card, and gives each its own bound back', async () => {
    const { cap, calls } = setUp()
    expect(await cap.set(250)).to.deep.equal({ held: true, text: 'Each of the 2 cards takes 250 W at most.' })
    await cap.set(200)
    expect(await cap.set(undefined)).to.equal(undefined)
    expect(calls).to.deep.equal(['-i 0 -pl 250', '-i 1 -pl 250', '-i 0 -pl 200', '-i 1 -pl 200', '-i 0 -pl 450', '-i 1 -pl 420'])
  })

  it('says what a card allows, who may do it, and where there is no driver', async () => {
    const { cap, calls } = setUp()
    expect(await cap.set(500)).to.deep.equal({ held: false, text: 'The bound of 500 W is not held: card 1 takes 100 to 450 W.' })
    expect(calls).to.deep.equal([])
    const forbidden = setUp({ refuses: { stdout: 'Changing power management limit is not allowed: Insufficient Permissions', code: 4 } })
    expect((await forbidden.cap.set(250))?.text).to.match(/not held: the driver lets administrators only.*sudo nvidia-smi -pl/)
    await forbidden.cap.set(undefined)
    expect(forbidden.calls).to.deep.equal(['-i 0 -pl 250'])
    expect((await setUp({ refuses: { code: 255 } }).cap.set(250))?.text).to.contain('nvidia-smi refused it (255)')
    expect((await setUp({ table: '' }).cap.set(250))?.text).to.contain('no NVIDIA driver answers here')
  })

  it('leaves out cards that have no bound', () => {
    expect(parsePowerTable('0, [N/A], [N/A], [N/A]\nno devices\n1, 70.00, 60.00, 70.00\n')).to.deep.equal([{ index: '1', limit: 70, min: 60, max: 70 }])
  })
})
