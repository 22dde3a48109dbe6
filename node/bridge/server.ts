/**
 * The HTTP bridge: one local server that speaks the APIs that clients know and hands requests to a Gateway. It binds loopback
 * unless told otherwise, and every connection, header, body and wait has a bound. docs/bridge.md is its reference.
 */
import type { AddressInfo, Socket } from 'node:net'
import { fastify, type FastifyInstance } from 'fastify'
import type { Registry } from 'prom-client'
import { TriforceError } from '../../protocol/errors.ts'
import { JOB_MS_MAX } from '../../protocol/limits.ts'
import type { Clock, Log, Random } from '../../protocol/ports.ts'
import type { ContributorGateway } from '../contributor/contributor-gateway.ts'
import type { Gateway } from '../gateway.ts'
import type { Lender } from '../lending/lender.ts'
import { routeAccount } from './account.ts'
import { routeAdmin, type AdminComponents } from './admin.ts'
import { routeAnthropicMessages } from './anthropic/routes.ts'
import { createAuthenticator } from './auth.ts'
import { createCompletionRunner, type CompletionRunnerOptions } from './completion-runner.ts'
import { routeContributor } from './contributor.ts'
import { dialectOf, requestIdHeaders } from './dialect-of.ts'
import { createEmbeddingRunner } from './embedding-runner.ts'
import { createGenerations, routeGenerations, type GenerationStore } from './generations.ts'
import { installGuard } from './guard.ts'
import { routeHealth } from './health.ts'
import { routeLender } from './lender.ts'
import { answerClientError, createErrorHandler, sendError } from './http-errors.ts'
import { parseJsonBody } from './json-body.ts'
import { createKeyHooks } from './key-hook.ts'
import { routeKeys } from './keys.ts'
import { watchRoutes } from './known-routes.ts'
import { addTrafficMetrics } from './traffic-metrics.ts'
import { createBridgeMetrics } from './metrics.ts'
import { routeModels } from './models.ts'
import { keyInPath, routeOllama } from './ollama/routes.ts'
import { routeChatCompletions } from './openai/chat-completions.ts'
import { routeCompletions } from './openai/completions.ts'
import { routeEmbeddings } from './openai/embeddings.ts'
import { routeResponses } from './openai/responses.ts'
import { routeApiDocs, watchApi } from './openapi.ts'
import { createReplays } from './replays.ts'
import { createRequestIds } from './request-ids.ts'
import { routeRoute } from './route.ts'
import { createRunningAnswers, type RunningAnswersOptions } from './running-answers.ts'
import { routeVendorKeys, type VendorKeysComponents } from './vendor-keys.ts'

export interface BridgeComponents {
  readonly gateway: Gateway
  readonly contributor?: ContributorGateway
  /** Nodes that lend. */
  readonly lender?: { readonly lender: Lender; readonly adminToken: string | undefined }
  readonly admin?: Omit<AdminComponents, 'clock'>
  /** Accounts' own keys at vendors, kept at this node. */
  readonly vendorKeys?: Pick<VendorKeysComponents, 'ownKeys' | 'isVendor'>
  /** Keeps what became of requests over restarts. */
  readonly generationStore?: GenerationStore
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
  /** What `/metrics` shows; the bridge adds its own to it. */
  readonly metrics?: Registry
}

export interface BridgeOptions extends CompletionRunnerOptions, RunningAnswersOptions {
  /** 0: any free port. */
  readonly port: number
  readonly host?: string
  /** Names besides localhost, 127.0.0.1 and [::1] that a Host header may carry while bound to loopback. */
  readonly hostNames?: readonly string[]
  /** Origins of web pages that may read answers. Default none. */
  readonly corsOrigins?: readonly string[]
  readonly bodyBytesMax?: number
  readonly headerBytesMax?: number
  readonly urlCharsMax?: number
  readonly connectionsMax?: number
  /** From the connection to the end of the headers. */
  readonly headersMsMax?: number
  /** From the connection to the end of the body. */
  readonly requestMsMax?: number
  /** The two above are looked at this often. */
  readonly arrivalCheckMs?: number
  readonly keepAliveMsMax?: number
  /** What still runs this long after a stop began is ended. */
  readonly stopMsMax?: number
}

