/** A logged receipt for people and programs; every value is read from the signed documents. */
import type { ReceiptRecord } from '../../ledger/interface.ts'
import { toHex } from '../../protocol/bytes.ts'
import { decode } from '../../protocol/codec.ts'
import type { ReceiptSummary } from '../../protocol/messages/control.ts'
import { ticketSchema } from '../../protocol/messages/ticket.ts'
import { peerIdOf } from '../../protocol/peer-key.ts'

export function summarize(record: ReceiptRecord): ReceiptSummary {
  const { receipt } = record
  const { observation } = receipt
  const ticket = decode(ticketSchema, receipt.ticket)
  return {
    id: `rcpt_${toHex(record.id)}`,
    jobId: toHex(ticket.jobId),
    model: ticket.model,
    contributor: peerIdOf(ticket.contributor),
    hub: peerIdOf(ticket.hub),
    account: toHex(ticket.account),
    promptTokens: observation.usage.promptTokens,
    completionTokens: observation.usage.completionTokens,
    finish: observation.finish,
    observedMs: observation.observedMs,
    signedBy: receipt.half === undefined ? ['hub'] : ['contributor', 'hub'],
    loggedAt: record.loggedAt,
  }
}
