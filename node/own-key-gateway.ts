/**
 * A gateway that answers with the account's own key at a vendor where this node keeps one: straight from the vendor, charged
 * 0, seen by no hub and written into no ledger. Everything else goes to the gateway behind it.
 */
import type { CloudProvider, ProviderState } from '../providers/interface.ts'
import type { CompletionRequest } from '../protocol/completion.ts'
import { mayUseModel } from '../protocol/key-terms.ts'
import { toTriforceError, TriforceError } from '../protocol/errors.ts'
import { JOB_MS_MAX } from '../protocol/limits.ts'
import type { Clock } from '../protocol/ports.ts'
import type { OwnKey, OwnKeys } from './clouds/own-keys.ts'
import { vendorOfModel } from './clouds/own-clouds.ts'
import type { CompleteOptions, CompletionEvent, Gateway, Principal } from './gateway.ts'
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

/** Only models that name their vendor (`openai/gpt-4o`) are asked for with an own key. */
export function withOwnKeys(gateway: Gateway, { keys, vendor, clock }: OwnKeyGatewayComponents, { peerId, name }: OwnKeyGatewayOptions): Gateway {
  function ownKeyFor(principal: Principal, request: CompletionRequest, options: CompleteOptions): { readonly own: OwnKey; readonly provider: CloudProvider } | undefined {
    const id = vendorOfModel(request.model)
    const own = id === '' ? undefined : keys.find(principal.account, id)
    const provider = own === undefined ? undefined : vendor(id)
    return own !== undefined && provider !== undefined && isAllowed(principal, request.model, options, provider) ? { own, provider } : undefined
  }

  async function* ask({ own, provider }: { readonly own: OwnKey; readonly provider: CloudProvider }, request: CompletionRequest, left: AbortSignal): Answer {
    const cut = new AbortController()
    const onLeft = () => cut.abort(left.reason)
    if (left.aborted) onLeft()
    left.addEventListener('abort', onLeft)
    const cancelDeadline = clock.after(JOB_MS_MAX, () => cut.abort(new TriforceError('HOST_SILENT')))
    try {
      yield { type: 'placed', host: peerId, hostName: name, attempts: 1, model: request.model, vendor: own.vendor }
      for await (const event of provider.run(request, { signal: cut.signal, ownKey: own.key })) {
        if (event.type === 'state') yield waitingOf(event.state)
        else if (event.type !== 'end') yield event
        else {
          if (cut.signal.aborted) throw new TriforceError('CANCELLED')
          yield { type: 'finish', finish: event.finish, usage: event.usage }
          yield { type: 'settled', served: { host: peerId, hostName: name, hub: '', durability: 'none', costMicroCredits: 0n, attempts: 1, model: request.model } }
        }
      }
    } finally {
      cancelDeadline()
      left.removeEventListener('abort', onLeft)
      cut.abort(new TriforceError('CANCELLED'))
    }
  }

  return {
    ...gateway,
    complete(principal, request, options) {
      const found = ownKeyFor(principal, request, options)
      const behind = () => gateway.complete(principal, request, options)
      if (found === undefined) return behind()
      const own = () => ask(found, request, options.signal)
      if (options.routing?.allowFallbacks === false) return found.own.mode === 'priority' ? own() : behind()
      return found.own.mode === 'priority' ? either(own, behind, options.signal) : either(behind, own, options.signal)
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
    const { code } = toTriforceError(reason)
    if (begun || signal.aborted || code === 'CANCELLED' || REQUEST_CODES.has(code)) throw reason
  }
  yield* second()
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
    case 'loading': return { type: 'waiting', state: 'loading', at: state.part }
    case 'running': return { type: 'waiting', state: 'running' }
  }
}
