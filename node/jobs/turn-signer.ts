/**
 * Signs all documents of one turn of the event loop with one signature. Ed25519 is the dearest part of a small job, and a
 * busy node has several in each turn.
 */
import { encode } from '../../protocol/codec.ts'
import type { Signer } from '../../protocol/ports.ts'
import { BATCH_DOCUMENTS_MAX, signTogether, type Signed, type SignatureDomain, type Unsigned } from '../../protocol/signed.ts'
import type { TurnEnd } from '../net/turn-end.ts'

export interface TurnSigner {
  /** 32 bytes. */
  readonly publicKey: Uint8Array
  /**
   * `use` gets the signed document when the turn ends: frames that it sends leave with those that were sent in the turn.
   * It must not throw.
   */
  sign(domain: SignatureDomain, value: unknown, use: (signed: Signed) => void): void
}

export function createTurnSigner(signer: Signer, turnEnd: Pick<TurnEnd, 'documents'>): TurnSigner {
  let waiting: { readonly document: Unsigned; readonly use: (signed: Signed) => void }[] = []

  function signAll(): void {
    const all = waiting
    waiting = []
    for (let from = 0; from < all.length; from += BATCH_DOCUMENTS_MAX) {
      const part = all.slice(from, from + BATCH_DOCUMENTS_MAX)
      const signed = signTogether(signer, part.map(({ document }) => document))
      for (const [place, { use }] of part.entries()) use(signed[place]!)
    }
  }

  return {
    publicKey: signer.publicKey,
    sign(domain, value, use) {
      const document = { domain, body: encode(value) }
      if (waiting.length === 0) turnEnd.documents(signAll)
      waiting.push({ document, use })
    },
  }
}
