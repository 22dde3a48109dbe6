/** Ids of gossip messages: by what they say, so that copies are dropped before their signature is checked. */
import { createHash } from 'node:crypto'
import type { Message } from '@libp2p/gossipsub'
import type { RPC } from '@libp2p/gossipsub/message'
import { sha256 } from '../../protocol/crypto.ts'

export function messageId(message: Message): Uint8Array {
  return sha256(message.data)
}

export function fastMessageId(message: RPC.Message): string {
  return createHash('sha256').update(message.topic).update(message.data ?? new Uint8Array()).digest('base64')
}