export const bridgeDefaults: ServerSettings = Object.freeze({
  host: '127.0.0.1',
  bodyBytesMax: 4 * 1024 * 1024, // FRAME_BYTES_MAX: more would not fit the wire behind it
  headerBytesMax: 16 * 1024,
  urlCharsMax: 2_048,
  connectionsMax: 4_096,
  headersMsMax: 10_000,
  requestMsMax: 30_000, // 4 MiB at 1.1 Mbit/s
  arrivalCheckMs: 2_000,
  keepAliveMsMax: 72_000, // longer than the 60 s for which load balancers keep theirs
  stopMsMax: 10_000,
})

export interface Bridge {
  /** Gives the address that is really bound. Throws CONFIG_INVALID where that cannot be; another port may then be tried. */
  start(options?: { readonly port?: number }): Promise<{ readonly host: string; readonly port: number }>
  /** Takes nothing new, lets running answers end until `stopMsMax` or the abort of `signal`, then ends them. */
  stop(options?: { readonly signal?: AbortSignal }): Promise<void>
}

type ServerSettings = Required<Omit<BridgeOptions, 'port' | 'hostNames' | 'corsOrigins' | keyof CompletionRunnerOptions | keyof RunningAnswersOptions>>

const LOOPBACK = ['localhost', '127.0.0.1', '[::1]']

/** Time for the last error events to leave after a stop has ended the answers. */
const FAREWELL_MS_MAX = 1_000

export function createBridge(components: BridgeComponents, options: BridgeOptions): Bridge {
  const { gateway, clock, log } = components
  const settings = { ...bridgeDefaults, ...options }
  const host = settings.host === 'localhost' ? '127.0.0.1' : settings.host
  const loopback = LOOPBACK.includes(host) || host === '::1' || host.startsWith('127.')
  const metrics = createBridgeMetrics(components.metrics)
  addTrafficMetrics(metrics.registry, () => gateway.status())
  const newId = createRequestIds(components.random)
  const app = createServer(settings, newId)

  const handleError = createErrorHandler(log)
  app.setErrorHandler(handleError)
  app.decorateRequest('principal', null)
  const guard = installGuard(app, { metrics }, {
    hostNames: loopback ? [...LOOPBACK, host, ...settings.hostNames ?? []] : undefined,
    corsOrigins: settings.corsOrigins ?? [],
    urlCharsMax: settings.urlCharsMax,
  })
  const errorOfUnknownRoute = watchRoutes(app)
  const routes = watchApi(app)
  app.setNotFoundHandler((request, reply) => sendError(reply, errorOfUnknownRoute(request)))

  let stopping: Promise<void> | undefined
  const keyWith = createKeyHooks(createAuthenticator({ gateway, clock }))
  const requireKey = keyWith('inference')
  const accountKey = keyWith('account')
  // Whoever may not make keys of the account binds no machines and no vendors' keys to it either.
  const keysKey = keyWith('keys')
  const generations = createGenerations({ clock, ...(components.generationStore === undefined ? {} : { store: components.generationStore }) })
  const running = createRunningAnswers({ log, metrics }, settings)
  const replays = createReplays({ clock })
  const runner = createCompletionRunner({ gateway, running, generations, replays, clock, log, metrics }, settings)
  const embeddings = createEmbeddingRunner({ gateway, running, generations, replays, clock })
  routeGenerations(app, { generations, requireKey })
  routeChatCompletions(app, { runner, requireKey, clock })
  routeCompletions(app, { runner, requireKey, clock })
  routeResponses(app, { runner, requireKey, clock })
  routeEmbeddings(app, { embeddings, requireKey })
  routeAnthropicMessages(app, { runner, requireKey })
  routeOllama(app, { gateway, runner, embeddings, requireKey, clock })
  routeModels(app, { gateway, requireKey })
  routeRoute(app, { gateway, requireKey })
  routeApiDocs(app, { routes, version: () => gateway.status().version })
  // Who runs the node must see how it is without an account, and while no hub is there to check a key.
  const operatorKey = loopback ? undefined : requireKey
  routeAccount(app, { gateway, requireKey: accountKey, statusKey: operatorKey })
  routeKeys(app, { gateway, random: components.random, clock, anyKey: keyWith(), accountKey, keysKey })
  if (components.contributor !== undefined) routeContributor(app, { gateway: components.contributor, requireKey: keysKey, statusKey: operatorKey })
  if (components.lender !== undefined) routeLender(app, { ...components.lender, clock, requireKey: keysKey, statusKey: operatorKey })
  routeHealth(app, { gateway, metrics, metricsKey: operatorKey, isStopping: () => stopping !== undefined })
  if (components.vendorKeys !== undefined) routeVendorKeys(app, { ...components.vendorKeys, requireKey: keysKey })
  if (components.admin !== undefined) routeAdmin(app, { ...components.admin, clock })

  /** Resolves after `delayMs`, or at once where `signal` aborts. */
  function pause(delayMs: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      if (signal?.aborted === true) resolve()
      clock.after(delayMs, resolve)
      signal?.addEventListener('abort', () => resolve(), { once: true })
    })
  }

  async function stop(signal: AbortSignal | undefined): Promise<void> {
    guard.close()
    const closed = app.close()
    await Promise.race([guard.idle(), pause(settings.stopMsMax, signal)])
    running.abort(new TriforceError('STOPPING'))
    await Promise.race([guard.idle(), pause(FAREWELL_MS_MAX)])
    app.server.closeAllConnections()
    await closed
  }

  return {
    async start({ port = settings.port } = {}) {
      try {
        await app.listen({ host, port })
      } catch (cause) {
        throw cannotListen(cause, host, port)
      }
      const address = app.server.address() as AddressInfo
      log.info('bridge listens', { host: address.address, port: address.port })
      return { host: address.address, port: address.port }
    },

    stop({ signal } = {}) {
      stopping ??= stop(signal)
      return stopping
    },
  }
}

