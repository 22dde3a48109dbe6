/**
 * Many requests with random endings over three hubs and two vendors' servers, and then the account books: what all accounts
 * lost must be what the vendors' own logs bill, to the µcr. Vendors are told by the prompt how an answer ends, so their logs
 * do not depend on ours.
 */
import OpenAI from 'openai'
import { MICRO_CREDITS_PER_CREDIT } from '../../protocol/units.ts'
import { startCloudFederation, type SpendingAccount } from './cloud-federation.ts'
import { seededRandom } from './seeded-random.ts'
import { until } from './until.ts'
import { countedPrompt, wordAt } from './vendors/answers.ts'
import { startOpenAiVendor } from './vendors/openai-vendor.ts'
import { startVendorServer, type Reply, type VendorRequest, type VendorServer } from './vendors/vendor-server.ts'

/**
 * How an answer ends. `left` ones hang after their words until the client leaves, `silent` ones until the hub loses its patience.
 * `died`, after all others, is the hub with the key, which hangs up in the middle of answers.
 */
const ENDINGS = ['whole', 'stream', 'left', 'left before', 'broken', 'broken before', 'silent', 'silent before', 'refused', 'busy', 'empty'] as const
type Ending = typeof ENDINGS[number] | 'died'

/** µcr a token: 10 credits for 1,000. */
const PRICE = 10_000n
const ACCOUNTS = 4
const AT_ONCE = 24
const DYING = 12
/** A vendor that says nothing for so long has failed. Longer than a loaded machine stands still. */
const SILENCE_MS_MAX = 5_000
/** 408, 503, and the hub's own words for the latter within a stream. */
const OVERLOAD = /^threw .*(?:\b408\b|\b503\b|no other hub has confirmed|at hubs that do not answer)/

export interface MoneyStress {
  readonly requests: number
  readonly ended: Readonly<Record<string, number>>
  /** Tokens that the vendors' logs bill. */
  readonly billedTokens: number
  readonly freeTokens: number
  /** µcr. */
  readonly chargedMicroCredits: bigint
  readonly dueMicroCredits: bigint
  /** Of a fold of all logs at each hub. */
  readonly problems: readonly string[]
  /** Answers that were not what they had to be. */
  readonly surprises: readonly string[]
  /** Answers that failed because the machine was too slow for three hubs: late bodies, late confirmations. They cost what they delivered too. */
  readonly overloaded: readonly string[]
}

