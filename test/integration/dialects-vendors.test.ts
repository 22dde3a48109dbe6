/**
 * Every client at every kind of source: one internal form between them, so that each dialect and each adapter is written
 * once. Two turns with tools, streamed and whole: ids, order, arguments and usage arrive as they were sent.
 */
import { expect } from 'chai'
import type { CompletionEvent } from '../../node/gateway.ts'
import { createClouds } from '../../providers/cloud/clouds.ts'
import type { ProviderEvent } from '../../providers/interface.ts'
import { createOllamaProvider } from '../../providers/ollama.ts'
import type { CompletionRequest } from '../../protocol/completion.ts'
import { createRandom } from '../../bootstrap/system.ts'
import { settledEvent, TEST_KEY, type ScriptedRun } from '../support/bridge-gateway.ts'
import { startTestBridge, type TestBridge } from '../support/bridge-server.ts'
import { startOllamaServer } from '../support/ollama-server.ts'
import { realClock } from '../support/provider-world.ts'
import { quietLog } from '../support/quiet-log.ts'
import { toolClients } from '../support/tool-clients.ts'
import { startAnthropicVendor } from '../support/vendors/anthropic-vendor.ts'
import type { PlayedAnswer } from '../support/vendors/answers.ts'
import { startOpenAiVendor } from '../support/vendors/openai-vendor.ts'

interface Source {
  readonly model: string
  run(request: CompletionRequest, options: { readonly signal: AbortSignal }): AsyncIterable<ProviderEvent>
  /** The next answer calls both tools. */
  playCalls(): void
  playText(): void
  /** Ids of the calls and of their results in the request that came last. */
  seen(): { readonly calls: readonly (string | undefined)[]; readonly results: readonly (string | undefined)[] }
  close(): Promise<void>
}

const callsAnswer: PlayedAnswer = {
  text: ['Let me', ' look.'], finish: 'tool_calls', usage: { prompt: 50, completion: 20, cached: 10 },
  toolCalls: [{ id: 'call_paris', name: 'weather', arguments: ['{"city":', '"Paris"}'] }, { id: 'call_rome', name: 'weather', arguments: ['{"city":"Rome"}'] }],
}
const textAnswer: PlayedAnswer = { text: ['Rain,', ' and sun.'], finish: 'stop', usage: { prompt: 90, completion: 2 } }

const cloudParts = () => ({ clock: realClock(), random: createRandom(), log: quietLog('clouds') })

