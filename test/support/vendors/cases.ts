/**
 * What every vendor must do, as cases that run against a played vendor (`test/integration/clouds-cases.test.ts`) and,
 * where its key is in the environment, against the vendor itself (`npm run test:clouds`).
 */
import { expect } from 'chai'
import type { CompletionRequest } from '../../../protocol/completion.ts'
import type { StartedCloudProvider } from '../../../providers/cloud/cloud-provider.ts'
import type { ProviderEvent } from '../../../providers/interface.ts'
import { errorOf } from '../error-of.ts'
import { chatRequest, textOf } from '../provider-world.ts'
import type { PlayedAnswer } from './answers.ts'

export interface CloudCase {
  readonly name: string
  /** What a played vendor answers; absent: its own words. */
  readonly played?: PlayedAnswer | { readonly status: 401 | 404 }
  /** Only for vendors that have it. */
  readonly needs?: 'embeddings'
  /** False where the model cannot do it. */
  readonly applies?: (provider: StartedCloudProvider, model: string) => boolean
  readonly run: (provider: StartedCloudProvider, model: string) => Promise<void>
}

const weather = { name: 'weather', description: 'Tells the weather of a city', parameters: '{"type":"object","properties":{"city":{"type":"string"}},"required":["city"]}' }
/** Room for models that think before they answer. */
const TOKENS = 2_000
const STOPPED_MS_MAX = 5_000

interface Answer {
  readonly events: readonly ProviderEvent[]
  readonly text: string
  readonly end: Extract<ProviderEvent, { type: 'end' }>
}

async function ask(provider: StartedCloudProvider, model: string, fields: Partial<CompletionRequest>, options: { signal?: AbortSignal; ownKey?: string; onEvent?: (event: ProviderEvent) => void } = {}): Promise<Answer> {
  const events: ProviderEvent[] = []
  const { signal = new AbortController().signal, ownKey, onEvent } = options
  for await (const event of provider.run(chatRequest(model, { maxTokens: TOKENS, ...fields }), { signal, ...(ownKey === undefined ? {} : { ownKey }) })) {
    events.push(event)
    onEvent?.(event)
  }
  const end = events.at(-1)
  if (end?.type !== 'end') throw new Error('the answer has no end')
  return { events, text: textOf(events), end }
}

const say = (content: string): Partial<CompletionRequest> => ({ messages: [{ role: 'user', content }] })
const has = (capability: 'tools' | 'json') => (provider: StartedCloudProvider, model: string) => provider.models().find(({ id }) => id === model)?.capabilities.includes(capability) ?? true

