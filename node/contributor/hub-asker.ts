/** Brings orders about machines to hubs: to the first one that answers, or to one that is named. */
import { decode } from '../../protocol/codec.ts'
import { toTriforceError, TriforceError } from '../../protocol/errors.ts'
import type { FederationHub } from '../../protocol/federation.ts'
import { contributorTells, type ContributorAct } from '../../protocol/messages/contributor.ts'
import type { Signed } from '../../protocol/signed.ts'
import { fromWireError } from '../../protocol/wire-error.ts'
import type { Requests } from '../net/requests.ts'
import type { z } from 'zod'

export type ContributorTell<Act extends ContributorAct> = z.output<(typeof contributorTells)[Act]>

/** Throws NO_HUB, or what the hub says. */
export type AskContributor = <Act extends ContributorAct>(act: Act, order: Signed, consent?: Signed) => Promise<ContributorTell<Act>>

export interface HubAskerComponents {
  readonly requests: Requests
  readonly isConnected: (peer: string) => boolean
}

/** A hub waits for another one before it has bound a key. */
const ANSWER_MS_MAX = 10_000

const UNREACHED: ReadonlySet<string> = new Set(['NO_HOST', 'HOST_LOST', 'HOST_SILENT', 'LEDGER_READ_ONLY', 'STARTING', 'STOPPING'])

export async function askHub<Act extends ContributorAct>(requests: Requests, hub: FederationHub, act: Act, order: Signed, consent?: Signed): Promise<ContributorTell<Act>> {
  const tell = await requests.ask(hub.peerId, { t: 'contributor', order, ...(consent === undefined ? {} : { consent }) }, { waitMsMax: ANSWER_MS_MAX })
  if (tell.t === 'error') throw fromWireError(tell)
  if (tell.t !== 'ok') throw new TriforceError('PROTOCOL_VIOLATION', { answer: tell.t })
  return decode(contributorTells[act], tell.body) as ContributorTell<Act>
}

export function createHubAsker({ requests, isConnected }: HubAskerComponents, { hubs }: { readonly hubs: readonly FederationHub[] }): AskContributor {
  return async (act, order, consent) => {
    let lastError = new TriforceError('NO_HUB', {}, { retryAfterMs: 3_000 })
    for (const hub of hubs.filter(({ peerId }) => isConnected(peerId))) {
      try {
        return await askHub(requests, hub, act, order, consent)
      } catch (reason) {
        lastError = toTriforceError(reason, 'HOST_LOST')
        if (!UNREACHED.has(lastError.code)) throw lastError
      }
    }
    throw lastError
  }
}
