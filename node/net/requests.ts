/**
 * Questions and answers on the control protocol: pooled channels, one exchange at a time on each, a deadline for all.
 */
import type { Clock } from '../../protocol/ports.ts'
import { decode, encode } from '../../protocol/codec.ts'
import { toTriforceError, TriforceError } from '../../protocol/errors.ts'
import { controlAskSchema, controlTellSchema, type ControlAsk, type ControlQuestion, type ControlTell } from '../../protocol/messages/control.ts'
import type { Channel, ChannelHandler } from './channel.ts'
import type { ChannelPool } from './channel-pool.ts'

export interface Requests {
  /** Throws HOST_SILENT after `waitMsMax`, HOST_LOST or NO_HOST where the peer cannot be reached. */
  ask(peer: string, question: ControlAsk, options: { readonly waitMsMax: number }): Promise<ControlTell>
}

export function createRequests(components: { readonly pool: ChannelPool; readonly clock: Clock }): Requests {
  const { pool, clock } = components
  return {
    async ask(peer, question, { waitMsMax }) {
      const silence = new TriforceError('HOST_SILENT', { peer }, { detail: 'the peer did not answer in time' })
      // The deadline holds for opening the channel too: a half-dead peer must not take longer than it.
      const { promise: silent, reject } = Promise.withResolvers<never>()
      silent.catch(() => {})
      const cancel = clock.after(waitMsMax, () => reject(silence))
      const leasing = pool.lease(peer)
      let channel: Channel
      try {
        channel = await Promise.race([leasing, silent])
      } catch (reason) {
        cancel()
        leasing.then((late) => pool.giveBack(late), () => {})
        throw toTriforceError(reason, 'HOST_LOST')
      }
      silent.catch(() => channel.abort(silence))
      try {
        channel.send(encode(question))
        const frame = await channel.read()
        if (frame === undefined) throw new TriforceError('HOST_LOST', { peer })
        const answer = decode(controlTellSchema, frame)
        pool.giveBack(channel)
        return answer
      } catch (reason) {
        const error = toTriforceError(reason, 'HOST_LOST')
        pool.discard(channel, error)
        throw error
      } finally {
        cancel()
      }
    },
  }
}

/** Answers one peer's questions; `answer` gives the answer's body or throws. */
export function createRequestHandler(answer: (peer: string, question: ControlQuestion) => Promise<Uint8Array>): ChannelHandler {
  return async (channel) => {
    for (let frame = await channel.read(); frame !== undefined; frame = await channel.read()) {
      const question = decode(controlAskSchema, frame)
      const tell = question.t === 'ping' ? pong : await tellOf(channel, question)
      if (!channel.send(tell)) await channel.drained()
    }
  }

  async function tellOf(channel: Channel, question: ControlQuestion): Promise<Uint8Array> {
    try {
      return encode({ t: 'ok', body: await answer(channel.peer, question) } satisfies ControlTell)
    } catch (reason) {
      return encode(errorTell(toTriforceError(reason)))
    }
  }
}

const pong = encode({ t: 'pong' } satisfies ControlTell)

/** An error as a peer may see it: internal ones only by their code. */
export function errorTell(error: TriforceError): Extract<ControlTell, { t: 'error' }> {
  const detail = error.code === 'INTERNAL' ? '' : error.message.slice(0, 1_024)
  return { t: 'error', code: error.code, detail, ...(error.retryAfterMs === undefined ? {} : { retryAfterMs: error.retryAfterMs }) }
}