export async function runMoneyStress({ requests, seed }: { readonly requests: number; readonly seed: number }): Promise<MoneyStress> {
  const random = seededRandom(seed)
  const below = (count: number) => Math.floor(random.unit() * count)
  const shapes = await startOpenAiVendor('openai')
  const bills: number[] = []
  const vendors = await Promise.all([0, 1].map(() => startVendorServer((request) => answer(request))))

  /** The prompt is `ending words extra`: `extra` are prompt tokens that nobody can guess. */
  function answer({ path, body }: VendorRequest): Reply | { readonly cut: true } | { readonly hang: true } {
    const json = { 'content-type': 'application/json' }
    if (path.endsWith('/models')) return { headers: json, parts: [JSON.stringify({ object: 'list', data: [{ id: 'gpt-4o', object: 'model', created: 1, owned_by: 'openai' }] })] }
    const messages = body['messages'] as { content: string }[]
    const [ending, wordsText, extraText] = messages[0]!.content.split('/') as [Ending, string, string]
    const [words, extra] = [Number(wordsText), Number(extraText)]
    const prompt = countedPrompt(messages) + (ending === 'whole' || ending === 'stream' || ending === 'empty' ? extra : 0)
    const events = shapes.events({ text: Array.from({ length: words }, (_, index) => wordAt(index)), finish: 'stop', usage: { prompt, completion: words } })
    const begun = events.slice(0, words + 1)
    const billed = () => { bills.push(prompt + words) }
    const stream = { 'content-type': 'text/event-stream' }
    switch (ending) {
      case 'whole': case 'stream': return { headers: stream, parts: events, onEnd: billed }
      // Nothing was delivered, so nothing is charged, whatever the vendor may count for the prompt.
      case 'empty': return { headers: stream, parts: shapes.events({ text: [], finish: 'stop', usage: { prompt, completion: 0 } }) }
      case 'left': case 'silent': case 'died': return { headers: stream, parts: [...begun, { hang: true }], onEnd: billed }
      case 'broken': return { headers: stream, parts: [...begun, { cut: true }], onEnd: billed }
      case 'left before': case 'silent before': return { hang: true }
      case 'broken before': return { cut: true }
      case 'refused': return { status: 400, headers: json, parts: ['{"error":{"message":"no","type":"invalid_request_error","code":"bad"}}'] }
      case 'busy': return { status: 500, headers: json, parts: ['{"error":{"message":"oops","type":"server_error","code":null}}'] }
    }
  }

  const access = (vendor: VendorServer) => [{ vendor: 'openai', key: 'sk-test', baseUrl: `${vendor.origin}/v1` }]
  const world = await startCloudFederation([[], access(vendors[0]!), access(vendors[1]!)], { vendorTransport: { firstByteMsMax: SILENCE_MS_MAX, idleMsMax: SILENCE_MS_MAX } })
  try {
    const funds = 2_000n * MICRO_CREDITS_PER_CREDIT
    const accounts: SpendingAccount[] = []
    for (let index = 0; index < ACCOUNTS; index += 1) accounts.push(await world.account(funds))
    await until('every hub reaches the model', async () => (await Promise.all(world.apis.map(async (api) => {
      const response = await fetch(`${api}/v1/models/openai%2Fgpt-4o`, { headers: { authorization: `Bearer ${accounts[0]!.apiKey}` } })
      return response.ok
    }))).every(Boolean), 20_000)

    const ended: Record<string, number> = {}
    // The day's free tokens are used up first, at every hub: the prompt turns out to be a thousand times what it seemed.
    for (const { apiKey } of accounts) {
      for (const api of world.apis) {
        const client = new OpenAI({ apiKey, baseURL: `${api}/v1`, maxRetries: 0 })
        await client.chat.completions.create({ model: 'openai/gpt-4o', messages: [{ role: 'user', content: 'whole/1/10000' }] })
      }
    }
    const surprises: string[] = []
    const overloaded: string[] = []
    const clients = world.apis.map((api) => accounts.map(({ apiKey }) => new OpenAI({ apiKey, baseURL: `${api}/v1`, maxRetries: 0 })))

    async function one(): Promise<void> {
      const ending = ENDINGS[below(ENDINGS.length)]!
      const words = 1 + below(40)
      const extra = below(60)
      const client = clients[below(3)]![below(ACCOUNTS)]!
      ended[ending] = (ended[ending] ?? 0) + 1
      const got = await run(client, ending, words, `${ending}/${words}/${extra}`).catch((error: unknown) => `threw ${String(error)}`)
      if (got !== undefined) (OVERLOAD.test(got) ? overloaded : surprises).push(`${ending}: ${got}`)
    }

    /** All have their words when the hub with the key dies under them: each fails, and costs what came. */
    async function dying(): Promise<void> {
      ended['died'] = DYING
      let ready = 0
      const over = Array.from({ length: DYING }, async (_, index) => {
        const words = 1 + below(40)
        let got = ''
        const ask = { model: 'openai/gpt-4o', messages: [{ role: 'user' as const, content: `died/${words}/0` }], provider: { only: [world.nodes[2]!.peerId] } }
        const outcome = await (async () => {
          for await (const chunk of await clients[index % 2]![index % ACCOUNTS]!.chat.completions.create({ ...ask, stream: true })) {
            got += chunk.choices[0]?.delta.content ?? ''
            if (got === textOf(words)) ready += 1
          }
          return 'ended well'
        })().catch((error: unknown) => got === textOf(words) ? undefined : `threw ${String(error)} after ${got.length} characters`)
        if (outcome !== undefined) (OVERLOAD.test(outcome) ? overloaded : surprises).push(`died: ${outcome}`)
      })
      await Promise.race([until('all have their words', () => ready === DYING, 30_000), Promise.all(over)])
      await world.kill(2)
      await Promise.all(over)
      await until('the vendor has billed them', () => vendors[1]!.open === 0)
    }

    let begun = 0
    await Promise.all(Array.from({ length: AT_ONCE }, async () => {
      while (begun < requests) {
        begun += 1
        await one()
      }
    }))

    /** A hub that has not heard of another one's spend yet has other numbers than that one. */
    const settledAt = (hubs: readonly number[]) => until('nothing is held or on its way, and hubs agree', async () => (await Promise.all(accounts.map(async (account) => {
      const views = await Promise.all(hubs.map((hub) => account.credits(hub)))
      const settled = views.every((credits) => credits.held_micro_credits === '0' && credits.on_its_way_micro_credits === '0')
      return settled && new Set(views.map(({ balance_micro_credits: left, quota }) => `${left} ${quota.used_tokens}`)).size === 1
    }))).every(Boolean), 60_000)
    const booked = async () => {
      const credits = await Promise.all(accounts.map((account) => account.credits()))
      return {
        chargedMicroCredits: credits.reduce((sum, { balance_micro_credits: left }) => sum + funds - BigInt(left), 0n),
        billedTokens: bills.reduce((sum, tokens) => sum + tokens, 0), freeTokens: credits.reduce((sum, { quota }) => sum + quota.used_tokens, 0),
      }
    }
    const due = ({ billedTokens, freeTokens }: { readonly billedTokens: number; readonly freeTokens: number }) => BigInt(billedTokens - freeTokens) * PRICE
    await settledAt([0, 1, 2])
    const before = await booked()
    if (before.chargedMicroCredits !== due(before)) surprises.push(`before the hub died ${before.chargedMicroCredits} µcr were charged, and ${due(before)} due`)
    await dying()
    await settledAt([0, 1])
    const after = await booked()
    const audits = await Promise.all([0, 1].map((hub) => world.audit(hub)))
    return {
      requests, ended, ...after, dueMicroCredits: due(after), surprises, overloaded,
      problems: audits.flatMap(({ problems }) => problems),
    }
  } finally {
    await world.stop()
    await Promise.all([shapes, ...vendors].map((vendor) => vendor.stop()))
  }
}

