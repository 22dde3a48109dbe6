import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect } from 'chai'
import { chat, getJson } from '../support/chat-client.ts'
import { startOllamaServer, type OllamaServer } from '../support/ollama-server.ts'
import { writeTinyModel } from '../support/provider-gguf.ts'
import { until } from '../support/until.ts'
import { removeDir, startUp, temporaryDir, type Up } from '../support/up.ts'

describe('a contributor with Ollama and broken model files', function () {
  this.timeout(60_000)
  let ollama: OllamaServer
  let up: Up
  let models = ''

  before(async () => {
    ollama = await startOllamaServer([{ name: 'llama3.2:latest' }])
    models = temporaryDir()
    writeFileSync(join(models, 'garbage.gguf'), 'this is no model')
    // llama.cpp aborts its process where this key is missing.
    await writeTinyModel(join(models, 'aborts.gguf'), { without: ['llama.attention.head_count'] })
    up = await startUp({ env: { TRIFORCE_OLLAMA: `http://${ollama.host}`, TRIFORCE_MODELS: models } })
  })
  after(async () => {
    await up.stop()
    await ollama.stop()
    removeDir(up.dir)
    removeDir(models)
  })

  const ask = (model: string, content = 'What is TriForce?') =>
    chat({ api: up.report.hubs[0]!.api, apiKey: up.report.apiKey, model, content })

  it('offers what Ollama has, and answers with it', async () => {
    await until('the hub lists it', async () =>
      (await getJson(up.report.hubs[0]!.api, up.report.apiKey, '/v1/models')).text.includes('llama3.2:latest'))
    const answer = await ask('llama3.2:latest')
    expect(answer.error).to.equal(undefined)
    expect(answer.done).to.equal(true)
    expect(answer.receipt).to.match(/^rcpt_/)
  })

  it('ends the stream with an error event when Ollama stops in mid-answer, and answers the next request', async () => {
    ollama.behaviour.words = 2_000
    ollama.behaviour.gapMs = 2
    let stopped: Promise<void> | undefined
    const chatting = chat({
      api: up.report.hubs[0]!.api, apiKey: up.report.apiKey, model: 'llama3.2:latest', content: 'a long one',
      onText: () => {
        stopped ??= ollama.stop()
      },
    })
    const answer = await chatting
    await stopped
    expect(answer.text).to.not.equal('')
    expect(answer.error).to.be.a('string')
    expect(answer.done).to.equal(false)
    expect((await ask('triforce-demo')).done).to.equal(true)
    ollama.behaviour.words = 20
    ollama.behaviour.gapMs = 0
    await ollama.listen()
    await until('Ollama is found again', async () => (await ask('llama3.2:latest')).done, 45_000)
  })

  it('lives on when a model file crashes the engine, and leaves such files out', async () => {
    const answer = await ask('aborts')
    expect(answer.done).to.equal(false)
    expect(answer.status).to.be.oneOf([200, 404, 502, 503])
    expect(answer.error).to.be.a('string')
    expect((await ask('garbage')).status).to.equal(404)
    const next = await ask('triforce-demo')
    expect(next.text).to.match(/^TriForce is a peer-to-peer federation/)
    expect(next.done).to.equal(true)
  })
})
