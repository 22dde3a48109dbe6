/**
 * A vendor that breaks, in every way and at every endpoint: HTTP → hub → libp2p → hub with the key → vendor, asked by the
 * official clients. Whatever breaks, the client raises an error, never takes the answer for whole, and asks again only
 * where nothing was delivered.
 */
import { expect } from 'chai'
import { casesAhead } from '../support/cases-ahead.ts'
import { startCloudFederation, type CloudFederation, type SpendingAccount } from '../support/cloud-federation.ts'
import { embeddingEndpoints, endpoints, type Endpoint } from '../support/sdk-endpoints.ts'
import { isThorough } from '../support/thorough.ts'
import { until } from '../support/until.ts'
import type { PlayedAnswer } from '../support/vendors/answers.ts'
import { startAnthropicVendor, type AnthropicVendorServer } from '../support/vendors/anthropic-vendor.ts'
import { startOpenAiVendor, type OpenAiVendorServer } from '../support/vendors/openai-vendor.ts'
import { startVendorServer, type Part, type Reply, type VendorRequest, type VendorServer } from '../support/vendors/vendor-server.ts'

const ANSWER: PlayedAnswer = { text: ['aaaa', 'bbbb', 'cccc', 'dddd', 'eeee'], finish: 'stop', usage: { prompt: 7, completion: 5 } }
const THREE = 'aaaabbbbcccc'
const MIB = 1024 * 1024

interface Break {
  /** `head`: events before the first text, `events` all of the answer. */
  readonly parts: (events: readonly string[], head: number) => Iterable<Part>
  /** What had been delivered of a stream. */
  readonly text: string
}

/** Without the line feeds that would end it; the bound of an event is 4 MiB. */
function* endlessEvent(): Iterable<Part> {
  yield 'data: {"x":"'
  for (let mib = 0; mib < 64; mib += 1) yield 'y'.repeat(MIB)
}

const breaks: Readonly<Record<string, Break>> = {
  'cut before the headers': { parts: () => [], text: '' },
  'cut after the headers': { parts: (events) => [events[0]!, { cut: true }], text: '' },
  'cut after three pieces': { parts: (events, head) => [...events.slice(0, head + 3), { cut: true }], text: THREE },
  'ended after three pieces': { parts: (events, head) => events.slice(0, head + 3), text: THREE },
  'cut before the usage': { parts: (events) => [...events.slice(0, -2), { cut: true }], text: 'aaaabbbbccccddddeeee' },
  'malformed JSON': { parts: (events, head) => [...events.slice(0, head + 3), events[head]!.replace(/data: .*/, 'data: {"broken')], text: THREE },
  'an event without an end': { parts: (events, head) => [...events.slice(0, head + 3), ...endlessEvent()], text: THREE },
}

