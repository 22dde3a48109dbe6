/**
 * A server that speaks Ollama's native API: /api/version, tags, show, ps, embed, /api/chat as NDJSON, and /api/generate
 * without a prompt, which loads and unloads; with its error forms. It answers with numbered words, calls the tools it is
 * given, thinks where it is told to, and can be told to fail in the ways that Ollama fails.
 */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { happened } from './happened.ts'

export interface FakeOllamaModel {
  readonly name: string
  readonly digest?: string
  readonly capabilities?: readonly string[]
  readonly contextLength?: number
  readonly remoteHost?: string
  readonly architecture?: string
}

export interface OllamaBehaviour {
  /** Words of an answer that is not bounded by num_predict. */
  words: number
  gapMs: number
  /** Characters that each word is filled up to. */
  wordChars: number
  /** After so many words: an error line, or the socket is destroyed, or the answer just stops. */
  failAfter: number | undefined
  cutAfter: number | undefined
  stopAfter: number | undefined
  /** Before the first frame. */
  loadMs: number
  /** Answers with these messages in place of words, one in each frame. */
  messages: readonly object[] | undefined
  /** Answers /api/chat and /api/embed by itself where it gives true. */
  play: ((body: Record<string, unknown>, response: ServerResponse) => boolean) | undefined
  /** Answer every request with this status and error. */
  refuse: { readonly status: number; readonly error: string } | undefined
}

export interface OllamaServer {
  readonly host: string
  readonly behaviour: OllamaBehaviour
  models: FakeOllamaModel[]
  version: string
  readonly loaded: Set<string>
  /** Bodies of /api/chat and of /api/embed. */
  readonly chats: Record<string, unknown>[]
  readonly embeds: Record<string, unknown>[]
  /** Frames with text that the server has written, over all answers. */
  readonly framesWritten: number
  /** Answers whose client went away before the end. */
  readonly abandoned: number
  readonly requests: Record<string, number>
  /** Stops listening and breaks all connections; `listen` starts it again at the same address. */
  stop(): Promise<void>
  listen(): Promise<void>
}

const details = { parent_model: '', format: 'gguf', family: 'llama', families: ['llama'], parameter_size: '3.2B', quantization_level: 'Q4_K_M' }

