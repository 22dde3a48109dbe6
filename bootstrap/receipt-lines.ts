/** A verified receipt in lines for people. Every value comes from the signed documents, none from the file's own text. */
import { toHex } from '../protocol/bytes.ts'
import { decode } from '../protocol/codec.ts'
import type { Federation } from '../protocol/federation.ts'
import { receiptHalfSchema } from '../protocol/messages/receipt.ts'
import { ticketSchema } from '../protocol/messages/ticket.ts'
import { peerIdOf } from '../protocol/peer-key.ts'
import { formatCredits } from '../protocol/units.ts'
import type { VerifiedReceipt } from '../ledger/receipt-file.ts'
import { formatTime } from './table.ts'

export interface ReceiptFacts {
  readonly id: string
  readonly network: string
  readonly model: string
  readonly account: string
  readonly contributor: string
  readonly hub: string
  readonly promptTokens: number
  readonly completionTokens: number
  readonly finish: string
  readonly outputHash: string
  readonly observedMs: number
  readonly endedAt: number
  readonly earnsMicroCreditsPerHour: bigint
  readonly signedBy: readonly ('contributor' | 'hub')[]
  readonly loggedBy: string
  readonly loggedAt: number
  readonly log: { readonly epoch: number; readonly entry: number }
}

export function receiptFacts(verified: VerifiedReceipt, federation: Federation): ReceiptFacts {
  const { receipt } = verified
  const { observation } = receipt
  const ticket = decode(ticketSchema, receipt.ticket)
  const half = receipt.half === undefined ? undefined : decode(receiptHalfSchema, receipt.half.body)
  const usage = half?.usage ?? observation.usage
  const hubKey = peerIdOf(ticket.hub)
  return {
    id: `rcpt_${toHex(verified.id)}`,
    network: ticket.network,
    model: ticket.model,
    account: toHex(ticket.account),
    contributor: peerIdOf(ticket.contributor),
    hub: federation.hubs.find((hub) => hub.peerId === hubKey)?.name ?? hubKey,
    promptTokens: usage.promptTokens,
    completionTokens: usage.completionTokens,
    finish: observation.finish,
    outputHash: toHex(observation.outputHash),
    observedMs: observation.observedMs,
    endedAt: observation.endedAt,
    earnsMicroCreditsPerHour: verified.earnsMicroCreditsPerHour,
    signedBy: half === undefined ? ['hub'] : ['contributor', 'hub'],
    loggedBy: federation.hubs[verified.hub]?.name ?? String(verified.hub),
    loggedAt: verified.loggedAt,
    log: { epoch: verified.epoch, entry: verified.seq },
  }
}

export function receiptPairs(facts: ReceiptFacts): readonly (readonly [string, string])[] {
  return [
    ['receipt', facts.id],
    ['network', facts.network],
    ['model', facts.model],
    ['account', facts.account],
    ['contributor', facts.contributor],
    ['hub', facts.hub],
    ['tokens', `${facts.promptTokens} in, ${facts.completionTokens} out (${facts.finish})`],
    ['took', `${facts.observedMs} ms, ended ${formatTime(facts.endedAt)} UTC`],
    ['earns', facts.earnsMicroCreditsPerHour === 0n ? 'nothing' : `${formatCredits(facts.earnsMicroCreditsPerHour)} credits/hour of work`],
    ['answer hash', facts.outputHash],
    ['signed by', facts.signedBy.length === 2 ? 'contributor and hub' : 'the hub only: the contributor was gone before it could sign'],
    ['logged', `by ${facts.loggedBy} at ${formatTime(facts.loggedAt)} UTC, epoch ${facts.log.epoch}, entry ${facts.log.entry}`],
  ]
}
