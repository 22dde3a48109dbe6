/** Makes the documents by which machines are lent: a node's orders, an account's consent. */
import type { ContributorOrder, LendingConsent } from '../../protocol/messages/contributor.ts'
import type { Clock, Signer } from '../../protocol/ports.ts'
import { signDocument, type Signed } from '../../protocol/signed.ts'

type Without<Order> = Order extends ContributorOrder ? Omit<Order, 'v' | 'network' | 'sentAt'> : never
export type OrderBody = Without<ContributorOrder>

export interface OrderWriter {
  order(signer: Signer, body: OrderBody): Signed
  consent(signer: Signer, node: Uint8Array): Signed
}

export function createOrderWriter({ clock }: { readonly clock: Clock }, { network }: { readonly network: string }): OrderWriter {
  let lastAt = 0
  return {
    order(signer, body) {
      // What was signed later counts, so two orders of one millisecond must not look equally old.
      lastAt = Math.max(clock.now(), lastAt + 1)
      return signDocument(signer, 'contributorOrder', { ...body, v: 1, network, sentAt: lastAt } satisfies ContributorOrder)
    },
    consent: (signer, node) => signDocument(signer, 'lendingConsent', { v: 1, network, node, sentAt: clock.now() } satisfies LendingConsent),
  }
}