const sources: Readonly<Record<string, () => Promise<Source>>> = {
  async 'a vendor of the OpenAI family'() {
    const server = await startOpenAiVendor('openai')
    const clouds = createClouds(cloudParts(), { access: [{ vendor: 'openai', key: 'key-of-hub', baseUrl: `${server.origin}/v1` }] })
    await clouds.start()
    return {
      model: 'openai/gpt-4o',
      run: (request, options) => clouds.vendor('openai')!.run(request, options),
      playCalls: () => server.script.push(server.reply(callsAnswer)),
      playText: () => server.script.push(server.reply(textAnswer)),
      seen() {
        const messages = server.requests.at(-1)!.body['messages'] as { role: string; tool_call_id?: string; tool_calls?: { id: string }[] }[]
        return { calls: messages.flatMap(({ tool_calls: calls }) => calls?.map(({ id }) => id) ?? []), results: messages.filter(({ role }) => role === 'tool').map((message) => message.tool_call_id) }
      },
      async close() {
        await clouds.close()
        await server.stop()
      },
    }
  },

  async 'Anthropic'() {
    const server = await startAnthropicVendor()
    const clouds = createClouds(cloudParts(), { access: [{ vendor: 'anthropic', key: 'key-of-hub', baseUrl: server.origin }] })
    await clouds.start()
    return {
      model: 'anthropic/claude-haiku-4-5-20251001',
      run: (request, options) => clouds.vendor('anthropic')!.run(request, options),
      playCalls: () => server.script.push(server.reply(callsAnswer)),
      playText: () => server.script.push(server.reply(textAnswer)),
      seen() {
        const blocks = (server.requests.at(-1)!.body['messages'] as { content: { type: string; id?: string; tool_use_id?: string }[] }[]).flatMap(({ content }) => content)
        return { calls: blocks.filter(({ type }) => type === 'tool_use').map(({ id }) => id), results: blocks.filter(({ type }) => type === 'tool_result').map((block) => block.tool_use_id) }
      },
      async close() {
        await clouds.close()
        await server.stop()
      },
    }
  },

  async 'Ollama'() {
    const server = await startOllamaServer([{ name: 'able:8b', capabilities: ['completion', 'tools'] }])
    const provider = createOllamaProvider({ clock: realClock(), random: createRandom(), log: quietLog('ollama') }, { host: server.host })
    await provider.start()
    const call = (city: string) => ({ tool_calls: [{ function: { name: 'weather', arguments: { city } } }] })
    return {
      model: 'able:8b',
      run: (request, options) => provider.run(request, options),
      playCalls() { server.behaviour.messages = [{ content: 'Let me' }, { content: ' look.' }, call('Paris'), call('Rome')] },
      playText() { server.behaviour.messages = [{ content: 'Rain,' }, { content: ' and sun.' }] },
      seen() {
        const messages = server.chats.at(-1)!['messages'] as { role: string; tool_call_id?: string; tool_calls?: { id: string }[] }[]
        return { calls: messages.flatMap(({ tool_calls: calls }) => calls?.map(({ id }) => id) ?? []), results: messages.filter(({ role }) => role === 'tool').map((message) => message.tool_call_id) }
      },
      async close() {
        await provider.close()
        await server.stop()
      },
    }
  },
}

for (const [sourceName, setup] of Object.entries(sources)) {
  describe(`clients at ${sourceName}`, () => {
    let source: Source
    let test: TestBridge

    before(async () => {
      source = await setup()
      test = await startTestBridge()
      test.gateway.script = (run) => eventsOf(source, run)
    })
    after(async () => {
      await test.stop()
      await source.close()
    })

    for (const [clientName, connect] of Object.entries(toolClients)) {
      for (const stream of [true, false]) {
        it(`${clientName}, ${stream ? 'streamed' : 'whole'}: calls two tools, and answers from their results`, async () => {
          const client = connect(test.url, TEST_KEY)
          source.playCalls()
          const first = await client.first(source.model, stream)
          expect(first.text).to.equal('Let me look.')
          expect(first.calls.map(({ name, input }) => ({ name, input }))).to.deep.equal([{ name: 'weather', input: { city: 'Paris' } }, { name: 'weather', input: { city: 'Rome' } }])
          // Ollama has no ids of its own; the fake counts 40 tokens and the end of the answer.
          const own = sourceName === 'Ollama'
          if (!own) expect(first.calls.map(({ id }) => id)).to.deep.equal(['call_paris', 'call_rome'])
          expect(first.usage).to.deep.equal(own ? { prompt: 26, completion: 39 } : { prompt: 50, completion: 20 })

          source.playText()
          const second = await client.second(source.model, stream, first)
          expect(second).to.deep.equal({ text: 'Rain, and sun.', calls: [], usage: own ? { prompt: 26, completion: 39 } : { prompt: 90, completion: 2 } })
          const [paris, rome] = first.calls.map(({ id }) => id)
          expect(source.seen()).to.deep.equal({ calls: [paris, rome], results: [rome, paris] })
        })
      }
    }
  })
}

async function* eventsOf(source: Pick<Source, 'run'>, run: ScriptedRun): AsyncIterable<CompletionEvent> {
  for await (const event of source.run(run.request, { signal: run.signal })) {
    if (event.type === 'state') continue
    if (event.type !== 'end') yield event
    else yield { type: 'finish', finish: event.finish, usage: event.usage }
  }
  yield settledEvent
}
