import { expect } from 'chai'
import * as fc from 'fast-check'
import { keyInPath } from '../../../../../node/bridge/ollama/routes.ts'
import { readOllamaChat, readOllamaGenerate } from '../../../../../node/bridge/ollama/request.ts'
import { completionRequestSchema } from '../../../../../protocol/completion.ts'
import { toTriforceError } from '../../../../../protocol/errors.ts'
import { PNG } from '../../../../support/bridge-sdk.ts'
import { SEED } from '../../../../support/seed.ts'

const least = { model: 'demo', messages: [{ role: 'user', content: 'hi' }] }

describe('node/bridge/ollama/request', () => {
  it('reads the least bodies, which ask for a stream', () => {
    const completion = { model: 'demo', messages: [{ role: 'user', content: 'hi' }], continueLast: false, stop: [], responseFormat: { type: 'text' } }
    expect(readOllamaChat(least)).to.deep.equal({ completion, model: 'demo', stream: true, unloads: false })
    expect(readOllamaGenerate({ model: 'demo', prompt: 'hi', stream: false })).to.deep.equal({ completion, model: 'demo', stream: false, unloads: false })
  })

  it('reads options that ask for nothing as nothing', () => {
    const options = { num_predict: -1, top_k: 0, seed: -1, stop: [], mirostat: 0, repeat_penalty: 1, tfs_z: 1, typical_p: 1 }
    expect(readOllamaChat({ ...least, options, format: '', tools: [], think: null }).completion).to.deep.equal({ ...readOllamaChat(least).completion })
  })

  it('reads roles of any case, and wishes of the choice of a host', () => {
    const { completion, routing } = readOllamaChat({ ...least, messages: [{ role: 'User', content: 'hi' }], provider: { only: ['gpu-box'] } }, { 'x-triforce-privacy': 'friends' })
    expect(completion?.messages).to.deep.equal([{ role: 'user', content: 'hi' }])
    expect(routing).to.deep.equal({ only: ['gpu-box'], privacy: 'friends' })
  })

  it('tells a load from an unload', () => {
    expect(readOllamaGenerate({ model: 'demo' })).to.deep.equal({ model: 'demo', stream: true, unloads: false })
    expect(readOllamaChat({ model: 'demo', messages: [], keep_alive: 0 })).to.include({ unloads: true })
    expect(readOllamaGenerate({ model: 'demo', prompt: '', images: [PNG] }).completion?.messages[0]?.content).to.have.length(1)
  })

  it('gives a valid request or a clear error for whatever is sent', () => {
    const seed = SEED
    console.log(`      seed ${seed}`)
    const mostly = (good: fc.Arbitrary<unknown>) => fc.oneof({ weight: 40, arbitrary: good }, { weight: 1, arbitrary: fc.jsonValue() })
    const maybe = (good: fc.Arbitrary<unknown>) => fc.option(mostly(good), { nil: undefined })
    const json = fc.object({ maxDepth: 1, maxKeys: 3 })
    const name = fc.string({ minLength: 1, maxLength: 20 })
    const call = fc.record({ id: fc.option(fc.string(), { nil: undefined }), function: fc.record({ name, arguments: json }) })
    const message = fc.oneof(
      fc.record({ role: fc.constantFrom('user', 'system', 'Assistant'), content: fc.string({ unit: 'binary' }) }),
      fc.record({ role: fc.constant('user'), content: fc.string(), images: fc.array(fc.constantFrom(PNG, PNG, 'aGk='), { maxLength: 2 }) }),
      fc.record({ role: fc.constant('assistant'), content: fc.string(), thinking: maybe(fc.string()), tool_calls: fc.array(call, { maxLength: 2 }) }),
      fc.record({ role: fc.constant('tool'), content: fc.string(), tool_name: maybe(name) }),
    )
    const body = fc.record({
      model: fc.constantFrom('demo', 'a/b:c', 'ü'), messages: mostly(fc.array(message, { minLength: 1, maxLength: 4 })), prompt: maybe(fc.string()), stream: maybe(fc.boolean()),
      format: maybe(fc.oneof(fc.constantFrom('json', ''), json)), think: maybe(fc.constantFrom(true, false, 'low', 'x')), logprobs: fc.boolean(), top_logprobs: maybe(fc.nat(25)),
      tools: maybe(fc.array(fc.record({ type: fc.constant('function'), function: fc.record({ name, parameters: maybe(json) }) }), { maxLength: 2 })),
      options: maybe(fc.record({ num_predict: maybe(fc.integer()), seed: maybe(fc.maxSafeInteger()), temperature: maybe(fc.double({ min: 0, max: 2.5 })), stop: maybe(fc.oneof(name, fc.array(name, { maxLength: 5 }))), top_k: maybe(fc.nat()) })),
    })
    let accepted = 0
    fc.assert(fc.property(body, (value) => {
      for (const read of [readOllamaChat, readOllamaGenerate]) {
        try {
          const { completion } = read(value)
          if (completion !== undefined) completionRequestSchema.parse(completion)
          accepted += 1
        } catch (error) {
          expect(toTriforceError(error).code).to.equal('BAD_REQUEST')
        }
      }
    }), { seed, numRuns: 500 })
    expect(accepted).to.be.greaterThan(50)
  })
})

describe('node/bridge/ollama: a key in the address', () => {
  const read = (url: string, headers: Record<string, string> = {}) => ({ url: keyInPath({ url, headers }), headers })

  it('becomes a header, and the address the one behind it', () => {
    for (const [url, path] of [['/key/tf-1/api/chat', '/api/chat'], ['/key/tf-1/api/tags?x=1', '/api/tags?x=1'], ['/key/tf-1', '/api'], ['/key/tf-1/', '/api'], ['/key/tf-1/api', '/api']] as const) {
      expect(read(url), url).to.deep.equal({ url: path, headers: { authorization: 'Bearer tf-1' } })
    }
  })

  it('does not take the place of a header', () => {
    expect(read('/key/tf-1/api/chat', { authorization: 'Bearer tf-2' }).headers).to.deep.equal({ authorization: 'Bearer tf-2' })
  })

  it('opens no other address', () => {
    for (const url of ['/key/tf-1/v1/models', '/key/tf-1/../v1/models', '/key/a b/api/chat', '/key//api/chat', '/key/tf-1/apix', '/v1/models', '/api/chat', '']) {
      expect(read(url), url).to.deep.equal({ url, headers: {} })
    }
  })
})