export async function startOllamaServer(models: FakeOllamaModel[] = [{ name: 'llama3.2:latest' }]): Promise<OllamaServer> {
  let port = 0
  let framesWritten = 0
  let abandoned = 0
  const state: OllamaServer = {
    get host() { return `127.0.0.1:${port}` },
    behaviour: { words: 50, gapMs: 0, wordChars: 0, failAfter: undefined, cutAfter: undefined, stopAfter: undefined, loadMs: 0, messages: undefined, play: undefined, refuse: undefined },
    models,
    version: '0.13.0',
    loaded: new Set(),
    chats: [],
    embeds: [],
    requests: {},
    get framesWritten() { return framesWritten },
    get abandoned() { return abandoned },
    async stop() {
      server.closeAllConnections()
      await new Promise((resolve) => { server.close(resolve) })
    },
    async listen() {
      await new Promise<void>((resolve) => { server.listen(port, '127.0.0.1', resolve) })
      port = (server.address() as AddressInfo).port
    },
  }
  const server = createServer((request, response) => {
    handle(request, response).catch(() => response.destroy())
  })
  await state.listen()
  return state

  async function handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const path = request.url ?? ''
    state.requests[path] = (state.requests[path] ?? 0) + 1
    const { refuse } = state.behaviour
    if (refuse !== undefined) return json(response, refuse.status, { error: refuse.error })
    if (path === '/api/version') return json(response, 200, { version: state.version })
    if (path === '/api/tags') return json(response, 200, { models: state.models.map(tag) })
    if (path === '/api/ps') return json(response, 200, { models: [...state.loaded].map((name) => ({ name, model: name })) })
    const body = await bodyOf(request)
    // The client calls it by its old name where models are pulled and removed.
    const name = body['model'] ?? body['name']
    if (path === '/api/pull') return pull(String(name), response)
    const model = state.models.find((one) => one.name === name)
    if (model === undefined) return json(response, 404, { error: `model '${String(name)}' not found` })
    if (path === '/api/delete') {
      state.models = state.models.filter((one) => one !== model)
      response.writeHead(200).end()
      return
    }
    if (path === '/api/show') {
      return json(response, 200, {
        details, capabilities: model.capabilities ?? ['completion'],
        model_info: {
          'general.architecture': model.architecture ?? 'llama', 'general.parameter_count': 3_212_749_888, [`${model.architecture ?? 'llama'}.context_length`]: model.contextLength ?? 131_072,
        },
      })
    }
    if (path === '/api/generate') return json(response, 200, load(model, body))
    const unable = inabilityOf(model, path, body)
    if (unable !== undefined) return json(response, 400, { error: `"${model.name}" does not support ${unable}` })
    if (state.behaviour.play?.(body, response) === true) return
    if (path === '/api/embed') {
      state.embeds.push(body)
      state.loaded.add(model.name)
      return json(response, 200, embeddings(body))
    }
    state.chats.push(body)
    await chat(model, body, response)
  }

  /** A prompt is nothing that a provider sends here. */
  function load(model: FakeOllamaModel, body: Record<string, unknown>): object {
    const unloads = body['keep_alive'] === 0
    if (unloads) state.loaded.delete(model.name)
    else state.loaded.add(model.name)
    return { model: model.name, created_at: new Date().toISOString(), response: '', done: true, done_reason: unloads ? 'unload' : 'load' }
  }

  /** In frames as Ollama writes them: manifest, layers, check, success. */
  async function pull(name: string, response: ServerResponse): Promise<void> {
    const { failAfter, stopAfter } = state.behaviour
    response.writeHead(200, { 'content-type': 'application/x-ndjson' })
    if (name.startsWith('unknown')) {
      response.end('{"error":"pull model manifest: file does not exist"}\n')
      return
    }
    const digest = 'a80c4f17acd55265feec403c7aef86be0c25983ab279d83f3bcd3abbcb5b8b72'
    const layer = (completed: number): object => ({ status: `pulling ${digest.slice(0, 12)}`, digest: `sha256:${digest}`, total: 2_000_000, completed })
    const frames = [
      { status: 'pulling manifest' }, layer(0), layer(1_000_000), layer(2_000_000), { status: 'pulling 0123456789ab', digest: 'sha256:01', total: 500, completed: 500 },
      { status: 'verifying sha256 digest' }, { status: 'writing manifest' }, { status: 'success' },
    ]
    for (const [index, frame] of frames.entries()) {
      if (index === failAfter) {
        response.end('{"error":"max retries exceeded: EOF"}\n')
        return
      }
      if (index === stopAfter) {
        response.end()
        return
      }
      if (!response.write(`${JSON.stringify(frame)}\n`)) await happened(response, 'drain')
    }
    state.models = [...state.models, { name }]
    response.end()
  }

  async function chat(model: FakeOllamaModel, body: Record<string, unknown>, response: ServerResponse): Promise<void> {
    const { words, gapMs, wordChars, failAfter, cutAfter, stopAfter, loadMs, messages: scripted } = state.behaviour
    const options = (body['options'] ?? {}) as { num_predict?: number; stop?: string[] }
    const messages = body['messages'] as { role: string; content: string }[]
    const last = messages.at(-1)
    const from = last?.role === 'assistant' ? last.content.trim().split(/\s+/).length : 0
    let gone = false
    response.on('close', () => {
      gone = true
      if (!response.writableEnded) abandoned += 1
    })
    if (loadMs > 0) await happened(response, 'close', loadMs)
    if (gone) return
    state.loaded.add(model.name)
    response.writeHead(200, { 'content-type': 'application/x-ndjson' })
    const frame = (fields: object): string => `${JSON.stringify({ model: model.name, created_at: new Date().toISOString(), ...fields })}\n`

    if (scripted !== undefined) {
      for (const message of scripted) response.write(frame({ message: { role: 'assistant', content: '', ...message }, done: false }))
      response.end(frame({ message: { role: 'assistant', content: '' }, done_reason: 'stop', done: true, prompt_eval_count: 26, eval_count: 40, eval_duration: 5e8 }))
      return
    }
    const thoughts = model.capabilities?.includes('thinking') === true && body['think'] !== false ? ['Let me ', 'think.'] : []
    for (const thinking of thoughts) response.write(frame({ message: { role: 'assistant', content: '', thinking }, done: false }))
    const tools = (body['tools'] ?? []) as { function: { name: string } }[]
    if (tools.length > 0 && last?.role === 'user') {
      // Whole, and each in a frame of its own.
      for (const [index, tool] of tools.entries()) {
        response.write(frame({ message: { role: 'assistant', content: '', tool_calls: [{ function: { index, name: tool.function.name, arguments: { city: 'Bonn' } } }] }, done: false }))
      }
      response.end(frame({ message: { role: 'assistant', content: '' }, done_reason: 'stop', done: true, prompt_eval_count: 26, eval_count: 18 * tools.length + 1, eval_duration: 5e8 }))
      return
    }
    const all = body['format'] === undefined ? Array.from({ length: words }, (_, index) => word(index, wordChars)).slice(from) : ['{', '"ok"', ':', 'true', '}']
    const logprobsOf = (text: string): object => body['logprobs'] !== true ? {}
      : { logprobs: [{ token: text, logprob: -0.25, bytes: [...Buffer.from(text)], top_logprobs: Array.from({ length: Number(body['top_logprobs'] ?? 0) }, (_, index) => ({ token: `t${index}`, logprob: -1 - index })) }] }
    const limit = Math.max((options.num_predict ?? Infinity) - thoughts.length, 0)
    // Thoughts count too.
    let sent = 0
    let stopped = false
    for (const text of all) {
      if (gone || sent >= limit) break
      if (options.stop?.some((stop) => text.includes(stop)) === true) {
        stopped = true
        break
      }
      if (sent === failAfter) {
        response.end(`${JSON.stringify({ error: 'an error was encountered while running the model: CUDA error' })}\n`)
        return
      }
      if (sent === cutAfter) {
        // In the middle of a line, as a killed process leaves it.
        response.write('{"model":"llama3.2:latest","message":{"role":"assi', () => response.socket?.destroy())
        return
      }
      if (sent === stopAfter) {
        response.end()
        return
      }
      sent += 1
      framesWritten += 1
      if (!response.write(frame({ message: { role: 'assistant', content: text }, done: false, ...logprobsOf(text) }))) await happened(response, 'drain')
      if (gapMs > 0) await happened(response, 'close', gapMs)
    }
    if (gone) return
    const length = !stopped && sent < all.length
    response.end(frame({
      message: { role: 'assistant', content: '' }, done_reason: length ? 'length' : 'stop', done: true, total_duration: 9e8, load_duration: 1e6,
      // The end token is sampled and counted, but has no frame of its own.
      prompt_eval_count: 26, prompt_eval_duration: 1e8, eval_count: thoughts.length + (length ? sent : sent + 1), eval_duration: 5e8,
    }))
  }
}

