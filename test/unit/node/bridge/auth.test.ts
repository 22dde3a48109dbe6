import { expect } from 'chai'
import { createAuthenticator } from '../../../../node/bridge/auth.ts'
import type { Principal } from '../../../../node/gateway.ts'
import { toTriforceError, TriforceError, type ErrorCode } from '../../../../protocol/errors.ts'
import { fakeClock } from '../../../support/fake-clock.ts'

const principal = { accountName: 'local' } as Principal

function fixture(options: Parameters<typeof createAuthenticator>[1] = {}) {
  const clock = fakeClock()
  const asked: string[] = []
  let answer: (key: string) => Promise<Principal> = async (key) => {
    if (key.startsWith('good')) return principal
    throw new TriforceError('INVALID_API_KEY')
  }
  const authenticator = createAuthenticator({
    clock,
    gateway: {
      authenticate(key) {
        asked.push(key)
        return answer(key)
      },
    },
  }, options)
  return {
    clock, asked, authenticator,
    answerWith: (next: (key: string) => Promise<Principal>) => {
      answer = next
    },
    ask: (key: string) => authenticator.authenticate({ authorization: `Bearer ${key}` }),
  }
}

async function codeOf(promise: Promise<unknown>): Promise<ErrorCode | 'none'> {
  try {
    await promise
    return 'none'
  } catch (error) {
    return toTriforceError(error).code
  }
}

describe('node/bridge/auth', () => {
  it('asks the gateway once for a good key within 10 s and again after', async () => {
    const { ask, asked, clock } = fixture()
    expect(await ask('good')).to.equal(principal)
    clock.advance(9_999)
    await ask('good')
    expect(asked).to.have.length(1)
    clock.advance(1)
    await ask('good')
    expect(asked).to.have.length(2)
  })

  it('remembers for 1 s that a key is not known', async () => {
    const { ask, asked, clock } = fixture()
    expect(await codeOf(ask('bad'))).to.equal('INVALID_API_KEY')
    clock.advance(999)
    expect(await codeOf(ask('bad'))).to.equal('INVALID_API_KEY')
    expect(asked).to.have.length(1)
    clock.advance(1)
    expect(await codeOf(ask('bad'))).to.equal('INVALID_API_KEY')
    expect(asked).to.have.length(2)
  })

  it('does not remember that it could not find out', async () => {
    const { ask, asked, answerWith } = fixture()
    answerWith(() => Promise.reject(new TriforceError('NO_HUB')))
    expect(await codeOf(ask('good'))).to.equal('NO_HUB')
    answerWith(() => Promise.resolve(principal))
    expect(await ask('good')).to.equal(principal)
    expect(asked).to.have.length(2)
  })

  it('asks once for many requests with one key at the same time', async () => {
    const { ask, asked } = fixture()
    const all = await Promise.all(Array.from({ length: 50 }, () => ask('good')))
    expect(all).to.have.length(50)
    expect(asked).to.have.length(1)
  })

  it('keeps good keys in memory through a flood of made-up ones', async () => {
    const { ask, asked } = fixture({ keysMax: 4 })
    await ask('good')
    for (let i = 0; i < 20; i++) await codeOf(ask(`bad${i}`))
    asked.length = 0
    await ask('good')
    expect(asked).to.have.length(0)
  })

  it('forgets the oldest good key at the bound', async () => {
    const { ask, asked } = fixture({ keysMax: 2 })
    for (const key of ['good1', 'good2', 'good3', 'good3', 'good2']) await ask(key)
    expect(asked).to.deep.equal(['good1', 'good2', 'good3'])
    await ask('good1')
    expect(asked).to.have.length(4)
  })

  it('refuses more questions at once than it may ask', async () => {
    const { ask, answerWith } = fixture({ checksMax: 2 })
    const never = Promise.withResolvers<Principal>()
    answerWith(() => never.promise)
    const waiting = [ask('good1'), ask('good2')]
    expect(await codeOf(ask('good3'))).to.equal('RATE_LIMITED')
    never.resolve(principal)
    expect(await Promise.all(waiting)).to.deep.equal([principal, principal])
  })

  it('takes x-api-key, prefers a bearer, and never asks for a missing or an endless key', async () => {
    const { authenticator, asked } = fixture()
    await authenticator.authenticate({ 'x-api-key': 'good-x' })
    await authenticator.authenticate({ authorization: 'bearer good-b', 'x-api-key': 'bad' })
    await authenticator.authenticate({ authorization: 'Basic abc', 'x-api-key': 'good-basic' })
    expect(asked).to.deep.equal(['good-x', 'good-b', 'good-basic'])
    for (const headers of [{}, { authorization: 'Bearer ' }, { authorization: 'Basic good' }, { 'x-api-key': 'g'.repeat(257) }]) {
      expect(await codeOf(authenticator.authenticate(headers))).to.equal('INVALID_API_KEY')
    }
    expect(asked).to.have.length(3)
  })
})
