/** Vendors' answers through three real hubs: HTTP → hub → libp2p → hub with the key → vendor, and what each ending costs. */
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { expect } from 'chai'
import OpenAI from 'openai'
import type { ModelView } from '../../bootstrap/api-schemas.ts'
import { createTokenCounter } from '../../protocol/token-estimate.ts'
import { startCloudFederation, type CloudFederation, type SpendingAccount } from '../support/cloud-federation.ts'
import { rawConnection } from '../support/bridge-server.ts'
import { until } from '../support/until.ts'
import { wordAt } from '../support/vendors/answers.ts'
import { startOpenAiVendor, type OpenAiVendorServer } from '../support/vendors/openai-vendor.ts'
import type { Part } from '../support/vendors/vendor-server.ts'

/** µcr a token of gpt-4o. */
const PRICE = 10_000n
const PROMPT = 'What is it?'
const PROMPT_TOKENS = 4 + 3

/** Words as the vendor streams them, and then `end`. */
function words(vendor: OpenAiVendorServer, count: number, end: readonly Part[]): { readonly parts: readonly Part[] } {
  const events = vendor.events({ text: Array.from({ length: count }, (_, index) => wordAt(index)), finish: 'stop', usage: { prompt: PROMPT_TOKENS, completion: count } })
  // The head, the words; what follows is the end.
  return { parts: [...events.slice(0, count + 1), ...end] }
}

/** Text of the answer that the bridge at `port` has written last, as its own socket took it: begins anew with each request. */
function writtenTo(port: number): { text(): string; stop(): void } {
  let written = ''
  const listener = (message: unknown): void => {
    const { request, response } = message as { readonly request: IncomingMessage; readonly response: ServerResponse }
    if (request.socket.localPort !== port || request.method !== 'POST') return
    written = ''
    const write = response.write.bind(response) as (chunk: unknown) => boolean
    response.write = (chunk: unknown) => {
      written += String(chunk)
      return write(chunk)
    }
  }
  subscribe('http.server.request.start', listener)
  return {
    text: () => written.split('\n\n').flatMap((event) => event.startsWith('data: {') ? [(JSON.parse(event.slice(6)) as OpenAI.ChatCompletionChunk).choices[0]?.delta.content ?? ''] : []).join(''),
    stop: () => { unsubscribe('http.server.request.start', listener) },
  }
}