export const cloudCases: readonly CloudCase[] = [
  {
    name: 'lists its models',
    run: async (provider) => {
      await provider.refresh()
      expect(provider.health().ok, provider.health().text).to.equal(true)
      expect(provider.models().some(({ capabilities }) => capabilities.includes('chat'))).to.equal(true)
    },
  },
  {
    name: 'answers, with a count of both sides',
    played: { text: ['Par', 'is'], finish: 'stop', usage: { prompt: 12, completion: 2 } },
    run: async (provider, model) => {
      const { text, end } = await ask(provider, model, say('What is the capital of France? Answer with its name only.'))
      expect(text).to.include('Paris')
      expect(end.finish).to.equal('stop')
      expect(end.usage.promptTokens).to.be.within(5, 500)
      expect(end.usage.completionTokens).to.be.within(1, TOKENS)
    },
  },
  {
    name: 'stops at a bound of tokens',
    played: { text: ['1, 2, 3'], finish: 'length', usage: { prompt: 12, completion: 16 } },
    run: async (provider, model) => {
      const { end } = await ask(provider, model, { ...say('Count from 1 to 1000, separated by commas.'), maxTokens: 16 })
      expect(end.finish).to.equal('length')
      expect(end.usage.completionTokens).to.be.below(100)
    },
  },
  {
    name: 'calls a tool with whole arguments',
    applies: has('tools'),
    played: { toolCalls: [{ id: 'abcDEF123', name: 'weather', arguments: ['{"city":', '"Paris"}'] }], finish: 'tool_calls', usage: { prompt: 60, completion: 20 } },
    run: async (provider, model) => {
      const { events, end } = await ask(provider, model, { ...say('What is the weather in Paris? Use the tool.'), tools: [weather], toolChoice: { type: 'required' } })
      const calls = events.filter((event) => event.type === 'toolCall')
      expect(calls[0]).to.include({ index: 0, name: 'weather' })
      expect(calls[0]!.id).to.match(/\S/)
      expect(JSON.parse(calls.filter(({ index }) => index === 0).map((call) => call.arguments).join(''))).to.have.property('city')
      expect(end.finish).to.equal('toolCalls')
    },
  },
  {
    name: 'goes on with what a tool gave',
    applies: has('tools'),
    played: { text: ['It has 31 degrees.'], finish: 'stop', usage: { prompt: 90, completion: 6 } },
    run: async (provider, model) => {
      const { text } = await ask(provider, model, {
        tools: [weather],
        messages: [
          { role: 'user', content: 'How many degrees has Paris? Answer with a number.' },
          { role: 'assistant', content: '', toolCalls: [{ id: 'call_of_another_vendor_1', name: 'weather', arguments: '{"city":"Paris"}' }] },
          { role: 'tool', content: '{"degrees":31}', toolCallId: 'call_of_another_vendor_1' },
        ],
      })
      expect(text).to.include('31')
    },
  },
  {
    name: 'gives any JSON',
    applies: has('json'),
    played: { text: ['{"city":', '"Paris"}'], finish: 'stop', usage: { prompt: 20, completion: 8 } },
    run: async (provider, model) => {
      const { text } = await ask(provider, model, { ...say('Give a JSON object with the key "city" and the capital of France as its value.'), responseFormat: { type: 'json_object' } })
      expect(JSON.parse(text)).to.have.property('city')
    },
  },
  {
    name: 'ends soon where it is left',
    run: async (provider, model) => {
      const leaving = new AbortController()
      let leftAt = 0
      const { end } = await ask(provider, model, { ...say('Count from 1 to 200, one number a line.'), maxTokens: 400 }, {
        signal: leaving.signal,
        onEvent: (event) => {
          if (event.type !== 'text' || leaving.signal.aborted) return
          leftAt = performance.now()
          leaving.abort()
        },
      })
      // Where the vendor was through with it before it heard of that, the end and the count are its own.
      expect(end.finish).to.be.oneOf(['cancelled', 'stop', 'length'])
      expect(end.usage.completionTokens).to.be.above(0)
      // Vendors that bill to the end are read to it.
      if (!provider.billsAborted) expect(performance.now() - leftAt).to.be.below(STOPPED_MS_MAX)
    },
  },
  {
    name: 'says that it does not have a model',
    played: { status: 404 },
    run: async (provider) => {
      const error = await errorOf(ask(provider, `${provider.vendor}/no-such-model-of-triforce`, say('hi')))
      expect(error.code, error.message).to.be.oneOf(['MODEL_NOT_FOUND', 'BAD_REQUEST'])
    },
  },
  {
    name: 'refuses a wrong key, and we do not show it',
    played: { status: 401 },
    run: async (provider, model) => {
      const ownKey = 'sk-wrong-key-0123456789abcdef'
      const error = await errorOf(ask(provider, model, say('hi'), { ownKey }))
      expect(error.code, error.message).to.equal('VENDOR_REFUSED')
      expect(error.message).not.to.include(ownKey).and.not.to.include('0123456789')
    },
  },
  {
    name: 'makes vectors',
    needs: 'embeddings',
    run: async (provider) => {
      const model = provider.models().find(({ capabilities }) => capabilities.includes('embedding'))!.id
      const { vectors, usage } = await provider.embed!({ kind: 'embedding', model, inputs: ['one', 'two'] }, { signal: new AbortController().signal })
      expect(vectors).to.have.length(2)
      expect(vectors[0]!.length).to.equal(vectors[1]!.length).and.to.be.above(0)
      expect(usage.promptTokens).to.be.above(0)
    },
  },
]
