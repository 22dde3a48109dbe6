/**
 * A hub relays a job for a consumer that cannot reach the host itself: the consumer's channel on one side, the hub's own
 * dispatcher on the other. What the consumer does not read, the hub does not ask for.
 */
import { decode } from '../../protocol/codec.ts'
import { jobRequestSchema, type DetailedUsage, type FinishReason } from '../../protocol/completion.ts'
import { toTriforceError, TriforceError } from '../../protocol/errors.ts'
import { jobOptionsSchema, tellOfDelta, type JobTell } from '../../protocol/messages/job.ts'
import { errorTell } from '../net/requests.ts'
import type { Traffic } from '../net/traffic.ts'
import type { AccountGate } from '../settlement/account-gate.ts'
import { checkModel, jobTermsOf } from '../settlement/key-rights.ts'
import type { Dispatcher } from './dispatcher.ts'
import { sendTell, type RelayAsk } from './frames.ts'
import type { ServeJob } from './job-server.ts'
import { placedTell, relayedBody, servedTell } from './relay-frames.ts'
import type { JobEvent } from './vectors.ts'
import { beatOf } from './waiting.ts'

export interface RelayComponents {
  readonly gate: AccountGate
  readonly dispatcher: Pick<Dispatcher, 'run'>
  readonly traffic: Pick<Traffic, 'job'>
}

const NO_USAGE: DetailedUsage = { promptTokens: 0, completionTokens: 0 }

export function createRelay({ gate, dispatcher, traffic }: RelayComponents): ServeJob<RelayAsk> {
  return async (channel, ask, { signal }) => {
    const tell = (frame: JobTell) => sendTell(channel, frame)
    let events: AsyncIterable<JobEvent>
    try {
      const { action, account, key } = gate.admit(ask.authorization, relayedBody(ask))
      if (action !== 'relay') throw new TriforceError('FORBIDDEN', { action }, { detail: 'the request is signed for another action' })
      const request = decode(jobRequestSchema, ask.request)
      const { routing } = ask.options === undefined ? {} : decode(jobOptionsSchema, ask.options)
      for (const model of [request.model, ...routing?.fallbackModels ?? []]) checkModel(key.terms, model)
      events = dispatcher.run({
        account: account.id, request, requestBytes: ask.request, tier: account.tier, ...jobTermsOf(key), signal, ...(routing === undefined ? {} : { routing }),
      })
    } catch (reason) {
      tell({ ...errorTell(toTriforceError(reason)), t: 'reject' })
      return
    }

    tell({ t: 'accept' })
    let finished: { finish: FinishReason; usage: DetailedUsage } | undefined
    let tokens = 0
    try {
      for await (const event of events) {
        switch (event.type) {
          case 'placed':
            tell(placedTell(event))
            break
          case 'waiting':
            tell(beatOf(event))
            break
          case 'text':
          case 'reasoning':
          case 'toolCall':
            tokens = event.tokens
            if (!tell(tellOfDelta(event))) await channel.drained()
            break
          case 'vectors':
            if (!tell({ t: 'vectors', dimensions: event.dimensions, values: event.values })) await channel.drained()
            break
          case 'finish':
            finished = event
            break
          case 'settled': {
            traffic.job('proxied')
            tell({ t: 'end', finish: finished?.finish ?? 'error', usage: finished?.usage ?? NO_USAGE, relayed: servedTell(event.served) })
            break
          }
        }
      }
    } catch (reason) {
      const error = toTriforceError(reason)
      tell({ ...errorTell(error), t: 'fail', usage: { ...NO_USAGE, completionTokens: tokens } })
    }
  }
}