describe('vendors through three hubs', function () {
  this.timeout(60_000)
  let vendor: OpenAiVendorServer
  let world: CloudFederation
  /** Without quota, so that every token costs. */
  let payer: SpendingAccount

  before(async () => {
    vendor = await startOpenAiVendor('openai')
    world = await startCloudFederation([[], [], [{ vendor: 'openai', key: 'sk-of-hub-3', baseUrl: `${vendor.origin}/v1` }]])
    payer = await world.account(100_000_000n)
    await until('every hub lists the models', async () => (await Promise.all(world.apis.map(async (api) => await modelIds(api)))).every((ids) => ids.includes('openai/gpt-4o')), 20_000)
  })
  after(async () => {
    await world.stop()
    await vendor.stop()
  })

  async function modelIds(api: string): Promise<readonly string[]> {
    const response = await fetch(`${api}/v1/models`, { headers: { authorization: `Bearer ${payer.apiKey}` } })
    return response.ok ? (await response.json() as { data: ModelView[] }).data.map(({ id }) => id) : []
  }
  const clientOf = (api = world.apis[0]!, account = payer) => new OpenAI({ apiKey: account.apiKey, baseURL: `${api}/v1`, maxRetries: 0 })
  const ask = { model: 'gpt-4o', messages: [{ role: 'user' as const, content: PROMPT }] }

  /** Tokens that were settled since, by quota or by credits; waits until nothing is held. */
  async function spentBy<T>(work: () => Promise<T>, account = payer): Promise<{ readonly tokens: number; readonly entries: readonly string[]; readonly result: T }> {
    const before = new Set((await account.lines()).map(keyOf))
    const result = await work()
    await until('the hold is over', async () => (await account.credits()).held_micro_credits === '0' && (await account.lines()).some((line) => !before.has(keyOf(line)) && (line.kind === 'Settle' || line.kind === 'Expire')))
    const fresh = (await account.lines()).filter((line) => !before.has(keyOf(line)))
    const settled = fresh.filter(({ kind }) => kind === 'Settle')
    const tokens = settled.reduce((sum, line) => sum + line.quota_tokens + Number(-BigInt(line.amount_micro_credits) / PRICE), 0)
    return { tokens, entries: fresh.map(({ kind }) => kind).filter((kind) => kind === 'Settle' || kind === 'Expire'), result }
  }
  const keyOf = (line: { kind: string; hold: string | null; receipt: string | null; quota_tokens: number }) => JSON.stringify(line)

  it('answers at a hub without the key, tells the price first and the exact cost, and the charge is the vendor\'s bill', async () => {
    vendor.behaviour.words = 30
    const { tokens, result } = await spentBy(() => clientOf().chat.completions.create(ask).withResponse())
    const { data, response } = result
    expect(data.choices[0]!.message.content).to.equal(Array.from({ length: 30 }, (_, index) => wordAt(index)).join(''))
    expect(data.usage).to.include({ prompt_tokens: PROMPT_TOKENS, completion_tokens: 30 })
    expect(response.headers.get('x-triforce-host')).to.equal(world.nodes[2]!.peerId)
    expect(response.headers.get('x-triforce-price-prompt')).to.equal('10')
    expect(response.headers.get('x-triforce-model')).to.equal('openai/gpt-4o')
    expect(tokens).to.equal(PROMPT_TOKENS + 30)
    const bill = vendor.bills.at(-1)!
    expect([bill.promptTokens, bill.completionTokens]).to.deep.equal([PROMPT_TOKENS, 30])
    // The day's free tokens come first.
    expect(response.headers.get('x-triforce-cost')).to.equal('0')
    const shown = await (await fetch(`${world.apis[0]}/v1/generations/${data.id}`, { headers: { authorization: `Bearer ${payer.apiKey}` } })).json() as Record<string, unknown>
    expect(shown).to.deep.include({ state: 'completed', served_model: 'openai/gpt-4o' })
    const receipt = await (await fetch(`${world.apis[1]}/v1/receipts/${String(shown['receipt'])}`, { headers: { authorization: `Bearer ${payer.apiKey}` } })).json() as Record<string, unknown>
    expect(receipt).to.include({ model: 'openai/gpt-4o', completionTokens: 30, device: 'cloud' })
    expect(receipt).to.not.have.property('earnsMicroCreditsPerHour')
  })

  it('never sends a peer or a vendor the account\'s key', () => {
    const last = vendor.requests.filter(({ path }) => path.endsWith('/chat/completions')).at(-1)!
    expect(last.headers['authorization']).to.equal('Bearer sk-of-hub-3')
    expect(JSON.stringify(last)).to.not.include(payer.apiKey)
  })

  it('streams through a consumer node: relayed, held and settled at a hub', async () => {
    const consumer = await world.consumer(payer)
    vendor.behaviour.words = 12
    await until('the consumer lists the models', async () => (await modelIds(consumer.api)).includes('openai/gpt-4o'))
    const { tokens, result } = await spentBy(async () => {
      const stream = await clientOf(consumer.api).chat.completions.create({ ...ask, stream: true, stream_options: { include_usage: true } })
      let text = ''
      // Not the header: where the first second passes without a host, a sign of life has sent the head.
      let host: string | undefined
      for await (const chunk of stream) {
        text += chunk.choices[0]?.delta.content ?? ''
        host = (chunk as { triforce?: { host: string } }).triforce?.host ?? host
      }
      return { text, host }
    })
    expect(result).to.deep.equal({ text: Array.from({ length: 12 }, (_, index) => wordAt(index)).join(''), host: world.nodes[2]!.peerId })
    expect(tokens).to.equal(PROMPT_TOKENS + 12)
  })

  /** On a machine that does other things too a single try can be late: the quickest of five shows what our parts take. */
  async function quickest(measure: () => Promise<number>): Promise<void> {
    let best = Infinity
    for (let attempt = 0; attempt < 5 && best >= 100; attempt += 1) best = Math.min(best, await measure())
    expect(best, 'ms until the vendor saw that the client had left').to.be.below(100)
  }

  it('stops the vendor within 100 ms where the client leaves mid-stream, and charges to the token what came', async () => {
    await quickest(async () => {
      vendor.script.push(words(vendor, 7, [{ hang: true }]))
      const before = vendor.abandoned.length
      let leftAt = 0
      const { tokens, entries } = await spentBy(async () => {
        const stream = await clientOf().chat.completions.create({ ...ask, stream: true })
        let text = ''
        for await (const chunk of stream) {
          text += chunk.choices[0]?.delta.content ?? ''
          if (!text.endsWith(wordAt(6))) continue
          leftAt = performance.now()
          stream.controller.abort()
          break
        }
      })
      expect([tokens, entries]).to.deep.equal([PROMPT_TOKENS + 7, ['Settle']])
      return vendor.abandoned[before]! - leftAt
    })
  })

  it('stops the vendor where the client leaves before the first byte, and charges nothing', async () => {
    await quickest(async () => {
      vendor.script.push({ hang: true })
      const [before, asked] = [vendor.abandoned.length, vendor.requests.length]
      let leftAt = 0
      const { tokens, entries } = await spentBy(async () => {
        const leaving = new AbortController()
        const answer = clientOf().chat.completions.create({ ...ask, stream: true }, { signal: leaving.signal }).catch(() => 'left')
        await until('the vendor was asked', () => vendor.requests.length > asked)
        leftAt = performance.now()
        leaving.abort()
        await answer
      })
      await until('the vendor saw it', () => vendor.abandoned.length > before)
      expect([tokens, entries]).to.deep.equal([0, ['Expire']])
      return vendor.abandoned[before]! - leftAt
    })
  })

  it('stops the vendor where a client that never read leaves, and charges to the token what was written to it', async () => {
    const rich = await world.account(100_000_000_000n)
    const written = writtenTo(Number(new URL(world.apis[0]!).port))
    // More than all buffers on the way can hold.
    const text = Array.from({ length: 30_000 }, (_, index) => wordAt(index).padEnd(400, '\u0001'))
    await quickest(async () => {
      vendor.script.push({ parts: [...vendor.events({ text, finish: 'stop', usage: { prompt: PROMPT_TOKENS, completion: text.length } })] })
      const before = vendor.abandoned.length
      let leftAt = 0
      const { tokens, entries, result } = await spentBy(async () => {
        const socket = rawConnection(Number(new URL(world.apis[0]!).port))
        socket.socket.pause()
        const body = JSON.stringify({ ...ask, stream: true })
        socket.send(`POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer ${rich.apiKey}\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n${body}`)
        let last = -1
        await until('the hub writes no more', async () => {
          const [now, then] = [written.text().length, last]
          last = now
          await new Promise((resolve) => { setTimeout(resolve, 200) })
          return now > 0 && now === then && written.text().length === now
        }, 20_000)
        leftAt = performance.now()
        socket.socket.resetAndDestroy()
        await until('the vendor saw it', () => vendor.abandoned.length > before, 20_000)
        return written.text()
      }, rich)
      const delivered = createTokenCounter().add(result)
      expect(delivered).to.be.within(1, createTokenCounter().add(text.join('')) - 1)
      expect([tokens, entries]).to.deep.equal([PROMPT_TOKENS + delivered, ['Settle']])
      return vendor.abandoned[before]! - leftAt
    })
    written.stop()
  })

  it('charges nothing for an error of the vendor, and what was delivered where it breaks off', async () => {
    for (const [reply, tokens, entries] of [
      [{ status: 400, headers: { 'content-type': 'application/json' }, parts: ['{"error":{"message":"no","type":"invalid_request_error","code":"x"}}'] }, 0, ['Expire']],
      [{ cut: true }, 0, ['Expire']],
      [words(vendor, 3, [{ cut: true }]), PROMPT_TOKENS + 3, ['Settle']],
    ] as const) {
      vendor.script.push(reply)
      const spent = await spentBy(async () => {
        let failed: unknown
        try {
          for await (const _ of await clientOf().chat.completions.create({ ...ask, stream: true })) { /* to its end */ }
        } catch (error) {
          failed = error
        }
        expect(failed, JSON.stringify(entries)).to.be.instanceOf(Error)
      })
      expect([spent.tokens, spent.entries]).to.deep.equal([tokens, entries])
    }
  })

  it('refuses an account that cannot pay, once, and asks no vendor', async () => {
    const poor = await world.account(0n)
    const asked = vendor.requests.length
    // 10,000 free tokens a day are not enough for this prompt.
    const long = { ...ask, messages: [{ role: 'user' as const, content: 'x'.repeat(60_000) }] }
    const response = await fetch(`${world.apis[1]}/v1/chat/completions`, {
      method: 'POST', headers: { authorization: `Bearer ${poor.apiKey}`, 'content-type': 'application/json' }, body: JSON.stringify(long),
    })
    expect(response.status).to.be.oneOf([402, 429])
    expect(response.headers.get('x-should-retry')).to.equal('false')
    expect(vendor.requests.length).to.equal(asked)
    expect((await poor.credits()).held_micro_credits).to.equal('0')
  })

  it('keeps a request with the class `any` from every vendor', async () => {
    const refused = await clientOf().chat.completions.create({ ...ask, triforce: { privacy: 'any' } } as typeof ask).then(() => undefined, (error: { status: number; code: string }) => error)
    expect([refused?.status, refused?.code]).to.deep.equal([404, 'no_allowed_host'])
  })

  it('never spends more than is there under 64 requests at once on one key, at three hubs', async () => {
    const account = await world.account(3_000_000n)
    vendor.behaviour.words = 60
    const bills = vendor.bills.length
    const outcomes = await Promise.all(Array.from({ length: 64 }, async (_, index) => {
      try {
        const answer = await clientOf(world.apis[index % 3], account).chat.completions.create({ ...ask, max_tokens: 400 })
        return answer.usage!.total_tokens
      } catch (error) {
        return (error as { status: number }).status
      }
    }))
    await until('nothing is held', async () => (await Promise.all([0, 1, 2].map((hub) => account.credits(hub)))).every((one) => one.held_micro_credits === '0' && one.on_its_way_micro_credits === '0'), 20_000)
    const { balance_micro_credits: left, quota } = await account.credits()
    const billed = vendor.bills.slice(bills).reduce((sum, bill) => sum + bill.promptTokens + bill.completionTokens, 0)
    expect(BigInt(left) >= 0n).to.equal(true)
    expect(quota.used_tokens).to.be.at.most(10_000)
    expect(outcomes.filter((outcome) => outcome > 0 && outcome < 100).length).to.be.greaterThan(0)
    expect(3_000_000n - BigInt(left)).to.equal(BigInt(billed - quota.used_tokens) * PRICE)
    expect((await world.audit(1)).problems).to.deep.equal([])
  })
})
