import { expect } from 'chai'
import { chat } from '../support/chat-client.ts'
import { offeredBy, receiptsOnAllHubs, startContinuationWorld, streamAndDisturb, wantedStreams, type ContinuationWorld, type Disturbance } from '../support/continuation.ts'
import { seededUnit } from '../support/seeded-random.ts'
import { SEED } from '../support/seed.ts'

const seed = SEED

// The whole of it, with frozen hosts and cut links, is `npm run test:continuation`.
describe(`streams whose host is lost (seed ${seed})`, function () {
  this.timeout(240_000)
  const unit = seededUnit(seed)
  let world: ContinuationWorld

  before(async () => {
    world = await startContinuationWorld()
  })
  after(async () => {
    await world.stop()
  })

  const cases: readonly (readonly [string, Disturbance])[] = [['a hub', 'SIGKILL'], ['a hub', 'reset'], ['a consumer, directly', 'SIGKILL'], ['a consumer, directly', 'reset']]
  for (const [through, how] of cases) {
    it(`go on at another through ${through}, after ${how}: the same text, one bill, a receipt for each on three hubs`, async () => {
      const { api } = through === 'a hub' ? world.nodes.hubs[1]! : await world.consumer()
      const [ask] = wantedStreams(api)
      const whole = await chat({ apiKey: world.nodes.key, ...ask! })
      expect(whole).to.deep.include({ done: true, tokens: 300, parts: undefined })
      // A stream that was over before its host was lost proves nothing.
      for (let tries = 1; ; tries += 1) {
        const { seen, disturbed } = await streamAndDisturb(world, ask!, Math.floor(whole.text.length * 0.5 * unit()), how)
        expect(seen.error).to.equal(undefined)
        expect(seen.text).to.equal(whole.text)
        expect([seen.done, seen.finish, seen.tokens, seen.promptTokens]).to.deep.equal([true, whole.finish, whole.tokens, whole.promptTokens])
        await offeredBy(world.nodes, world.lenders)
        if (!disturbed) {
          expect(tries).to.be.below(10)
          continue
        }
        expect(new Set([seen.receipt, ...seen.parts!.map(({ receipt }) => receipt)]).size).to.equal(1 + seen.parts!.length)
        await receiptsOnAllHubs(world, seen)
        break
      }
    })
  }

  it('end with an error where the client does not wish that they go on', async () => {
    const [ask] = wantedStreams(world.nodes.hubs[0]!.api)
    const whole = await chat({ apiKey: world.nodes.key, ...ask! })
    let error: string | undefined
    for (let tries = 0; tries < 10 && error === undefined; tries += 1) {
      const { seen } = await streamAndDisturb(world, { ...ask!, extra: { ...ask!.extra, triforce: { continuation: false } } }, whole.text.length / 4, 'SIGKILL')
      expect(seen.parts).to.equal(undefined)
      ;({ error } = seen)
      await offeredBy(world.nodes, world.lenders)
    }
    expect(error).to.be.a('string')
  })
})
