/**
 * Metrics of the bridge. Labels come from closed lists: the routes that are registered and five classes of status, so a
 * client cannot make the registry grow.
 */
import { Counter, Gauge, Histogram, Registry } from 'prom-client'

export interface BridgeMetrics {
  readonly registry: Registry
  /** `route` is the pattern of a registered route, or `none`. */
  request(route: string, status: number): void
  firstText(seconds: number): void
  completionTokens(count: number): void
  completionStarted(): void
  completionEnded(): void
  leftByClient(): void
}

// From a model that answers from memory to the longest wait for a cold one.
const FIRST_TEXT_SECONDS = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120]

const names = Object.freeze({
  requests: 'triforce_bridge_requests_total',
  firstText: 'triforce_bridge_first_text_seconds',
  tokens: 'triforce_bridge_completion_tokens_total',
  running: 'triforce_bridge_completions_running',
  left: 'triforce_bridge_client_aborts_total',
})

export function createBridgeMetrics(registry: Registry = new Registry()): BridgeMetrics {
  // A bridge that could not start may have left its own behind, and two of one name are refused.
  for (const name of Object.values(names)) registry.removeSingleMetric(name)
  const registers = [registry]
  const requests = new Counter({
    name: names.requests,
    help: 'HTTP requests answered, by route and class of status; a client that left early counts as 4xx',
    labelNames: ['route', 'status'],
    registers,
  })
  const firstText = new Histogram({
    name: names.firstText,
    help: 'Seconds from the request to the first text of its answer',
    buckets: FIRST_TEXT_SECONDS,
    registers,
  })
  const tokens = new Counter({
    name: names.tokens,
    help: 'Tokens of answers that ended well',
    registers,
  })
  const running = new Gauge({
    name: names.running,
    help: 'Completions that run now',
    registers,
  })
  const left = new Counter({
    name: names.left,
    help: 'Completions that the client left before their end',
    registers,
  })

  return {
    registry,
    request: (route, status) => requests.inc({ route, status: `${Math.trunc(status / 100)}xx` }),
    firstText: (seconds) => firstText.observe(seconds),
    completionTokens: (count) => tokens.inc(count),
    completionStarted: () => running.inc(),
    completionEnded: () => running.dec(),
    leftByClient: () => left.inc(),
  }
}
