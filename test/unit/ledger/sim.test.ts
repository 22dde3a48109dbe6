/** Some seeds of the simulator (test/sim); `npm run sim` runs as many as wanted. */
import { expect } from 'chai'
import { plant } from '../../../ledger/planted-bugs.ts'
import { frameKey } from '../../../ledger/store/buckets.ts'
import { emptyImage, keyText, putRow, type DiskImage } from '../../sim/sim-disk.ts'
import { emptyReport } from '../../sim/sim-report.ts'
import { createWorld } from '../../sim/sim-world.ts'
import { simulate } from '../../sim/simulate.ts'
import { drawSwarm } from '../../sim/swarm.ts'
import { times } from '../../support/thorough.ts'

const SEEDS = times(12, 60)
/** Where the broken rule is looked for: about one run in ten shows it, and the first of these soon. */
const BROKEN_FROM = 17
const BROKEN_SEEDS = 60

describe('three ledgers under faults', function () {
  this.timeout(120_000)

  it(`keep what they promise, in ${SEEDS} seeded runs`, async () => {
    for (let seed = 1; seed <= SEEDS; seed += 1) {
      const { violations } = await simulate(seed, { lengthMs: 6_000 })
      expect(violations, `npm run sim -- --seed ${seed} --steps 6000`).to.deep.equal([])
    }
  })

  it('run alike from the same seed', async () => {
    const first = await simulate(7, { lengthMs: 4_000 })
    const second = await simulate(7, { lengthMs: 4_000 })
    expect(first.steps).to.be.greaterThan(100)
    expect([second.fingerprint, second.steps]).to.deep.equal([first.fingerprint, first.steps])
    expect((await simulate(8, { lengthMs: 4_000 })).fingerprint).not.to.equal(first.fingerprint)
  })

  it('would notice a broken rule', async () => {
    plant('ids-not-looked-up')
    try {
      for (let seed = BROKEN_FROM; ; seed += 1) {
        const { violations } = await simulate(seed, { lengthMs: 6_000 })
        if (violations.length > 0) break
        expect(seed).to.be.lessThan(BROKEN_FROM + BROKEN_SEEDS)
      }
    } finally {
      plant(undefined)
    }
  })
})

describe('the fault atlas', () => {
  const put = (image: DiskImage, hub: number, ...numbers: readonly number[]) => {
    for (const no of numbers) putRow(image, keyText(frameKey({ hub, epoch: 1 }, no)), new Uint8Array([no]))
  }

  it('breaks no disk that has the last copy of what was also on the disk of a second process with a hub\'s key', () => {
    const world = createWorld(1, drawSwarm(1), emptyReport(1), 0)
    const [one, two, three] = world.slots
    for (const { disk } of world.slots) for (const hub of [0, 1, 2]) put(disk.image, hub, 1)
    expect(world.mayDamage(one!)).to.equal(true)
    put(one!.disk.image, 0, 2)
    expect(world.mayDamage(one!), 'nobody else was told of frame 2').to.equal(true)
    const copy = emptyImage()
    put(copy, 0, 1, 2)
    put(copy, 2, 1, 2, 3)
    world.startTwin(three!, copy)
    expect(world.mayDamage(one!), 'two disks have it').to.equal(false)
    expect(world.mayDamage(two!), 'hub 1 has all of it').to.equal(true)
    world.stopTwin(three!)
    expect(world.mayDamage(one!), 'one of them is thrown away').to.equal(false)
    put(two!.disk.image, 0, 2)
    expect(world.mayDamage(one!), 'and it came to another hub').to.equal(true)
  })
})
