import { expect } from 'chai'
import { cheats, honestHost, simulateHost } from '../../../cheats/simulate.ts'
import { seededUnit } from '../../../support/seeded-random.ts'
import { SEED } from '../../../support/seed.ts'

const seed = SEED

describe(`honesty in a simulation (SEED=${seed})`, function () {
  this.timeout(60_000)

  it('never calls one of 1,000 honest hosts a cheat, each with 200 jobs, and lets nearly all of them pass at once', () => {
    const unit = seededUnit(seed)
    const hosts = Array.from({ length: 1_000 }, () => simulateHost(honestHost(unit), { jobs: 200, unit }))
    const failed = hosts.filter(({ standing }) => standing.state === 'failed')
    expect(failed.map(({ standing }) => standing), `seed ${seed}`).to.deep.equal([])
    expect(hosts.filter(({ standing }) => standing.state === 'passed').length, `seed ${seed}`).to.be.at.least(985)
  })

  it('never calls an honest host a cheat in 5,000 jobs of each of 10', () => {
    const unit = seededUnit(seed ^ 0x5bd1)
    const hosts = Array.from({ length: 10 }, () => simulateHost(honestHost(unit), { jobs: 5_000, unit }))
    expect(hosts.filter(({ failedAfter }) => failedAfter !== undefined), `seed ${seed}`).to.deep.equal([])
  })

  for (const cheat of cheats) {
    it(`finds each of 100 hosts within 200 jobs: ${cheat.name}`, () => {
      const unit = seededUnit(seed ^ 0x9e37)
      const missed = Array.from({ length: 100 }, () => simulateHost(cheat, { jobs: 200, unit })).filter(({ failedAfter }) => failedAfter === undefined)
      // One in a hundred may take longer; all but the half-hearted are far below it.
      expect(missed.length, `seed ${seed}`).to.be.at.most(cheat.name.startsWith('cheats in half') ? 20 : 1)
    })
  }
})
