/**
 * Checks a receipt before it is logged: ticket, half and observation must fit each other, this hub and this network.
 *
 * The half's signature is judged here, once, by the hub that logs; every later reader relies on the log's own signature.
 * The ticket came from this hub: whoever hands it in has its signature from there, or has checked it.
 * Throws RECEIPT_INVALID; `context.field` names the document and field that does not fit.
 */
import { bytesEqual } from '../protocol/bytes.ts'
import { decode } from '../protocol/codec.ts'
import { toTriforceError, TriforceError } from '../protocol/errors.ts'
import { LOG_ENTRY_BYTES_MAX } from '../protocol/messages/ledger-fields.ts'
import { looksLikeHalf, receiptHalfSchema, ticketHashOf, type Observation, type Receipt, type ReceiptHalf, type SignedHalf } from '../protocol/messages/receipt.ts'
import { looksLikeTicket, ticketSchema, type Ticket } from '../protocol/messages/ticket.ts'
import type { Look } from '../protocol/shape.ts'
import { signatureHolds } from '../protocol/signed.ts'
import { encodeReceipt, type EncodedEntry, type ReceiptRate } from './entries/entry.ts'
import type { z } from 'zod'

/** A host may notice the end of its time this much late. */
export const RUN_MS_TOLERANCE = 5_000

export interface AdmissionOptions {
  readonly network: string
  /** Node key of this hub: the ticket is cleared by it. */
  readonly hubKey: Uint8Array
}

function refuse(field: string, problem: string): never {
  throw new TriforceError('RECEIPT_INVALID', { field, problem }, { detail: `the receipt is not valid at ${field}: ${problem}` })
}

function open<Schema extends z.ZodType>(name: string, schema: Schema, body: Uint8Array, fits: Look): z.output<Schema> {
  try {
    return decode(schema, body, fits)
  } catch (error) {
    const { context } = toTriforceError(error)
    return refuse(context.field === undefined ? name : `${name}.${String(context.field)}`, String(context.problem ?? 'cannot be read'))
  }
}

/** `rateOf`: what an hour of this work earns (µcr), asked once all documents fit. */
export function admitReceipt(
  receipt: Receipt, options: AdmissionOptions, rateOf: (ticket: Ticket, half: ReceiptHalf | undefined) => ReceiptRate = () => 0n,
): EncodedEntry {
  const ticket = admitTicket(receipt.ticket, options)
  if (receipt.observation.usage.completionTokens > ticket.tokensMax) refuse('observation.usage', 'has more tokens than the ticket allows')
  const half = receipt.half === undefined ? undefined : admitHalf(receipt.half, ticket, receipt)
  const encoded = encodeReceipt(ticket, receipt, rateOf(ticket, half))
  // The half is the one part that another node wrote; the hub logs the rest without it.
  if (half !== undefined && encoded.bytes.byteLength > LOG_ENTRY_BYTES_MAX) refuse('half', 'is too large')
  return encoded
}

function admitTicket(body: Uint8Array, { network, hubKey }: AdmissionOptions): Ticket {
  if (body.byteLength > LOG_ENTRY_BYTES_MAX) refuse('ticket', 'is too large')
  const ticket = open('ticket', ticketSchema, body, looksLikeTicket)
  if (ticket.network !== network) refuse('ticket.network', `is "${ticket.network}", not "${network}"`)
  if (!bytesEqual(ticket.hub, hubKey)) refuse('ticket.hub', 'is cleared by another hub')
  return ticket
}

function admitHalf(signed: SignedHalf, ticket: Ticket, receipt: Receipt): ReceiptHalf {
  const half = open('half', receiptHalfSchema, signed.body, looksLikeHalf)
  const misfit = halfMisfit(half, ticket, ticketHashOf({ body: receipt.ticket }), receipt.observation)
  if (misfit !== undefined) refuse(`half.${misfit.field}`, misfit.problem)
  if (half.devices !== undefined && half.devices[0] !== half.device) refuse('half.devices', 'does not begin with its device')
  if (half.endMs < half.startMs) refuse('half.endMs', 'is before startMs')
  if (half.endMs - half.startMs > ticket.msMax + RUN_MS_TOLERANCE) refuse('half.endMs', 'is later than the ticket allows')
  if (!signatureHolds('receiptHalf', { ...signed, key: ticket.contributor })) {
    refuse('half.signature', 'was not made by the contributor')
  }
  return half
}

/** What of a half is not that of this ticket, or not what the hub saw; undefined where all fits. */
export function halfMisfit(
  half: ReceiptHalf, ticket: Ticket, ticketHash: Uint8Array, observation: Observation,
): { readonly field: string; readonly problem: string } | undefined {
  if (!bytesEqual(half.ticketHash, ticketHash)) return { field: 'ticketHash', problem: 'is that of another ticket' }
  if (!bytesEqual(half.jobId, ticket.jobId)) return { field: 'jobId', problem: 'is that of another job' }
  if (!bytesEqual(half.outputHash, observation.outputHash)) return { field: 'outputHash', problem: 'is that of another text than the hub saw' }
  if (half.usage.completionTokens !== observation.usage.completionTokens) return { field: 'usage', problem: 'has other tokens than the hub saw' }
  if (half.finish !== observation.finish) return { field: 'finish', problem: 'is another end than the hub saw' }
  return undefined
}
