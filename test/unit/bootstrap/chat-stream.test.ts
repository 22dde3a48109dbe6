import { expect } from 'chai'
import type { ServerResponse } from 'node:http'
import { createApiClient } from '../../../bootstrap/api-client.ts'
import { streamChat, type ChatEvent } from '../../../bootstrap/chat-stream.ts'
import { ask, servedLine } from '../../../bootstrap/commands/chat-answer.ts'
import { answeringServer, json, sse, type AnsweringServer } from '../../support/process-sse-server.ts'
import { rejectionOf } from '../../support/process-rejection.ts'
import { keptTerminal } from '../../support/process-terminal.ts'

const request = { model: 'm', messages: [{ role: 'user', content: 'hi' }] } as const
const text = (content: string): object => ({ choices: [{ delta: { content }, finish_reason: null }] })
const finish = {
  choices: [{ delta: {}, finish_reason: 'stop' }],
  triforce: { host: '12D3KooWx', host_name: 'gpu', hub: 'hub-2', receipt: 'rcpt_00', durability: 'replicated', cost_micro_credits: '1500000', attempts: 1 },
}
const usage = { choices: [], usage: { prompt_tokens: 3, completion_tokens: 2 } }

describe('bootstrap/chat-stream', () => {
  let server: AnsweringServer | undefined
  afterEach(async () => {
    await server?.close()
    server = undefined
  })

  async function events(answer: (response: ServerResponse) => void, signal = new AbortController().signal): Promise<ChatEvent[]> {
    server = await answeringServer((_path, response) => answer(response))
    return Array.fromAsync(streamChat(createApiClient({ api: server.url, key: 'tf-k' }), request, { signal }))
  }

  it('gives comments, text and the end with everything about it', async () => {
    const seen = await events((response) => {
      sse(response, ': queued 2', text('Hel'), text('lo'), finish, usage, 'data: [DONE]')
      response.end()
    })
    expect(seen).to.deep.equal([
      { type: 'waiting', what: 'queued 2' }, { type: 'text', text: 'Hel' }, { type: 'text', text: 'lo' },
      {
        type: 'end', finish: 'stop', usage: { promptTokens: 3, completionTokens: 2 },
        served: { host: '12D3KooWx', hostName: 'gpu', hub: 'hub-2', receipt: 'rcpt_00', durability: 'replicated', costMicroCredits: 1_500_000n, attempts: 1 },
      },
    ])
    expect(JSON.parse(server!.requests[0]!.body)).to.deep.equal({
      model: 'm', messages: [{ role: 'user', content: 'hi' }], stream: true, stream_options: { include_usage: true },
    })
  })

  it('puts together events and letters that the network cut', async () => {
    const bytes = Buffer.from(`data: ${JSON.stringify(text('Grüße €'))}\n\ndata: ${JSON.stringify(finish)}\n\ndata: [DONE]\n\n`)
    const seen = await events((response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' })
      const writeFrom = (at: number): void => {
        if (at >= bytes.byteLength) return void response.end()
        response.write(bytes.subarray(at, at + 7), () => setImmediate(writeFrom, at + 7))
      }
      writeFrom(0)
    })
    expect(seen[0]).to.deep.equal({ type: 'text', text: 'Grüße €' })
    expect(seen.at(-1)?.type).to.equal('end')
  })

  it('throws an error that comes in the middle of the stream', async () => {
    const error = await rejectionOf(events((response) => {
      sse(response, text('Hel'), { choices: [{ delta: { content: '' }, finish_reason: 'error' }], error: { message: 'the engine failed', code: 'engine_failed' } })
      response.end()
    }))
    expect([error.code, error.message]).to.deep.equal(['ENGINE_FAILED', 'the engine failed'])
  })

  it('takes a stream that ends without its closing part for a failure', async () => {
    for (const parts of [[text('Hel')], [text('Hel'), finish], [text('Hel'), 'data: [DONE]']]) {
      const error = await rejectionOf(events((response) => {
        sse(response, ...parts)
        response.end()
      }))
      expect(error.code).to.equal('HOST_LOST')
      await server?.close()
      server = undefined
    }
  })

  it('refuses what is no chat completion', async () => {
    expect((await rejectionOf(events((response) => {
      sse(response, 'data: {"choices": 7}')
      response.end()
    }))).code).to.equal('FRAME_MALFORMED')
  })

  it('tells a refusal before the stream by its code', async () => {
    const error = await rejectionOf(events((response) => json(response, 503, { error: { message: 'no host is free', code: 'no_host' } })))
    expect([error.code, error.message]).to.deep.equal(['NO_HOST', 'no host is free'])
  })

  it('shows the answer without letters that steer the terminal, and closes with one line', async () => {
    server = await answeringServer((_path, response) => {
      sse(response, text('a\u001b[31mb\nc'), finish, usage, 'data: [DONE]')
      response.end()
    })
    const terminal = keptTerminal()
    const answer = await ask({ client: createApiClient({ api: server.url, key: undefined }), terminal }, request, {
      signal: new AbortController().signal, show: true,
    })
    expect(terminal.stdout()).to.equal('a[31mb\nc\n')
    expect(terminal.stderr()).to.equal('')
    expect(answer.text).to.equal('a\u001b[31mb\nc')
    expect(servedLine(answer)).to.equal('gpu via hub-2, 3+2 tokens, 1.5 credits, rcpt_00')
  })

  it('stops when it is told to', async () => {
    const stop = new AbortController()
    const error = await rejectionOf(events((response) => {
      sse(response, text('Hel'))
      setTimeout(() => stop.abort(), 20)
    }, stop.signal))
    expect(error.name).to.equal('AbortError')
  })
})
