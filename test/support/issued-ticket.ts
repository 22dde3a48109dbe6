/** What the node does at the end of a turn, done at once or with a turn of its own. */
import { newTicket, type IssuedTicket, type TicketOrder } from '../../node/jobs/tickets.ts'
import { createTurnSigner, type TurnSigner } from '../../node/jobs/turn-signer.ts'
import { createTurnEnd } from '../../node/net/turn-end.ts'
import type { Clock, Random, Signer } from '../../protocol/ports.ts'
import { signDocument } from '../../protocol/signed.ts'

export function turnSignerOf(signer: Signer): TurnSigner {
  return createTurnSigner(signer, createTurnEnd())
}

export function issuedNow(components: { readonly signer: Signer; readonly clock: Clock; readonly random: Random }, network: string, order: TicketOrder): IssuedTicket {
  const ticket = newTicket(components, network, order)
  return { ticket, signed: signDocument(components.signer, 'ticket', ticket) }
}
