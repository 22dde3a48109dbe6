/**
 * Asks hubs on behalf of an account: each question is signed with the key behind the API key, for one hub and one body.
 * A hub that cannot be reached is passed over; an answer, also a refusal, is final.
 */
import type { z } from 'zod'
import { decode, encode } from '../../protocol/codec.ts'
import { sha256 } from '../../protocol/crypto.ts'
import { toTriforceError, TriforceError } from '../../protocol/errors.ts'
import type { FederationHub } from '../../protocol/federation.ts'
import { accountActions, type AccountAction } from '../../protocol/messages/control.ts'
import type { AccountRequest } from '../../protocol/messages/job.ts'
import { publicKeyOf } from '../../protocol/peer-key.ts'
import type { Clock, Random, Signer } from '../../protocol/ports.ts'
import { signDocument, type Signed } from '../../protocol/signed.ts'
import { fromWireError } from '../../protocol/wire-error.ts'
import type { Requests } from '../net/requests.ts'

export interface AccountClientComponents {
  readonly requests: Requests
  readonly isConnected: (peer: string) => boolean
  readonly clock: Clock
  readonly random: Random
}

export interface AccountClientOptions {
  readonly network: string
  readonly hubs: readonly FederationHub[]
  /** A hub that does not answer within this time is passed over. Default 5_000 ms. */
  readonly waitMsMax?: number
}

type Ask<Action extends AccountAction> = z.input<(typeof accountActions)[Action]['ask']>
type Tell<Action extends AccountAction> = z.output<(typeof accountActions)[Action]['tell']>

export interface AccountClient {
  /** `only` asks this hub and no other. Throws NO_HUB where none can be reached, else what the hub says. */
  ask<Action extends AccountAction>(signer: Signer, action: Action, body: Ask<Action>, only?: FederationHub): Promise<{ hub: FederationHub; answer: Tell<Action> }>
  authorize(signer: Signer, hub: FederationHub, action: AccountRequest['action'], body: Uint8Array): Signed
  /** Connected hubs, the one that answered last first. */
  hubs(): FederationHub[]
}

/** The hub was not reached or cannot help now, so another may be asked. */
const UNREACHED: ReadonlySet<string> = new Set(['NO_HOST', 'HOST_LOST', 'HOST_SILENT', 'LEDGER_READ_ONLY', 'STARTING', 'STOPPING'])

export function createAccountClient(components: AccountClientComponents, options: AccountClientOptions): AccountClient {
  const { requests, isConnected, clock, random } = components
  const { network, waitMsMax = 5_000 } = options
  let preferred: FederationHub | undefined

  function hubs(): FederationHub[] {
    const connected = options.hubs.filter((hub) => isConnected(hub.peerId))
    return preferred !== undefined && connected.includes(preferred) ? [preferred, ...connected.filter((hub) => hub !== preferred)] : connected
  }

  function authorize(signer: Signer, hub: FederationHub, action: AccountRequest['action'], body: Uint8Array): Signed {
    return signDocument(signer, 'accountRequest', {
      v: 1, network, hub: publicKeyOf(hub.peerId)!, action, bodyHash: sha256(body), nonce: random.bytes(16), sentAt: clock.now(),
    } satisfies AccountRequest)
  }

  return {
    hubs,
    authorize,
    async ask(signer, action, body, only) {
      const bytes = encode(body)
      let lastError = new TriforceError('NO_HUB', {}, { retryAfterMs: 3_000 })
      for (const hub of only === undefined ? hubs() : [only]) {
        try {
          const tell = await requests.ask(hub.peerId, { t: 'account', authorization: authorize(signer, hub, action, bytes), body: bytes }, { waitMsMax })
          if (tell.t === 'error') throw fromWireError(tell)
          if (tell.t !== 'ok') throw new TriforceError('PROTOCOL_VIOLATION', { answer: tell.t })
          preferred = hub
          return { hub, answer: decode(accountActions[action].tell, tell.body) as Tell<typeof action> }
        } catch (reason) {
          const error = toTriforceError(reason, 'HOST_LOST')
          if (!UNREACHED.has(error.code)) throw error
          // A hub that answered was reached, whatever it said.
          const hasAnswered = error.context['remote'] === true
          lastError = hasAnswered ? error : new TriforceError('NO_HUB', { hub: hub.name }, { cause: error, retryAfterMs: 3_000 })
        }
      }
      throw lastError
    },
  }
}
