import { join } from 'node:path'
import { expect } from 'chai'
import { textOf, type CompletionRequest } from '../../protocol/completion.ts'
import type { EmbeddedProvider } from '../../providers/embedded/provider.ts'
import { ollamaChat } from '../../providers/ollama-request.ts'
import { codeOf } from '../support/code-of.ts'
import { chatRequest, collect, realEmbedded, type RunResult } from '../support/provider-world.ts'
import { seededUnit } from '../support/seeded-random.ts'
import { SEED } from '../support/seed.ts'

const MODEL = 'triforce-demo'
const seed = SEED
const schema = JSON.stringify({ type: 'array', items: { type: 'string', minLength: 30, maxLength: 60 }, minItems: 20 })

/** The request that goes on after the first `events` pieces of text. */
function beginning(whole: RunResult, pieces: number, asked: CompletionRequest, ids = true): CompletionRequest {
  const given = whole.events.flatMap((event) => event.type === 'text' ? [event] : []).slice(0, pieces)
  const text = given.map((event) => event.text).join('')
  const { tokens } = given.at(-1)!
  return {
    ...asked, messages: [...asked.messages, { role: 'assistant', content: text }], continueLast: true, maxTokens: asked.maxTokens! - tokens,
    begun: { chars: text.length, tokens, ...(ids ? { ids: given.flatMap((event) => event.ids!) } : {}) },
  }
}

describe(`providers/embedded goes on with an answer that another host began (seed ${seed})`, function () {
  this.timeout(60_000)
  const unit = seededUnit(seed)
  let provider: EmbeddedProvider

  before(async () => {
    // A window of one token: each piece is one token, wherever it breaks.
    provider = await realEmbedded({ models: [{ path: join(import.meta.dirname, '..', '..', 'providers', 'demo-model', 'triforce-demo.gguf'), keepLoaded: true }], slots: 1, windowTokens: 1 })
  })
  after(async () => {
    await provider.close()
  })

  const asked: Readonly<Record<string, CompletionRequest>> = {
    'plain text': chatRequest(MODEL, { temperature: 0, maxTokens: 120, messages: [{ role: 'user', content: 'What is TriForce?' }] }),
    'JSON that a schema wants': chatRequest(MODEL, { temperature: 0, maxTokens: 120, responseFormat: { type: 'json_schema', schema } }),
    'text with a stop string and penalties': chatRequest(MODEL, { temperature: 0, maxTokens: 120, stop: ['machines'], frequencyPenalty: 0.3, messages: [{ role: 'user', content: 'What is TriForce?' }] }),
  }
  for (const [name, request] of Object.entries(asked)) {
    it(`token by token as it would have: ${name}`, async () => {
      const whole = await collect(provider, request)
      const pieces = whole.events.filter(({ type }) => type === 'text').length
      expect(pieces).to.be.above(10)
      for (let n = 0; n < 6; n += 1) {
        const at = 1 + Math.floor(unit() * (pieces - 1))
        const begun = beginning(whole, at, request)
        const rest = await collect(provider, begun)
        expect(textOf(begun.messages.at(-1)!) + rest.text, `after ${at} pieces`).to.equal(whole.text)
        expect(rest.end.finish).to.equal(whole.end.finish)
        expect(rest.end.usage.promptTokens, 'the beginning is no prompt').to.equal(whole.end.usage.promptTokens)
        expect(begun.begun!.tokens + rest.end.usage.completionTokens).to.equal(whole.end.usage.completionTokens)
      }
    })
  }

  it('by the text alone where ids are missing, of another vocabulary, or lie', async () => {
    const request = asked['plain text']!
    const whole = await collect(provider, request)
    const begun = beginning(whole, 8, request)
    for (const ids of [undefined, [4_000_000_000], begun.begun!.ids!.toReversed(), []]) {
      const { ids: _, ...rest } = begun.begun!
      const { text, end } = await collect(provider, { ...begun, begun: { ...rest, ...(ids === undefined ? {} : { ids }) } })
      expect(textOf(begun.messages.at(-1)!) + text).to.equal(whole.text)
      expect(end.finish).to.equal('stop')
    }
  })

  it('refuses a beginning that the schema does not allow', async () => {
    const request = asked['JSON that a schema wants']!
    const messages = [...request.messages, { role: 'assistant' as const, content: '{"no": 1}' }]
    expect(await codeOf(collect(provider, { ...request, messages, continueLast: true, begun: { chars: 9, tokens: 5 } }))).to.equal('CAPABILITY_MISSING')
  })

  it('at Ollama for text only', async () => {
    const model = { contextTokens: 1_000, capabilities: ['chat', 'json', 'continue'] } as unknown as Parameters<typeof ollamaChat>[1]
    const begun = { ...asked['plain text']!, continueLast: true, begun: { chars: 1, tokens: 1 } }
    expect(ollamaChat(begun, model, 1).body.messages).to.have.length(1)
    expect(await codeOf(() => ollamaChat({ ...begun, responseFormat: { type: 'json_object' } }, model, 1))).to.equal('CAPABILITY_MISSING')
    expect(await codeOf(() => ollamaChat({ ...begun, tools: [{ name: 'f', parameters: '{}' }] }, model, 1))).to.equal('CAPABILITY_MISSING')
  })
})
