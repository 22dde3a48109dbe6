/**
 * Ollama's API. Its clients send JSON under any content type and a key in no header, so both are met here: `keyInPath`
 * takes a key out of the address.
 */
import type { IncomingMessage } from 'node:http'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { z } from 'zod'
import { modelIdField } from '../../../protocol/fields.ts'
import type { Clock } from '../../../protocol/ports.ts'
import type { Gateway } from '../../gateway.ts'
import type { CompletionRunner } from '../completion-runner.ts'
import type { EmbeddingRunner } from '../embedding-runner.ts'
import { parseJsonBody } from '../json-body.ts'
import { principalOf, type OnRequestHook } from '../key-hook.ts'
import { checkBody, unsupported } from '../request-check.ts'
import { optional } from '../request-parts.ts'
import { createOllamaWriter } from './answer.ts'
import { routeOllamaEmbed } from './embed.ts'
import { createOllamaNames, runningBody, showBody, tagBody } from './models.ts'
import { readOllamaChat, readOllamaGenerate, type OllamaRequest } from './request.ts'

export interface OllamaRoutesComponents {
  readonly gateway: Pick<Gateway, 'models' | 'status'>
  readonly embeddings: EmbeddingRunner
  readonly runner: CompletionRunner
  readonly requireKey: OnRequestHook
  readonly clock: Clock
}

/** The state of Ollama's API that is spoken here; clients look at it to know what they may ask. */
const OLLAMA_VERSION = '0.13.0'

export const ollamaNameSchema = z.looseObject({ model: optional(modelIdField), name: optional(modelIdField) })

/** What a machine's owner does at the machine. */
const ownersRoutes = [['POST', '/api/pull'], ['POST', '/api/push'], ['POST', '/api/create'], ['POST', '/api/copy'], ['DELETE', '/api/delete'], ['POST', '/api/blobs/*']] as const

export function routeOllama(parent: FastifyInstance, components: OllamaRoutesComponents): void {
  const { gateway, runner, requireKey, clock } = components
  const names = createOllamaNames(gateway)
  const keyed = { onRequest: requireKey }

  async function complete(kind: 'chat' | 'generate', asked: OllamaRequest, request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> {
    const principal = principalOf(request)
    const writer = createOllamaWriter({ kind, model: asked.model, clock })
    if (asked.completion === undefined) {
      await names.find(principal, asked.model)
      // Hosts load and unload as they see fit; the answer is the one that Ollama's clients wait for.
      const empty = kind === 'chat' ? { message: { role: 'assistant', content: '' } } : { response: '' }
      return reply.send({ model: asked.model, created_at: new Date(clock.now()).toISOString(), ...empty, done: true, done_reason: asked.unloads ? 'unload' : 'load' })
    }
    const completion = { ...asked.completion, model: await names.resolve(principal, asked.model) }
    await runner.run(request, reply, { ...asked, principal, completion, writer })
    return reply
  }

  void parent.register((app, _options, done) => {
    // `curl -d` names another type, and Ollama itself does not look.
    app.addContentTypeParser('*', { parseAs: 'string' }, parseJsonBody)
    app.post('/api/chat', keyed, (request, reply) => complete('chat', readOllamaChat(request.body, request.headers), request, reply))
    app.post('/api/generate', keyed, (request, reply) => complete('generate', readOllamaGenerate(request.body, request.headers), request, reply))

    routeOllamaEmbed(app, { ...components, names })

    app.get('/api/tags', keyed, async (request) => ({ models: (await gateway.models(principalOf(request))).map(tagBody) }))
    app.get('/api/ps', keyed, async (request) => {
      const models = await gateway.models(principalOf(request))
      return { models: models.filter(({ hosts, vendor }) => hosts > 0 && vendor === undefined).map((model) => runningBody(model, clock.now())) }
    })
    app.post('/api/show', keyed, async (request) => {
      const { model, name } = checkBody(ollamaNameSchema, request.body)
      return showBody(await names.find(principalOf(request), model ?? name ?? ''))
    })
    app.get('/api/version', (_request, reply) => {
      reply.send({ version: OLLAMA_VERSION, triforce: gateway.status().version })
    })
    // What clients ask to know whether Ollama is there, below the address that carries their key.
    app.get('/api', (_request, reply) => {
      reply.header('content-type', 'text/plain; charset=utf-8').send('Ollama is running')
    })

    for (const [method, url] of ownersRoutes) {
      app.route({
        method, url, ...keyed, handler: () => {
          throw unsupported(url.slice('/api/'.length), 'models are managed on the machines that lend them: run `ollama` there; GET /api/tags lists what is offered')
        },
      })
    }
    done()
  })
}

const KEY_PATH = /^\/key\/([\w-]{1,256})(?:\/?|(\/api(?:\/.*|\?.*)?))$/

/** `/key/KEY/api/chat` → `/api/chat` with the key in its header, for clients that can be given an address and nothing else. */
export function keyInPath(request: Pick<IncomingMessage, 'url' | 'headers'>): string {
  const [, key, path] = KEY_PATH.exec(request.url ?? '') ?? []
  if (key === undefined) return request.url ?? ''
  request.headers.authorization ??= `Bearer ${key}`
  return path ?? '/api'
}
