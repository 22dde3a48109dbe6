import { expect } from 'chai'
import { decideHold } from '../../../../ledger/hub/decide/hold.ts'
import { decideGrant } from '../../../../ledger/hub/decide/money.ts'
import { createCoreWorld, type CoreWorld } from '../../../support/core-world.ts'

const CREDIT = 1_000_000n

function rights(world: CoreWorld, account: string): bigint[] {
  return [0, 1, 2].map((hub) => (world.hubs[0]!.hub.state.accounts.get(account)?.rights.get(`${hub}/1`) ?? 0n) / CREDIT)
}

function grant(world: CoreWorld, credits: bigint, source: string, home = 0) {
  const account = world.account(home, 'unlisted-tier')
  world.done(home, decideGrant(world.hubs[home]!.hub, { account: account.id, amountMicroCredits: credits * CREDIT, source }))
  world.tick()
  world.settle()
  return account
}

describe('fresh money', () => {
  it('is spread: half stays at home, a quarter goes to each other hub', () => {
    const world = createCoreWorld({ spread: true })
    const { hex } = grant(world, 100n, 'start')
    expect(rights(world, hex)).to.deep.equal([50n, 25n, 25n])
  })

  it('can be spent at the two other hubs at once when the home hub is gone', () => {
    const world = createCoreWorld({ spread: true })
    const { id } = grant(world, 100n, 'start')
    world.cut(0, 1)
    world.cut(0, 2)
    for (const hub of [1, 2]) {
      const { entries } = world.done(hub, decideHold(world.hubs[hub]!.hub, {
        request: new Uint8Array(16).fill(hub), requestHash: new Uint8Array(32).fill(hub), account: id, provider: 'groq', model: 'llama', promptTokens: 0, completionTokensMax: 20_000,
      }))
      expect(entries.map(({ entry }) => entry.k)).to.deep.equal(['Hold'])
    }
  })

  it('is not sent to a hub that is away, and small change is not sent at all', () => {
    const world = createCoreWorld({ spread: true })
    world.cut(0, 2)
    const { hex } = grant(world, 100n, 'start')
    expect(rights(world, hex)).to.deep.equal([75n, 25n, 0n])
    const poor = grant(world, 3n, 'start')
    expect(rights(world, poor.hex)).to.deep.equal([3n, 0n, 0n])
  })

  it('is not sent where there is enough: a second small grant moves nothing', () => {
    const world = createCoreWorld({ spread: true })
    const account = grant(world, 100n, 'start')
    world.done(0, decideGrant(world.hubs[0]!.hub, { account: account.id, amountMicroCredits: 20n * CREDIT, source: 'more' }))
    world.tick()
    world.settle()
    expect(rights(world, account.hex)).to.deep.equal([70n, 25n, 25n])
  })
})
