/**
 * Model hosts in the DHT: contributors write a provider record for each model, hubs look them up.
 * A record outlives its peer, so a lookup only names candidates; fresh capacity decides (jobs/candidates.ts).
 */
import { toTriforceError } from '../../protocol/errors.ts'
import { modelKey } from '../../protocol/peer-key.ts'
import type { Clock, Log, Random } from '../../protocol/ports.ts'
import type { Host, ProviderPeer } from '../net/host.ts'

export interface ModelHostsComponents {
  readonly host: Pick<Host, 'provide' | 'cancelProvide' | 'findProviders' | 'onConnect'>
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
}

export interface ModelHostsOptions {
  readonly network: string
  /** Hubs at which records are kept: a hub that comes back has lost them, so they are written again. */
  readonly isHub: (peer: string) => boolean
}

export const modelHostsDefaults = Object.freeze({
  provideMsMax: 10_000,
  retryMsMin: 500,
  retryMsMax: 30_000,
  findMsMax: 2_000,
  /** A lookup is used until a request comes later than this; that one still uses it and has it refreshed in the background. */
  cacheMs: 5_000,
  cachedModelsMax: 2_000,
  providersMax: 64,
})

export interface ModelHosts {
  /** Sets which models this node provides: new ones are written, old ones no longer renewed. */
  provide(models: readonly string[]): void
  /** Peers that have a provider record for the model; from a short-lived cache. */
  find(model: string): Promise<readonly ProviderPeer[]>
  stop(): void
}

export function createModelHosts(components: ModelHostsComponents, options: ModelHostsOptions): ModelHosts {
  const { host, clock, random } = components
  const log = components.log.child('discovery')
  const limits = modelHostsDefaults
  const cache = new Map<string, { peers: readonly ProviderPeer[]; at: number; lookup: Promise<readonly ProviderPeer[]> | undefined }>()
  let provided = new Set<string>()
  let stopped = false
  let cancelRetry = () => {}
  let writing: Promise<void> | undefined
  let again = false

  /** Writes all records; one pass at a time, retried until every one was taken. */
  function write(retryMs: number = limits.retryMsMin): void {
    cancelRetry()
    if (stopped || provided.size === 0) return
    if (writing !== undefined) {
      again = true
      return
    }
    writing = (async () => {
      let failed = 0
      for (const model of provided) {
        if (stopped) return
        try {
          await host.provide(modelKey(options.network, model), { signal: AbortSignal.timeout(limits.provideMsMax) })
        } catch (error) {
          failed += 1
          log.debug('provider record not written', { model, code: toTriforceError(error).code })
        }
      }
      writing = undefined
      if (again) {
        again = false
        write()
      } else if (failed > 0) {
        const wait = Math.min(retryMs * 2, limits.retryMsMax)
        cancelRetry = clock.after(wait * (0.5 + random.unit()), () => write(wait))
      }
    })()
  }

  host.onConnect((peer) => {
    if (!options.isHub(peer) || provided.size === 0) return
    // Identify runs first; before it the DHT does not know that the hub serves it.
    cancelRetry()
    cancelRetry = clock.after(limits.retryMsMin, () => write())
  })

  function lookUp(model: string): Promise<readonly ProviderPeer[]> {
    const known = cache.get(model)
    if (known?.lookup !== undefined) return known.lookup
    const lookup = host.findProviders(modelKey(options.network, model), {
      signal: AbortSignal.timeout(limits.findMsMax), limit: limits.providersMax,
    }).then((peers) => {
      cache.set(model, { peers, at: clock.now(), lookup: undefined })
      return peers
    }, (error: unknown) => {
      log.debug('provider lookup failed', { model, code: toTriforceError(error).code })
      const peers = known?.peers ?? []
      cache.set(model, { peers, at: clock.now(), lookup: undefined })
      return peers
    })
    if (cache.size >= limits.cachedModelsMax) cache.delete(cache.keys().next().value!)
    cache.set(model, { peers: known?.peers ?? [], at: known?.at ?? 0, lookup })
    return lookup
  }

  return {
    provide(models) {
      const next = new Set(models)
      for (const model of provided) {
        if (next.has(model)) continue
        host.cancelProvide(modelKey(options.network, model)).catch((error: unknown) => {
          log.debug('provider record not withdrawn', { model, code: toTriforceError(error).code })
        })
      }
      const isNew = models.some((model) => !provided.has(model))
      provided = next
      if (isNew) write()
    },
    async find(model) {
      const known = cache.get(model)
      if (known === undefined || (known.lookup !== undefined && known.at === 0)) return lookUp(model)
      // An old answer only names candidates that capacity sorts out, so no request waits for a fresh one.
      if (clock.now() - known.at > limits.cacheMs) void lookUp(model)
      return known.peers
    },
    stop() {
      stopped = true
      cancelRetry()
    },
  }
}
