/**
 * A contributor whose engine breaks, in every way and at every endpoint: the official clients, the bridge of a hub or of a
 * consumer, libp2p, and a contributor with Ollama. And one whose machine dies in the middle of an answer.
 */
import type { ServerResponse } from 'node:http'
import { expect } from 'chai'
import type { RunningNode } from '../../bootstrap/running-node.ts'
import { casesAhead } from '../support/cases-ahead.ts'
import { testKey } from '../support/federation.ts'
import { startNodes, type TestNodes } from '../support/nodes.ts'
import { startOllamaServer, type OllamaServer } from '../support/ollama-server.ts'
import { embeddingEndpoints, endpoints, type Endpoint } from '../support/sdk-endpoints.ts'
import { isThorough } from '../support/thorough.ts'
import { until } from '../support/until.ts'

const CHAT = 'able:8b'
const EMBEDDING = 'nomic-embed-text:latest'
const THREE = 'aaaabbbbcccc'
const MIB = 1024 * 1024
const NOT_OFFERED = /no peer of the federation offers|cannot be reached/

const frame = (content: string) => `${JSON.stringify({ model: CHAT, created_at: '2026-01-01T00:00:00Z', message: { role: 'assistant', content }, done: false })}\n`
const PIECES = ['aaaa', 'bbbb', 'cccc'].map(frame)

/** Each write waits for the one before. */
async function write(response: ServerResponse, texts: Iterable<string>): Promise<void> {
  response.writeHead(200, { 'content-type': 'application/x-ndjson' })
  response.flushHeaders()
  for (const text of texts) {
    if (response.destroyed) return
    await new Promise((resolve) => { response.write(text, resolve) })
  }
}

/** How a play ends, and what of a stream had been delivered. */
const breaks: Readonly<Record<string, { readonly play: (response: ServerResponse) => Promise<void>; readonly text: string }>> = {
  'cut before the headers': { play: (response) => Promise.resolve(void response.destroy()), text: '' },
  'cut after the headers': { play: async (response) => { await write(response, []); response.destroy() }, text: '' },
  'cut after three pieces': { play: async (response) => { await write(response, PIECES); response.destroy() }, text: THREE },
  'ended before the count': { play: async (response) => { await write(response, PIECES); response.end() }, text: THREE },
  'malformed JSON': { play: async (response) => { await write(response, [...PIECES, '{"model":"x","message":{"role\n']); response.end() }, text: THREE },
  'an error line': { play: async (response) => { await write(response, [...PIECES, '{"error":"CUDA error"}\n']); response.end() }, text: THREE },
  'a line without an end': { play: (response) => write(response, [...PIECES, '{"x":"', ...Array.from({ length: 8 }, () => 'y'.repeat(MIB))]), text: THREE },
}

const vectorBreaks: typeof breaks = {
  'no vectors: cut before the headers': { play: (response) => Promise.resolve(void response.destroy()), text: '' },
  'no vectors: cut in the middle': { play: async (response) => { await write(response, ['{"embeddings":[[1,2']); response.destroy() }, text: '' },
  'no vectors: ended in the middle': { play: async (response) => { await write(response, ['{"embeddings":[[1,2']); response.end() }, text: '' },
  'no vectors: fewer than texts': { play: async (response) => { await write(response, ['{"embeddings":[]}']); response.end() }, text: '' },
  'no vectors: no numbers': { play: async (response) => { await write(response, ['{"embeddings":[["x"]]}']); response.end() }, text: '' },
}