const textOf = (words: number) => Array.from({ length: words }, (_, index) => wordAt(index)).join('')

/** Gives what was wrong, or undefined. */
async function run(client: OpenAI, ending: Ending, words: number, content: string): Promise<string | undefined> {
  const ask = { model: 'openai/gpt-4o', messages: [{ role: 'user' as const, content }] }
  const text = textOf(words)
  const failsAt = async (begin: Promise<AsyncIterable<OpenAI.ChatCompletionChunk>>): Promise<string> => {
    let got = ''
    for await (const chunk of await begin) got += chunk.choices[0]?.delta.content ?? ''
    return got
  }
  const leaving = new AbortController()
  switch (ending) {
    case 'whole': {
      const answer = await client.chat.completions.create(ask)
      return answer.choices[0]!.message.content === text && answer.usage!.completion_tokens === words ? undefined : 'another text or count'
    }
    case 'stream': return await failsAt(client.chat.completions.create({ ...ask, stream: true })) === text ? undefined : 'another text'
    case 'empty': return await failsAt(client.chat.completions.create({ ...ask, stream: true })) === '' ? undefined : 'text came'
    case 'left': {
      let got = ''
      for await (const chunk of await client.chat.completions.create({ ...ask, stream: true }, { signal: leaving.signal })) {
        got += chunk.choices[0]?.delta.content ?? ''
        if (got !== text) continue
        leaving.abort()
        return undefined
      }
      return 'the stream ended by itself'
    }
    case 'left before': {
      const answer = client.chat.completions.create({ ...ask, stream: true }, { signal: leaving.signal }).then(() => 'an answer came', () => undefined)
      setTimeout(() => { leaving.abort() }, 150)
      return await answer
    }
    case 'broken': case 'broken before': case 'silent': case 'silent before': case 'refused': case 'busy': case 'died':
      return await failsAt(client.chat.completions.create({ ...ask, stream: true })).then((got) => `ended well with ${got.length} characters`, () => undefined)
  }
}
