/**
 * Job tickets: a hub issues them, a contributor checks them. Whoever brings a valid one is served, once.
 */
import { bytesEqual, toHex } from '../../protocol/bytes.ts'
import { encode } from '../../protocol/codec.ts'
import { sha256, SIGNATURE_BYTES } from '../../protocol/crypto.ts'
import { TriforceError } from '../../protocol/errors.ts'
import { isHubKey, type Federation } from '../../protocol/federation.ts'
import { CLOCK_SKEW_MS_MAX, COMPLETION_TOKENS_MAX, JOB_MS_MAX, TICKET_VALID_MS } from '../../protocol/limits.ts'
import { ticketSchema, type Ticket } from '../../protocol/messages/ticket.ts'
import type { Clock, Random, Signer } from '../../protocol/ports.ts'
import { openDocument, type Signed } from '../../protocol/signed.ts'
import type { TurnSigner } from './turn-signer.ts'

export interface NewTicketComponents {
  /** The hub that clears the job. */
  readonly signer: Pick<Signer, 'publicKey'>
  readonly clock: Clock
  readonly random: Random
}

export interface TicketDeskComponents {
  readonly signer: TurnSigner
  readonly clock: Clock
  readonly random: Random
}

export interface TicketOrder {
  readonly contributor: Uint8Array
  readonly account: Uint8Array
  /** Id of the API key that asks. */
  readonly apiKey?: Uint8Array | undefined
  readonly model: string
  readonly requestHash: Uint8Array
  readonly tokensMax?: number | undefined
  readonly priority: number
  /** The model is a vendor's, and is paid for by this revision of the prices. */
  readonly cloud?: { readonly priceRev: number }
}

export interface IssuedTicket {
  readonly ticket: Ticket
  readonly signed: Signed
}

/** Local models are free in every revision. */
const REVISION = 0

export function newTicket({ signer, clock, random }: NewTicketComponents, network: string, order: TicketOrder): Ticket {
  const now = clock.now()
  return {
    v: 1,
    network,
    jobId: random.bytes(16),
    hub: signer.publicKey,
    contributor: order.contributor,
    account: order.account,
    ...(order.apiKey === undefined ? {} : { apiKey: order.apiKey }),
    model: order.model,
    ...(order.cloud === undefined ? {} : { cloud: true }),
    requestHash: order.requestHash,
    tokensMax: Math.min(order.tokensMax ?? COMPLETION_TOKENS_MAX, COMPLETION_TOKENS_MAX),
    msMax: JOB_MS_MAX,
    priority: order.priority,
    priceRev: order.cloud?.priceRev ?? REVISION,
    classRev: REVISION,
    issuedAt: now,
    expiresAt: now + TICKET_VALID_MS,
  }
}

/** Resolves when the turn ends, since all tickets of a turn are signed together. */
export async function issueTicket(components: TicketDeskComponents, network: string, order: TicketOrder): Promise<IssuedTicket> {
  const ticket = newTicket(components, network, order)
  const signed = await new Promise<Signed>((resolve) => { components.signer.sign('ticket', ticket, resolve) })
  return { ticket, signed }
}

/**
 * A ticket for a job that this hub serves itself and that does not leave the process: nobody asks for its signature, and a
 * receipt holds its body only. Elsewhere it would be refused.
 */
export function ownTicket(components: NewTicketComponents, network: string, order: TicketOrder): IssuedTicket {
  const ticket = newTicket(components, network, order)
  return { ticket, signed: { body: encode(ticket), key: components.signer.publicKey, signature: UNSIGNED } }
}

const UNSIGNED = new Uint8Array(SIGNATURE_BYTES)

export interface TicketGate {
  /** `own`: what it says, where this hub issued it a moment ago and it has not left the process. Throws SIGNATURE_INVALID, NOT_A_HUB, TICKET_INVALID, TICKET_EXPIRED or TICKET_USED. A ticket passes once. */
  admit(signed: Signed, request: Uint8Array, own?: Ticket): Ticket
}

export interface TicketGateOptions {
  readonly federation: Federation
  /** The node key of this contributor. */
  readonly publicKey: Uint8Array
  /** Used tickets remembered until they expire; at the limit new ones are refused. Default 100,000. */
  readonly rememberedMax?: number
}

export function createTicketGate(components: { readonly clock: Clock }, options: TicketGateOptions): TicketGate {
  const { clock } = components
  const { federation, publicKey, rememberedMax = 100_000 } = options
  // In order of use; a ticket lives so short that this is nearly the order of expiry.
  const used = new Map<string, number>()

  function forgetExpired(now: number): void {
    for (const [jobId, expiresAt] of used) {
      if (expiresAt + CLOCK_SKEW_MS_MAX >= now) break
      used.delete(jobId)
    }
  }

  return {
    admit(signed, request, own) {
      const ticket = own ?? openDocument('ticket', ticketSchema, signed)
      if (!bytesEqual(signed.key, ticket.hub) || !isHubKey(federation, signed.key)) throw new TriforceError('NOT_A_HUB')
      const mismatch = [
        ['network', ticket.network === federation.network],
        ['contributor', bytesEqual(ticket.contributor, publicKey)],
        ['requestHash', bytesEqual(ticket.requestHash, sha256(request))],
      ].find(([, holds]) => holds === false)
      if (mismatch !== undefined) throw new TriforceError('TICKET_INVALID', { field: String(mismatch[0]) })
      const now = clock.now()
      if (now > ticket.expiresAt + CLOCK_SKEW_MS_MAX || now < ticket.issuedAt - CLOCK_SKEW_MS_MAX) {
        throw new TriforceError('TICKET_EXPIRED', {}, { detail: 'the job ticket has expired, or the clocks of hub and contributor differ by over a minute' })
      }
      forgetExpired(now)
      const jobId = toHex(ticket.jobId)
      if (used.has(jobId)) throw new TriforceError('TICKET_USED')
      if (used.size >= rememberedMax) throw new TriforceError('QUEUE_FULL', { tickets: used.size })
      used.set(jobId, ticket.expiresAt)
      return ticket
    },
  }
}