/** What Ollama says that a model cannot do. */
function inabilityOf(model: FakeOllamaModel, path: string, body: Record<string, unknown>): string | undefined {
  const can = model.capabilities ?? ['completion']
  if (path === '/api/embed') return can.includes('embedding') ? undefined : 'embeddings'
  if (!can.includes('completion')) return 'chat'
  if (body['tools'] !== undefined && !can.includes('tools')) return 'tools'
  return body['think'] === true && !can.includes('thinking') ? 'thinking' : undefined
}

/** A vector of three numbers, or of as many as were asked for, made of the text's length. */
function embeddings(body: Record<string, unknown>): object {
  const inputs = [body['input']].flat() as string[]
  const dimensions = Number(body['dimensions'] ?? 3)
  return {
    model: body['model'], total_duration: 9e6, load_duration: 1e6, prompt_eval_count: inputs.length * 2,
    embeddings: inputs.map((input) => Array.from({ length: dimensions }, (_, index) => input.length / (index + 1))),
  }
}

function word(index: number, chars: number): string {
  return `w${index} `.padEnd(chars, '-')
}

function tag(model: FakeOllamaModel): object {
  return {
    name: model.name, model: model.name, modified_at: '2026-01-01T00:00:00Z', size: 2_019_393_189, details,
    digest: model.digest ?? 'a80c4f17acd55265feec403c7aef86be0c25983ab279d83f3bcd3abbcb5b8b72',
    ...(model.remoteHost === undefined ? {} : { remote_host: model.remoteHost, remote_model: model.name }),
  }
}

function json(response: ServerResponse, status: number, body: object): void {
  response.writeHead(status, { 'content-type': 'application/json; charset=utf-8' })
  response.end(JSON.stringify(body))
}

async function bodyOf(request: IncomingMessage): Promise<Record<string, unknown>> {
  let text = ''
  for await (const chunk of request) text += String(chunk)
  return JSON.parse(text === '' ? '{}' : text) as Record<string, unknown>
}
