/**
 * Checks a receipt before it is logged: three documents that must fit each other, this hub and this network.
 *
 * Signatures are judged here, once, by the hub that logs; every later reader relies on the log's own signature. The
 * hub's own signature on the observation is fresh from its key and is not checked again.
 * Throws RECEIPT_INVALID; `context.field` names the document and field that does not fit.
 */
import { bytesEqual } from '../protocol/bytes.ts'
import { decode } from '../protocol/codec.ts'
import { verifySignature } from '../protocol/crypto.ts'
import { toTriforceError, TriforceError } from '../protocol/errors.ts'
import { LOG_ENTRY_BYTES_MAX } from '../protocol/messages/ledger-fields.ts'
import { observationSchema, receiptHalfSchema, ticketHashOf, type Observation, type Receipt, type ReceiptHalf } from '../protocol/messages/receipt.ts'
import { ticketSchema, type Ticket } from '../protocol/messages/ticket.ts'
import { signedBytes, type Signed } from '../protocol/signed.ts'
import { encodeReceipt, encodeTicket, type EncodedEntry, type ReceiptRate } from './entries/entry.ts'
import type { z } from 'zod'

/** A host may notice the end of its time this much late. */
export const RUN_MS_TOLERANCE = 5_000

export interface AdmissionOptions {
  readonly network: string
  /** Node key of this hub: it must have signed the ticket, and clears it. */
  readonly hubKey: Uint8Array
  /** Tickets whose signature needs no check, since this hub made them and still remembers. */
  readonly isOwnTicket: (jobId: Uint8Array, ticket: Signed) => boolean
}

export interface AdmittedReceipt {
  readonly ticket: EncodedEntry
  readonly receipt: EncodedEntry
}

function refuse(field: string, problem: string): never {
  throw new TriforceError('RECEIPT_INVALID', { field, problem }, { detail: `the receipt is not valid at ${field}: ${problem}` })
}

function open<Schema extends z.ZodType>(name: string, schema: Schema, document: Signed): z.output<Schema> {
  try {
    return decode(schema, document.body)
  } catch (error) {
    const { context } = toTriforceError(error)
    return refuse(context.field === undefined ? name : `${name}.${String(context.field)}`, String(context.problem ?? 'cannot be read'))
  }
}

/** `rateOf`: what an hour of this work earns (µcr), asked once all documents fit. */
export function admitReceipt(
  receipt: Receipt, options: AdmissionOptions, rateOf: (ticket: Ticket, half: ReceiptHalf | undefined) => ReceiptRate = () => 0n,
): AdmittedReceipt {
  const ticket = admitTicket(receipt.ticket, options)
  const ticketHash = ticketHashOf(receipt.ticket)

  const observation = open('observation', observationSchema, receipt.observation)
  checkObservation(observation, receipt.observation, ticket, ticketHash, options)

  let half: ReceiptHalf | undefined
  if (receipt.half !== undefined) {
    half = open('half', receiptHalfSchema, receipt.half)
    checkHalf(half, receipt.half, ticket, ticketHash)
  }

  const { jobId } = ticket
  const encoded = encodeReceipt(jobId, receipt, rateOf(ticket, half))
  // The half is the one part that another node wrote; the hub logs the rest without it.
  if (half !== undefined && encoded.bytes.byteLength > LOG_ENTRY_BYTES_MAX) refuse('half', 'is too large')
  return { ticket: encodeTicket({ jobId, ticket: receipt.ticket }), receipt: encoded }
}

/** The ticket of a receipt, or one that is logged on its own. */
export function admitTicket(signed: Signed, { network, hubKey, isOwnTicket }: AdmissionOptions): Ticket {
  if (signed.body.byteLength > LOG_ENTRY_BYTES_MAX) refuse('ticket', 'is too large')
  const ticket = open('ticket', ticketSchema, signed)
  if (ticket.network !== network) refuse('ticket.network', `is "${ticket.network}", not "${network}"`)
  if (!bytesEqual(signed.key, hubKey) || !bytesEqual(ticket.hub, hubKey)) refuse('ticket.hub', 'is cleared by another hub')
  if (!isOwnTicket(ticket.jobId, signed) && !verifySignature(hubKey, signedBytes('ticket', signed.body), signed.signature)) {
    refuse('ticket.signature', 'was not made by this hub')
  }
  return ticket
}

function checkObservation(observation: Observation, signed: Signed, ticket: Ticket, ticketHash: Uint8Array, { hubKey }: AdmissionOptions): void {
  if (!bytesEqual(signed.key, hubKey) || !bytesEqual(observation.hub, hubKey)) refuse('observation.hub', 'is not this hub')
  if (!bytesEqual(observation.ticketHash, ticketHash)) refuse('observation.ticketHash', 'is that of another ticket')
  if (!bytesEqual(observation.jobId, ticket.jobId)) refuse('observation.jobId', 'is that of another job')
  if (observation.observedUsage.completionTokens > ticket.tokensMax) refuse('observation.observedUsage', 'has more tokens than the ticket allows')
}

function checkHalf(half: ReceiptHalf, signed: Signed, ticket: Ticket, ticketHash: Uint8Array): void {
  if (!bytesEqual(signed.key, ticket.contributor)) refuse('half.key', "is not the ticket's contributor")
  if (!bytesEqual(half.ticketHash, ticketHash)) refuse('half.ticketHash', 'is that of another ticket')
  if (!bytesEqual(half.jobId, ticket.jobId)) refuse('half.jobId', 'is that of another job')
  if (half.usage.completionTokens > ticket.tokensMax) refuse('half.usage', 'has more tokens than the ticket allows')
  if (half.devices !== undefined && half.devices[0] !== half.device) refuse('half.devices', 'does not begin with its device')
  if (half.endMs < half.startMs) refuse('half.endMs', 'is before startMs')
  if (half.endMs - half.startMs > ticket.msMax + RUN_MS_TOLERANCE) refuse('half.endMs', 'is later than the ticket allows')
  if (!verifySignature(signed.key, signedBytes('receiptHalf', signed.body), signed.signature)) {
    refuse('half.signature', 'was not made by the contributor')
  }
}
