/** The small edition of `npm run test:money`. */
import { expect } from 'chai'
import { runMoneyStress } from '../support/money-stress.ts'
import { SEED } from '../support/seed.ts'

describe('money under stress', function () {
  this.timeout(90_000)
  const seed = SEED

  it(`charges what the vendors bill, whatever the ending (seed ${seed})`, async () => {
    const { chargedMicroCredits, dueMicroCredits, problems, surprises, billedTokens, freeTokens } = await runMoneyStress({ requests: 90, seed })
    expect(surprises).to.deep.equal([])
    expect(problems).to.deep.equal([])
    expect(billedTokens).to.be.greaterThan(500)
    expect(chargedMicroCredits).to.equal(dueMicroCredits)
    expect(freeTokens, 'all the rest is paid for').to.be.at.most(40_000)
    expect(chargedMicroCredits > 500_000_000n).to.equal(true)
  })
})
