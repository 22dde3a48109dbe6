/** What a supervisor and a curious human ask: the greeting, `/health`, `/ready`, `/metrics`. */
import helmet from '@fastify/helmet'
import type { FastifyInstance } from 'fastify'
import type { Gateway } from '../gateway.ts'
import type { OnRequestHook } from './key-hook.ts'
import type { BridgeMetrics } from './metrics.ts'

export interface HealthComponents {
  readonly gateway: Pick<Gateway, 'status'>
  readonly metrics: BridgeMetrics
  /** Where metrics are not for everybody who can reach the server. */
  readonly metricsKey: OnRequestHook | undefined
  readonly isStopping: () => boolean
}

export function routeHealth(app: FastifyInstance, components: HealthComponents): void {
  const { gateway, metrics, metricsKey, isStopping } = components

  // The process lives and its event loop turns; asks nobody else, so it cannot fail for another's fault.
  app.get('/health', (_request, reply) => {
    reply.send({ status: 'ok' })
  })

  app.get('/ready', (_request, reply) => {
    const { ready, waitingFor } = gateway.status()
    const missing = isStopping() ? ['the node is shutting down'] : waitingFor
    const ok = ready && !isStopping()
    reply.code(ok ? 200 : 503).send({ ready: ok, waiting_for: missing })
  })

  app.get('/metrics', metricsKey === undefined ? {} : { onRequest: metricsKey }, async (_request, reply) => {
    return reply.header('content-type', metrics.registry.contentType).send(await metrics.registry.metrics())
  })

  // Pages for browsers stand in a scope of their own, where helmet sets their headers.
  void app.register(async (pages) => {
    // Helmet's policy takes the place of the one for programs.
    pages.addHook('onRequest', (_request, reply, done) => {
      reply.removeHeader('content-security-policy')
      done()
    })
    await pages.register(helmet, {
      // The server speaks plain HTTP, so a browser must not be told to come back by HTTPS.
      strictTransportSecurity: false,
      contentSecurityPolicy: { directives: { upgradeInsecureRequests: null } },
    })
    pages.get('/', (_request, reply) => {
      const { name, mode, network, version } = gateway.status()
      reply.header('content-type', 'text/plain; charset=utf-8').send(
        `TriForce ${version}: node "${name}" (${mode}) of the federation "${network}".\n\n`
        + 'API of OpenAI:    /v1/chat/completions, /v1/responses, /v1/embeddings, /v1/models\n'
        + 'API of Anthropic: /v1/messages\n'
        + 'API of Ollama:    /api/chat, /api/generate, /api/tags\n'
        + 'Your account:     /v1/credits, /v1/receipts, /v1/status\n'
        + 'All of it:        /docs, /openapi.json\n'
        + 'Supervision:      /health, /ready, /metrics\n',
      )
    })
  })
}
