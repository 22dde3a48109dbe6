/** The serving end of a job channel, driven by a test: it reads what is asked and sends any frames, honest or not. */
import { createHash } from 'node:crypto'
import { decode, encode } from '../../protocol/codec.ts'
import type { FinishReason, Usage } from '../../protocol/completion.ts'
import { jobAskSchema, type JobAsk, type JobTell } from '../../protocol/messages/job.ts'
import { ticketHashOf, type ReceiptHalf } from '../../protocol/messages/receipt.ts'
import { ticketSchema } from '../../protocol/messages/ticket.ts'
import type { Signer } from '../../protocol/ports.ts'
import { signDocument, type Signed } from '../../protocol/signed.ts'
import type { Channel } from '../../node/net/channel.ts'
import { createLocalChannels } from '../../node/net/local-channel.ts'

export interface ScriptedHost {
  /** The asking side's end. */
  readonly channel: Channel
  /** The serving end, for breaking it off. */
  readonly serving: Channel
  tell(frame: JobTell): boolean
  /** The next frame that the asking side sent. */
  asked(): Promise<JobAsk>
}

export function scriptedHost(peer: string): ScriptedHost {
  const [channel, serving] = createLocalChannels(peer)
  return {
    channel,
    serving,
    tell: (frame) => serving.send(encode(frame)),
    async asked() {
      const frame = await serving.read()
      if (frame === undefined) throw new Error('the asking side has closed the channel')
      return decode(jobAskSchema, frame)
    },
  }
}

/** The half that an honest host signs. */
export function honestHalf(signer: Signer, ticket: Signed, said: { text: string; usage: Usage; finish: FinishReason } & Partial<ReceiptHalf>): Signed {
  const { text, ...part } = said
  return signDocument(signer, 'receiptHalf', {
    v: 1, ticketHash: ticketHashOf(ticket), jobId: decode(ticketSchema, ticket.body).jobId, modelDigest: 'ab'.repeat(32), device: 'cpu', boot: new Uint8Array(16),
    startMs: 0, endMs: 10, outputHash: new Uint8Array(createHash('sha256').update(text).digest()), ...part,
  } satisfies ReceiptHalf)
}
