/** A cheap id for a gossip message, so that copies are dropped before their signature is checked. */
import { createHash } from 'node:crypto'
import type { RPC } from '@libp2p/gossipsub/message'

export function fastMessageId(message: RPC.Message): string {
  return createHash('sha256')
    .update(message.topic)
    .update(message.from ?? new Uint8Array())
    .update(message.seqno ?? new Uint8Array())
    .update(message.data ?? new Uint8Array())
    .digest('base64')
}
