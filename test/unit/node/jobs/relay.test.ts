import { expect } from 'chai'
import type { JobEvent } from '../../../../node/jobs/vectors.ts'
import type { EmbeddingRequest, JobRequest } from '../../../../protocol/completion.ts'
import type { Dispatcher } from '../../../../node/jobs/dispatcher.ts'
import type { JobOrder } from '../../../../node/jobs/job-order.ts'
import { createRelay } from '../../../../node/jobs/relay.ts'
import { createTraffic } from '../../../../node/net/traffic.ts'
import { createLocalChannels } from '../../../../node/net/local-channel.ts'
import type { AccountGate } from '../../../../node/settlement/account-gate.ts'
import { decode, encode } from '../../../../protocol/codec.ts'
import { TriforceError } from '../../../../protocol/errors.ts'
import { jobTellSchema, type AccountRequest, type JobTell } from '../../../../protocol/messages/job.ts'
import { signDocument } from '../../../../protocol/signed.ts'
import { aRequest } from '../../../support/completions.ts'
import { settled } from '../../../support/fake-clock.ts'
import { fakeLedger } from '../../../support/fake-ledger.ts'
import type { KeyTerms } from '../../../../protocol/key-terms.ts'
import { testKey } from '../../../support/federation.ts'

const key = testKey()
const account = fakeLedger().addAccount(key.signer.publicKey, { tier: 'pro' })
const authorization = signDocument(key.signer, 'accountRequest', {})
const served = { host: 'H', hostName: 'h', hub: 'hub1', receiptId: new Uint8Array(16).fill(7), durability: 'replicated' as const, costMicroCredits: 12n, attempts: 1, model: 'tiny' }

async function relay(events: (order: JobOrder<JobRequest>) => AsyncIterable<JobEvent>, options: { action?: AccountRequest['action']; request?: Uint8Array; admit?: AccountGate['admit']; terms?: KeyTerms } = {}) {
  const [near, far] = createLocalChannels('consumer')
  const orders: JobOrder<JobRequest>[] = []
  const traffic = createTraffic()
  const serve = createRelay({
    gate: { admit: options.admit ?? (() => ({ action: options.action ?? 'relay', account, key: { publicKey: key.signer.publicKey, account: account.id, name: 'key', createdAt: 0, ...(options.terms === undefined ? {} : { terms: options.terms }) } })) },
    dispatcher: { run: ((order: JobOrder<JobRequest>) => { orders.push(order); return events(order) }) as Dispatcher['run'] },
    traffic,
  })
  const leaving = new AbortController()
  const done = serve(far, { t: 'relay', authorization, request: options.request ?? encode(aRequest()) }, { signal: leaving.signal })
  const frames: JobTell[] = []
  const drain = async () => {
    while (near.waiting.readBytes > 0) frames.push(decode(jobTellSchema, (await near.read())!))
  }
  await settled()
  return { traffic, near, done, leaving, orders, frames, drain }
}

describe('node/jobs/relay', () => {
  it('passes a job through: accept, beats, text, and an end with the receipt', async () => {
    const { done, orders, frames, drain, traffic } = await relay(async function* () {
      yield { type: 'waiting', state: 'placing' }
      yield { type: 'waiting', state: 'loading', at: 0.5 }
      yield { type: 'text', text: 'Hi', tokens: 1 }
      yield { type: 'finish', finish: 'stop', usage: { promptTokens: 2, completionTokens: 1 } }
      yield { type: 'settled', served }
    })
    await done
    await drain()
    expect(frames).to.deep.equal([
      { t: 'accept' },
      { t: 'beat', state: 'queued' },
      { t: 'beat', state: 'loading', at: 500 },
      { t: 'chunk', text: 'Hi', tokens: 1 },
      { t: 'end', finish: 'stop', usage: { promptTokens: 2, completionTokens: 1 }, relayed: { host: 'H', hostName: 'h', hub: 'hub1', receiptId: served.receiptId, durability: 'replicated', costMicroCredits: 12, attempts: 1, model: 'tiny' } },
    ])
    expect(orders[0]).to.include({ account: account.id, tier: 'pro' })
    expect(traffic.byPath.proxied.jobs).to.equal(1)
    expect(Buffer.from(orders[0]!.requestBytes!)).to.deep.equal(Buffer.from(encode(aRequest())))
  })

  it('passes vectors through as they came', async () => {
    const texts: EmbeddingRequest = { kind: 'embedding', model: 'tiny', inputs: ['a'] }
    const values = new Uint8Array(8).fill(3)
    const { done, orders, frames, drain } = await relay(async function* () {
      yield { type: 'vectors', dimensions: 2, values }
      yield { type: 'finish', finish: 'stop', usage: { promptTokens: 2, completionTokens: 0 } }
      yield { type: 'settled', served }
    }, { request: encode(texts) })
    await done
    await drain()
    expect(frames.slice(0, 2)).to.deep.equal([{ t: 'accept' }, { t: 'vectors', dimensions: 2, values }])
    expect(frames.at(-1)).to.include({ t: 'end', finish: 'stop' })
    expect(orders[0]!.request).to.deep.equal(texts)
  })

  it('refuses a request that is signed for something else, by nobody, or cannot be read', async () => {
    async function* never(): AsyncGenerator<JobEvent> { yield* [] }
    const code = async (options: Parameters<typeof relay>[1]) => {
      const { frames, drain, orders } = await relay(never, options)
      await drain()
      expect(orders).to.have.length(0)
      return (frames[0] as Extract<JobTell, { t: 'reject' }>).code
    }
    expect(await code({ action: 'ticket' })).to.equal('FORBIDDEN')
    expect(await code({ admit: () => { throw new TriforceError('INVALID_API_KEY') } })).to.equal('INVALID_API_KEY')
    expect(await code({ request: Uint8Array.of(0xff) })).to.equal('FRAME_MALFORMED')
  })

  it('reports a failure with the tokens that were passed on', async () => {
    const { done, frames, drain } = await relay(async function* () {
      yield { type: 'text', text: 'Hi', tokens: 4 }
      throw new TriforceError('HOST_LOST')
    })
    await done
    await drain()
    expect(frames.at(-1)).to.deep.include({ t: 'fail', code: 'HOST_LOST', usage: { promptTokens: 0, completionTokens: 4 } })
  })

  it('does not ask for what the consumer does not read', async () => {
    let asked = 0
    const { near, done } = await relay(async function* () {
      for (; asked < 5_000; asked += 1) yield { type: 'text', text: 'x'.repeat(1_000), tokens: asked }
    })
    expect(asked).to.be.below(100)
    near.close()
    await done
    expect(asked).to.be.below(200)
  })

  it('gives the job back when the consumer is lost, and hands on its cancel', async () => {
    let isReturned = false
    const { near, done, leaving, orders } = await relay(async function* () {
      try {
        for (let n = 0; ; n += 1) yield { type: 'text', text: 'x'.repeat(1_000), tokens: n }
      } finally {
        isReturned = true
      }
    })
    leaving.abort()
    expect(orders[0]!.signal.aborted).to.equal(true)
    near.abort(new TriforceError('HOST_LOST'))
    await done
    expect(isReturned).to.equal(true)
  })
})
