import { expect } from 'chai'
import { POLL_MS, startCheatFederation, type CheatFederation, type Lender } from '../support/cheat-federation.ts'
import { until } from '../support/until.ts'

/** Three hubs and machines with all their parts, in this process; the models are played. All cheats as processes: npm run test:cheats. */
describe('honesty', function () {
  this.timeout(240_000)
  let test: CheatFederation
  let honest: readonly Lender[]
  let cheat: Lender

  before(async () => {
    test = await startCheatFederation({ processes: false })
    honest = [await test.lend('honest'), await test.lend('honest')]
    await until('the honest ones pass', async () => (await Promise.all(honest.map((one) => test.checkOf(one)))).every((check) => check?.state === 'passed'), 60_000)
  })
  after(() => test.stop())

  it('finds a smaller model under a larger name, gives it no jobs and no pay, and says so', async () => {
    cheat = await test.lend('smaller model')
    let jobs = 0
    let headers = new Headers()
    while ((await test.checkOf(cheat))?.state !== 'failed') {
      expect(jobs, 'jobs until it was found').to.be.below(200)
      headers = await test.job(cheat, { allowsChecks: jobs % 4 === 0 }).catch(() => headers)
      jobs += 1
    }
    console.log(`      a smaller model was found after ${jobs} jobs`)
    expect(await test.checkOf(cheat)).to.deep.include({ state: 'failed', failed_by: 'answer' })
    const refused: unknown = await test.job(cheat, { allowsChecks: false }).catch((reason: unknown) => reason)
    expect(String(refused)).to.include('failed checks')
    const { machines, explanation } = await test.get('/v1/contributor/status', cheat.apiKey) as StatusView
    expect(machines[0]!.check).to.deep.include({ state: 'failed' })
    expect(explanation.join('\n')).to.include('its answers are not those of the model that it offers')
    await until('the other hubs find it too', async () => (await Promise.all([1, 2].map(async (hub) => (await test.checkOf(cheat, hub))?.state))).every((state) => state === 'failed'), 60_000)
    // What was logged before has arrived; nothing is added.
    let earned = ''
    await until('nothing is added', async () => earned === (earned = await earnedOf(cheat)), 8_000, POLL_MS)
    await test.job(cheat, { allowsChecks: false }).catch(() => undefined)
    expect(await earnedOf(cheat)).to.equal(earned)
  })

  it('labels each answer with the weights and how their host stands', async () => {
    const headers = await test.job(honest[0]!, { allowsChecks: false })
    expect(headers.get('x-triforce-check')).to.equal('passed')
    expect(headers.get('x-triforce-quantization')).to.equal('Q4_K_M')
    expect(headers.get('x-triforce-digest')).to.match(/^[0-9a-f]{64}$/)
  })

  it('keeps the honest ones', async () => {
    for (const one of honest) for (const hub of [0, 1, 2]) expect((await test.checkOf(one, hub))?.state).to.be.oneOf(['passed', 'new'])
  })

  it('has one that failed checked again when an admin says so; a cheat fails again', async () => {
    await test.post(`/v1/admin/checks/${cheat.peer}/recheck`, {})
    expect((await test.checkOf(cheat))!.state).to.equal('again')
    await until('it fails again', async () => (await test.checkOf(cheat))!.state === 'failed', 60_000)
  })

  async function earnedOf({ apiKey }: Lender): Promise<string> {
    const { machines } = await test.get('/v1/contributor/status', apiKey) as StatusView
    return machines[0]!.earned.map(({ earned_micro_credits: earned }) => earned).join()
  }
})

interface StatusView {
  readonly explanation: readonly string[]
  readonly machines: readonly { readonly check: { readonly state: string; readonly text: string }; readonly earned: readonly { readonly earned_micro_credits: string }[] }[]
}
