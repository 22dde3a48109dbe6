/**
 * A gateway that answers with the account's own key at a vendor where this node keeps one: straight from the vendor, charged
 * 0, seen by no hub and written into no ledger. Everything else goes to the gateway behind it.
 */
import type { CloudProvider, ProviderState } from '../providers/interface.ts'
import type { CompletionRequest, EmbeddingRequest } from '../protocol/completion.ts'
import { mayUseModel } from '../protocol/key-terms.ts'
import { toTriforceError, TriforceError } from '../protocol/errors.ts'
import { JOB_MS_MAX } from '../protocol/limits.ts'
import type { Clock } from '../protocol/ports.ts'
import type { OwnKey, OwnKeys } from './clouds/own-keys.ts'
import { vendorOfModel } from './clouds/own-clouds.ts'
import type { CompleteOptions, CompletionEvent, EmbeddingsAnswer, EmbedOptions, Gateway, PlacedEvent, Principal, Served } from './gateway.ts'
import { REQUEST_CODES } from './jobs/host-errors.ts'

export interface OwnKeyGatewayComponents {
  readonly keys: Pick<OwnKeys, 'find'>
  /** Any vendor, also one that this node has no key of its own for. */
  readonly vendor: (id: string) => CloudProvider | undefined
  readonly clock: Clock
}

export interface OwnKeyGatewayOptions {
  /** Of this node. */
  readonly peerId: string
  readonly name: string
}

type Answer = AsyncIterable<CompletionEvent>

type Embed = NonNullable<CloudProvider['embed']>

interface Found {
  readonly own: OwnKey
  readonly provider: CloudProvider
}

/** Only models that name their vendor (`openai/gpt-4o`) are asked for with an own key. */
export function withOwnKeys(gateway: Gateway, { keys, vendor, clock }: OwnKeyGatewayComponents, { peerId, name }: OwnKeyGatewayOptions): Gateway {
  function ownKeyFor(principal: Principal, model: string, options: CompleteOptions): Found | undefined {
    const id = vendorOfModel(model)
    const own = id === '' ? undefined : keys.find(principal.account, id)
    const provider = own === undefined ? undefined : vendor(id)
    return own !== undefined && provider !== undefined && isAllowed(principal, model, options, provider) ? { own, provider } : undefined
  }

  const placedOf = ({ own }: Found, model: string): PlacedEvent => ({ type: 'placed', host: peerId, hostName: name, attempts: 1, model, vendor: own.vendor })
  const servedOf = (model: string): Served => ({ host: peerId, hostName: name, hub: '', durability: 'none', costMicroCredits: 0n, attempts: 1, model })

  /** Aborted when the client leaves and after the longest time of a job. `end` cuts off whatever still runs. */
  function boundedBy(left: AbortSignal): { readonly signal: AbortSignal; end(): void } {
    const cut = new AbortController()
    const onLeft = () => cut.abort(left.reason)
    if (left.aborted) onLeft()
    left.addEventListener('abort', onLeft)
    const cancelDeadline = clock.after(JOB_MS_MAX, () => cut.abort(new TriforceError('HOST_SILENT')))
    return {
      signal: cut.signal,
      end: () => {
        cancelDeadline()
        left.removeEventListener('abort', onLeft)
        cut.abort(new TriforceError('CANCELLED'))
      },
    }
  }

  async function* ask(found: Found, request: CompletionRequest, left: AbortSignal): Answer {
    const bound = boundedBy(left)
    try {
      yield placedOf(found, request.model)
      for await (const event of found.provider.run(request, { signal: bound.signal, ownKey: found.own.key })) {
        if (event.type === 'state') yield waitingOf(event.state)
        else if (event.type !== 'end') yield event
        else {
          if (bound.signal.aborted) throw new TriforceError('CANCELLED')
          yield { type: 'finish', finish: event.finish, usage: event.usage }
          yield { type: 'settled', served: servedOf(request.model) }
        }
      }
    } finally {
      bound.end()
    }
  }

  async function vectorsOf(found: Found, embed: Embed, request: EmbeddingRequest, { signal: left, onPlaced }: EmbedOptions): Promise<EmbeddingsAnswer> {
    const bound = boundedBy(left)
    try {
      onPlaced?.(placedOf(found, request.model))
      return { ...await embed(request, { signal: bound.signal, ownKey: found.own.key }), served: servedOf(request.model) }
    } finally {
      bound.end()
    }
  }

  return {
    ...gateway,
    complete(principal, request, options) {
      const found = ownKeyFor(principal, request.model, options)
      const behind = () => gateway.complete(principal, request, options)
      if (found === undefined) return behind()
      const own = () => ask(found, request, options.signal)
      if (options.routing?.allowFallbacks === false) return found.own.mode === 'priority' ? own() : behind()
      return found.own.mode === 'priority' ? either(own, behind, options.signal) : either(behind, own, options.signal)
    },
    async embed(principal, request, options) {
      const found = ownKeyFor(principal, request.model, options)
      const behind = () => gateway.embed(principal, request, options)
      const embed = found?.provider.embed
      if (found === undefined || embed === undefined) return await behind()
      const own = () => vectorsOf(found, embed, request, options)
      const [first, second] = found.own.mode === 'priority' ? [own, behind] : [behind, own]
      if (options.routing?.allowFallbacks === false) return await first()
      return await first().catch((reason: unknown) => {
        if (isFinal(reason, options.signal)) throw reason
        return second()
      })
    },
  }
}

/** The second where the first fails before it said anything, for a reason that is not the request's. */
async function* either(first: () => Answer, second: () => Answer, signal: AbortSignal): Answer {
  let begun = false
  try {
    for await (const event of first()) {
      begun ||= event.type !== 'placed' && event.type !== 'waiting'
      yield event
    }
    return
  } catch (reason) {
    if (begun || isFinal(reason, signal)) throw reason
  }
  yield* second()
}

/** Nobody else would answer better, or nobody waits. */
function isFinal(reason: unknown, signal: AbortSignal): boolean {
  const { code } = toTriforceError(reason)
  return signal.aborted || code === 'CANCELLED' || REQUEST_CODES.has(code)
}

/** The wishes and the terms of the API key hold for an own key too: it is the same vendor. */
function isAllowed({ terms = {} }: Principal, model: string, { routing = {} }: CompleteOptions, { vendor, keepsPrompts }: CloudProvider): boolean {
  if ((terms.privacy ?? 'cloud') !== 'cloud' || (routing.privacy ?? 'cloud') !== 'cloud' || !mayUseModel(terms, model)) return false
  if (routing.dataCollection === 'deny' && keepsPrompts) return false
  const named = (names: readonly string[] | undefined) => names?.some((name) => name.toLowerCase() === vendor) === true
  return !named(routing.ignore) && (routing.only === undefined || routing.only.length === 0 || named(routing.only))
}

function waitingOf(state: ProviderState): CompletionEvent {
  switch (state.state) {
    case 'queued': return { type: 'waiting', state: 'queued', at: state.position }
    case 'loading': return { type: 'waiting', state: 'loading', ...(state.part === undefined ? {} : { at: state.part }) }
    case 'running': return { type: 'waiting', state: 'running' }
  }
}
