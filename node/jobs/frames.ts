/**
 * Frames of the job protocol on a channel: encoded and checked between machines, handed over as they are within one process. A
 * hub that answers with its own vendor or engine is its own host, and most of such a job would be spent on encoding it.
 */
import type { z } from 'zod'
import { decode, encode } from '../../protocol/codec.ts'
import type { JobRequest } from '../../protocol/completion.ts'
import type { JobAsk, JobTell } from '../../protocol/messages/job.ts'
import type { Ticket } from '../../protocol/messages/ticket.ts'
import type { Channel } from '../net/channel.ts'

/** What an `open` is made of. It stands beside one that stays in this process, and can never come from outside. */
export interface Opened {
  readonly ticket: Ticket
  readonly request: JobRequest
}

export type OpenAsk = Extract<JobAsk, { t: 'open' }> & { readonly opened?: Opened }
export type RelayAsk = Extract<JobAsk, { t: 'relay' }>
export type Ask = OpenAsk | RelayAsk | Extract<JobAsk, { t: 'cancel' }>

type Sending = Pick<Channel, 'send' | 'pass'>
type Reading = Pick<Channel, 'read' | 'take'>

export function sendAsk(channel: Sending, ask: Ask): void {
  if (channel.pass !== undefined) {
    channel.pass(ask, ask.t === 'cancel' ? 0 : ask.request.byteLength)
    return
  }
  if (ask.t === 'open') channel.send(encode({ t: ask.t, ticket: ask.ticket, request: ask.request } satisfies JobAsk))
  else channel.send(encode(ask))
}

/** False: wait for `drained` before the next. */
export function sendTell(channel: Sending, tell: JobTell): boolean {
  return channel.pass === undefined ? channel.send(encode(tell)) : channel.pass(tell, memoryOf(tell))
}

/** Throws FRAME_MALFORMED. Undefined after an orderly end. */
export async function readFrame<Frame extends Ask | JobTell>(channel: Reading, schema: z.ZodType<Frame>): Promise<Frame | undefined> {
  const frame = await (channel.take === undefined ? channel.read() : channel.take())
  return frame instanceof Uint8Array ? decode(schema, frame) : frame as Frame | undefined
}

function memoryOf(tell: JobTell): number {
  switch (tell.t) {
    case 'chunk':
    case 'reasoning': return tell.text.length
    case 'tool': return tell.arguments.length
    case 'vectors': return tell.values.byteLength
    case 'accept':
    case 'reject':
    case 'beat':
    case 'placed':
    case 'progress':
    case 'end':
    case 'fail': return 0
  }
}