function createServer(settings: ServerSettings, newId: () => string): FastifyInstance {
  // A body that is late is told so in the dialect of its request.
  const lastUrls = new WeakMap<Socket, string>()
  const app = fastify({
    logger: false,
    genReqId: newId,
    rewriteUrl: keyInPath,
    bodyLimit: settings.bodyBytesMax,
    requestTimeout: settings.requestMsMax,
    keepAliveTimeout: settings.keepAliveMsMax,
    // No request lives longer than a job, so on a socket that moves nothing for longer nobody waits.
    connectionTimeout: JOB_MS_MAX + settings.requestMsMax,
    // The guard answers what comes while the server closes, in our own form.
    return503OnClosing: false,
    forceCloseConnections: 'idle',
    http: {
      maxHeaderSize: settings.headerBytesMax,
      headersTimeout: settings.headersMsMax,
      connectionsCheckingInterval: settings.arrivalCheckMs,
    },
    routerOptions: { ignoreTrailingSlash: true, maxParamLength: settings.urlCharsMax },
    clientErrorHandler: (error, socket) => answerClientError(error, socket, newId(), lastUrls.get(socket)),
    frameworkErrors: (_error, request, reply) => {
      reply.headers(requestIdHeaders(request.id, dialectOf(request.url, request.headers)))
      sendError(reply, new TriforceError('BAD_REQUEST', {}, { detail: 'the address cannot be decoded' }))
    },
  })
  app.addHook('onRequest', (request, _reply, done) => {
    lastUrls.set(request.raw.socket, request.url)
    done()
  })
  app.server.maxConnections = settings.connectionsMax
  // Each pipelined request listens to its connection; Node bounds them by what it lets wait.
  app.server.on('connection', (socket) => socket.setMaxListeners(0))
  app.removeAllContentTypeParsers()
  app.addContentTypeParser('application/json', { parseAs: 'string' }, parseJsonBody)
  return app
}

function cannotListen(cause: unknown, host: string, port: number): TriforceError {
  const reason = (cause as NodeJS.ErrnoException).code ?? 'unknown'
  const problem = listenProblems[reason] ?? `cannot be used (${reason})`
  return new TriforceError('CONFIG_INVALID', { host, port, reason }, { cause, detail: `port ${port} of ${host} ${problem}` })
}

const listenProblems: Readonly<Record<string, string>> = {
  EADDRINUSE: 'is in use by another program; choose another one with --api-port, or stop that program',
  EACCES: 'may only be used by an administrator; choose a port above 1023',
  EADDRNOTAVAIL: 'does not exist on this machine; choose an address that it has',
}
