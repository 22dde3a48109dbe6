import { expect } from 'chai'
import { createClouds, type Clouds } from '../../providers/cloud/clouds.ts'
import { chatRequest, collect, fixedRandom, realClock } from '../support/provider-world.ts'
import { quietLog } from '../support/quiet-log.ts'
import { errorOf } from '../support/error-of.ts'
import type { PlayedAnswer } from '../support/vendors/answers.ts'
import { openAiErrorCases } from '../support/vendors/error-cases.ts'
import { startOpenAiVendor, type OpenAiVendorServer } from '../support/vendors/openai-vendor.ts'

const VENDORS = Object.keys(openAiErrorCases) as (keyof typeof openAiErrorCases)[]

const tools = [{ name: 'weather', description: 'Weather of a city', parameters: '{"type":"object","properties":{"city":{"type":"string"}}}' }]

for (const id of VENDORS) {
  describe(`providers/cloud, ${id}`, () => {
    let server: OpenAiVendorServer
    let clouds: Clouds
    let model: string

    before(async () => {
      server = await startOpenAiVendor(id)
      clouds = createClouds({ clock: realClock(), random: fixedRandom(), log: quietLog('clouds') }, { access: [{ vendor: id, key: 'key-of-hub', baseUrl: `${server.origin}/v1` }] })
      await clouds.start()
      model = clouds.models().find(({ capabilities }) => capabilities.includes('tools'))!.id
    })
    after(async () => {
      await clouds.close()
      await server.stop()
    })

    const play = (answer: PlayedAnswer, fields: Parameters<typeof chatRequest>[1] = {}) => {
      server.script.push(server.reply(answer))
      return collect(clouds.vendor(id)!, chatRequest(model, fields))
    }

    it('streams text and takes the usage from where this vendor tells it', async () => {
      const result = await play({ text: ['Hel', 'lo'], finish: 'stop', usage: { prompt: 9, completion: 2 } })
      expect(result.text).to.equal('Hello')
      expect(result.end).to.deep.equal({ type: 'end', finish: 'stop', usage: { promptTokens: 9, completionTokens: 2 } })
    })

    it('counts reasoning and cached tokens apart and not twice', async () => {
      const result = await play({ reasoning: ['Hm', '.'], text: ['42'], finish: 'stop', usage: { prompt: 100, completion: 30, cached: 64, reasoning: 20 } })
      expect(result.events.flatMap((event) => event.type === 'reasoning' ? event.text : []).join('')).to.equal('Hm.')
      expect(result.text).to.equal('42')
      expect(result.end.usage).to.deep.equal({ promptTokens: 100, completionTokens: 30, cachedPromptTokens: 64, reasoningTokens: 20 })
    })

    it('gives two tool calls with their ids, names, order and arguments', async () => {
      const result = await play({
        toolCalls: [{ id: 'abcDEF123', name: 'weather', arguments: ['{"city":', '"Paris"}'] }, { id: 'ghiJKL456', name: 'weather', arguments: ['{"city":"Rome"}'] }],
        finish: 'tool_calls', usage: { prompt: 50, completion: 20 },
      }, { tools })
      const calls: { id: string | undefined; name: string | undefined; arguments: string }[] = []
      for (const event of result.events) {
        if (event.type !== 'toolCall') continue
        const call = calls[event.index]
        if (call === undefined) calls.push({ id: event.id, name: event.name, arguments: event.arguments })
        else call.arguments += event.arguments
      }
      expect(calls).to.deep.equal([{ id: 'abcDEF123', name: 'weather', arguments: '{"city":"Paris"}' }, { id: 'ghiJKL456', name: 'weather', arguments: '{"city":"Rome"}' }])
      expect(result.end.finish).to.equal('toolCalls')
    })

    for (const [word, finish] of [['length', 'length'], ['content_filter', 'filtered']] as const) {
      it(`says ${finish} where the vendor ends with its word for ${word}`, async () => {
        expect((await play({ text: ['x'], finish: word, usage: { prompt: 5, completion: 1 } })).end.finish).to.equal(finish)
      })
    }

    it('sends the key, and no header or field of another vendor', async () => {
      await play({ text: ['x'], finish: 'stop', usage: { prompt: 5, completion: 1 } }, { maxTokens: 7, temperature: 1 })
      const { headers, body } = server.requests.at(-1)!
      expect(headers.authorization).to.equal('Bearer key-of-hub')
      expect(Object.keys(headers).filter((name) => name.startsWith('x-stainless') || name.startsWith('openai-'))).to.deep.equal([])
      expect(body['stream']).to.equal(true)
      expect(body['model']).to.equal(model.slice(id.length + 1))
      expect(body[['openai', 'groq', 'cerebras', 'xai'].includes(id) ? 'max_completion_tokens' : 'max_tokens']).to.equal(7)
      expect('stream_options' in body).to.equal(!['groq', 'mistral', 'together', 'openrouter'].includes(id))
    })

    for (const error of openAiErrorCases[id]) {
      it(`makes ${error.code} of ${error.name} (${error.status}), after one attempt, without its key`, async () => {
        const asked = server.requests.length
        server.script.push({ status: error.status, headers: error.headers ?? {}, parts: [JSON.stringify(error.body)] })
        const thrown = await errorOf(collect(clouds.vendor(id)!, chatRequest(model)))
        expect(thrown.code, thrown.message).to.equal(error.code)
        if (error.retryAfterMs !== undefined) expect(thrown.retryAfterMs).to.equal(error.retryAfterMs)
        if (error.says !== undefined) expect(thrown.message).to.include(error.says)
        expect(thrown.message).not.to.match(/key-of-hub|sk-|\*{3}|https?:/)
        expect(server.requests.length - asked).to.equal(1)
      })
    }

    it('lists chat and embedding models only', () => {
      expect(clouds.models().length).to.be.greaterThan(1)
      expect(clouds.models().every(({ id: own, contextTokens }) => own.startsWith(`${id}/`) && contextTokens > 0)).to.equal(true)
      expect(clouds.models().filter(({ id: own }) => /whisper|dall-e|tts|imagen|FLUX|image-1212|retired|moderation/.test(own))).to.deep.equal([])
    })
  })
}