describe('vendors that break', function () {
  this.timeout(120_000)
  let shapes: { openai: OpenAiVendorServer; anthropic: AnthropicVendorServer }
  let vendors: { openai: VendorServer; anthropic: VendorServer }
  let world: CloudFederation
  let payer: SpendingAccount
  const families = { openai: { model: 'openai/gpt-4o', head: 1 }, anthropic: { model: 'anthropic/claude-haiku-4-5-20251001', head: 3 } } as const

  before(async () => {
    shapes = { openai: await startOpenAiVendor('openai'), anthropic: await startAnthropicVendor() }
    const playing = (family: keyof typeof families) => startVendorServer((request) => answer(family, request))
    vendors = { openai: await playing('openai'), anthropic: await playing('anthropic') }
    world = await startCloudFederation([[], [], [
      { vendor: 'openai', key: 'sk-of-hub', baseUrl: `${vendors.openai.origin}/v1` }, { vendor: 'anthropic', key: 'sk-of-hub', baseUrl: vendors.anthropic.origin },
    ]])
    payer = await world.account(10_000_000_000n)
    for (const { model } of [...Object.values(families), { model: 'openai/text-embedding-3-small' }]) {
      await until(`the first hub reaches ${model}`, async () => (await fetch(`${world.apis[0]}/v1/models/${encodeURIComponent(model)}`, { headers: { authorization: `Bearer ${payer.apiKey}` } })).ok, 20_000)
    }
    ahead.start()
  })
  after(async () => {
    await world.stop()
    await Promise.all([...Object.values(vendors), ...Object.values(shapes)].map((server) => server.stop()))
  })

  /** The prompt is the name of the break. */
  function answer(family: keyof typeof families, { path, body }: VendorRequest): Reply | { readonly cut: true } {
    if (path.includes('/models')) {
      const ids = family === 'openai' ? ['gpt-4o', 'text-embedding-3-small'] : ['claude-haiku-4-5-20251001']
      return { parts: [JSON.stringify({ data: ids.map((id) => ({ type: 'model', id, object: 'model', created: 1, owned_by: 'x', display_name: id, created_at: '2026-01-01T00:00:00Z' })), has_more: false })] }
    }
    const [message] = (body['messages'] ?? []) as { content: string | { text: string }[] }[]
    const text = message === undefined ? String([body['input']].flat()[0]) : typeof message.content === 'string' ? message.content : message.content[0]!.text
    if (text === 'cut before the headers') return { cut: true }
    if (message === undefined) return { parts: vectorBreaks[text] ?? [] }
    const { events, headers } = { events: shapes[family].events(ANSWER), headers: { 'content-type': 'text/event-stream' } }
    return { headers, parts: breaks[text]?.parts(events, families[family].head) ?? events }
  }

  const vectorBreaks: Readonly<Record<string, Part[]>> = {
    'cut after the headers': ['{"object":"list","data":[{"object":"embedding","index":0,"embedd', { cut: true }],
    'ended in the middle': ['{"object":"list","data":[{"object":"embedding","index":0,"embedd'],
    'malformed JSON': ['{"object":"list","data":[{"object":"embedding","index":0,"embedding":"AAAA"}},]'],
    'fewer vectors than texts': ['{"object":"list","model":"m","data":[],"usage":{"prompt_tokens":1,"total_tokens":1}}'],
  }

  async function expectRaised(endpoint: Endpoint, model: string, how: string, stream: boolean, delivered: string): Promise<void> {
    const { error, text, attempts } = await endpoint.ask(world.apis[0]!, payer.apiKey, { model, content: how, stream })
    const what = `${how}, stream: ${stream}, ${String(error)}`
    expect(text, what).to.equal(stream ? delivered : '')
    // A stream whose machine is slow has begun with a comment before it fails, and then it is not asked again.
    const hasBegun = stream && (delivered !== '' || (error as { status?: number } | undefined)?.status === undefined)
    expect(error, what).to.be.instanceOf(hasBegun ? endpoint.midStream : endpoint.serverError)
    expect(attempts, `attempts, ${what}`).to.be.within(hasBegun ? 1 : 1 + endpoint.retries, delivered !== '' && stream ? 1 : 1 + endpoint.retries)
    expect(error!.message, what).to.match(/OpenAI|Anthropic/).and.to.not.match(/sk-|\bat .+:\d+:\d+/)
  }

  const ahead = casesAhead(Object.fromEntries([
    ...Object.entries(families).flatMap(([family, { model }]) => Object.entries(endpoints).map(([name, endpoint]) => [`${name} at a vendor of the ${family} family: each break is raised`, async () => {
      // One that works, so that the others fail for their break alone.
      expect(await endpoint.ask(world.apis[0]!, payer.apiKey, { model, content: 'nothing breaks', stream: true })).to.deep.equal({ text: ANSWER.text!.join(''), error: undefined, attempts: 1 })
      await Promise.all(Object.entries(breaks).flatMap(([how, { text }], index) => [
        expectRaised(endpoint, model, how, true, text),
        // Whole answers are read from the same streams; `npm run test:thorough` looks at each break of them too.
        ...(isThorough || index % 3 === 0 ? [expectRaised(endpoint, model, how, false, text)] : []),
      ]))
    }] as const)),
    ...Object.entries(embeddingEndpoints).map(([name, endpoint]) => [`${name}: each break is raised`, () => Promise.all(
      ['cut before the headers', ...Object.keys(vectorBreaks)].map((how) => expectRaised(endpoint, 'openai/text-embedding-3-small', how, false, '')),
    )] as const),
  ]), { atOnce: 3 })
  ahead.declare(it)

  it('costs what was delivered and nothing else, and leaves nothing held', async () => {
    await until('nothing is held', async () => (await payer.credits()).held_micro_credits === '0', 20_000)
    const { problems } = await world.audit(0)
    expect(problems).to.deep.equal([])
  })
})