describe('contributors that break', function () {
  this.timeout(120_000)
  let ollama: OllamaServer
  let nodes: TestNodes
  let consumer: RunningNode

  before(async () => {
    ollama = await startOllamaServer([{ name: CHAT, capabilities: ['completion'] }, { name: EMBEDDING, capabilities: ['embedding'] }])
    ollama.behaviour.words = 3
    // The prompt is the name of the break.
    ollama.behaviour.play = ({ messages, input }, response) => {
      const text = (messages as { content: string }[] | undefined)?.at(-1)?.content ?? String([input].flat()[0])
      const played = breaks[text] ?? vectorBreaks[text]
      // What a client that has gone does to a write is no concern of the server.
      played?.play(response).catch(() => undefined)
      return played !== undefined
    }
    nodes = await startNodes({ tier: 'unlimited' })
    await nodes.start('contributor', testKey(), { mode: 'contributor', ollama: { url: ollama.host }, slots: 8 })
    consumer = await nodes.start('consumer', testKey(), { mode: 'consumer', apiKey: nodes.key })
    await until('it has reached the hub', async () => (await fetch(`${consumer.api}/ready`)).status === 200)
    await offered()
    ahead.start()
  })
  after(async () => {
    await nodes.stop()
    await ollama.stop()
  })

  async function offered(): Promise<void> {
    for (const hub of nodes.hubs) await until('the models are offered', () => [CHAT, EMBEDDING].every((model) => hub.status().models.some(({ id, hosts }) => id === model && hosts === 1)), 30_000)
  }

  const places = { 'a hub': () => nodes.hubs[0]!.api, 'a consumer': () => consumer.api }

  async function expectRaised(api: string, endpoint: Endpoint, model: string, how: string, stream: boolean, delivered: string): Promise<void> {
    let { error, text } = await endpoint.ask(api, nodes.key, { model, content: how, stream })
    // After a failure the contributor looks at its Ollama anew; on a machine that is slow it offers nothing meanwhile.
    for (let again = 0; again < 5 && NOT_OFFERED.test(String(error)); again += 1) {
      await offered()
      ;({ error, text } = await endpoint.ask(api, nodes.key, { model, content: how, stream }))
    }
    const what = `${how}, stream: ${stream}, ${String(error)}`
    expect(text, what).to.equal(stream ? delivered : '')
    // A stream whose machine is slow has begun with a comment before it fails.
    expect(error, what).to.be.instanceOf(stream ? endpoint.midStream : endpoint.serverError)
    expect(error!.message, what).to.not.match(/\bat .+:\d+:\d+/)
  }

  const ahead = casesAhead(Object.fromEntries(Object.entries(places).flatMap(([where, api]) => [
    // The way from a consumer is one for all dialects: one of each family stands for the others but in `npm run test:thorough`.
    ...Object.entries(endpoints).filter(([name]) => where === 'a hub' || isThorough || /chat|messages/.test(name)).map(([name, endpoint]) => [`${name} at ${where}: each break is raised`, async () => {
      expect(await endpoint.ask(api(), nodes.key, { model: CHAT, content: 'nothing breaks', stream: true })).to.deep.equal({ text: 'w0 w1 w2 ', error: undefined, attempts: 1 })
      await Promise.all(Object.entries(breaks).map(([how, { text }]) => expectRaised(api(), endpoint, CHAT, how, true, text)))
      await expectRaised(api(), endpoint, CHAT, 'cut after three pieces', false, '')
    }] as const),
    [`embeddings at ${where}: each break is raised`, () => Promise.all(
      Object.values(embeddingEndpoints).flatMap((endpoint) => Object.keys(vectorBreaks).map((how) => expectRaised(api(), endpoint, EMBEDDING, how, false, ''))),
    )] as const,
  ])), { atOnce: 3 })
  ahead.declare(it)

  it('a machine that dies in the middle: every client raises it', async () => {
    const mortal = await nodes.start('mortal', testKey(), { mode: 'contributor', ollama: 'off', slots: 16 }, { benchSource: true })
    await until('it is offered', () => nodes.hubs[0]!.status().models.some(({ id, hosts }) => id === 'bench-source' && hosts === 1), 15_000)
    const asked = Object.entries(endpoints).flatMap(([name, endpoint]) => [true, false].map(async (stream) => ({
      what: `${name}, stream: ${stream}`, stream, outcome: await endpoint.ask(nodes.hubs[0]!.api, nodes.key, { model: 'bench-source', content: 'tokens=100000 gapMs=20 batch=1', stream }),
    })))
    await until('all of them run', () => mortal.status().jobs.running === asked.length, 20_000)
    await new Promise((resolve) => { setTimeout(resolve, 200) })
    // No drain: its connections end as those of a machine that lost its power.
    await mortal.stop({ signal: AbortSignal.abort() })
    for (const { what, stream, outcome } of await Promise.all(asked)) {
      expect(outcome.error, what).to.be.instanceOf(Error)
      if (!stream) expect(outcome.text, what).to.equal('')
    }
  })
})
