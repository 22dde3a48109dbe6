/**
 * What a hub sees of a job that it passes on, for the checks: how many bytes in which time, and the text only where the hub
 * asked itself or the account allows it. Costs a job next to nothing.
 */
import type { AnswerDelta, CompletionRequest, JobRequest } from '../../protocol/completion.ts'
import { isEmbedding } from '../../protocol/completion.ts'
import type { Capacity, CheckLabel, OfferedModel } from '../../protocol/messages/capacity.ts'
import type { Clock } from '../../protocol/ports.ts'
import type { PrivacyClass, RoutingWishes } from '../../protocol/routing.ts'
import type { JobSeen } from '../jobs/job-run.ts'
import { PROBE_TEXT_MAX } from './compare.ts'

export interface WatchedOrder {
  readonly account: Uint8Array
  readonly tier: string
  readonly routing?: RoutingWishes
  readonly privacy?: PrivacyClass
}

export interface WatchedHost {
  readonly peer: string
  readonly capacity: Capacity
  readonly isHub: boolean
}

/** The jobs of a hub, as the checks see them. */
export interface JobWatch {
  /** Undefined where the job is nothing that can be checked. */
  begin(host: WatchedHost, request: JobRequest, order: WatchedOrder): WatchedAnswer | undefined
  /** A consumer streamed this job on its own: nothing is known of it but that it was. */
  cleared(jobId: Uint8Array, contributor: Uint8Array): void
  /** False for a machine whose work is not paid, because it failed its checks. */
  pays(contributor: Uint8Array): boolean
  /** What goes with an answer of this host. */
  labelOf(host: WatchedHost): CheckLabel
}

export interface WatchedAnswer {
  beat(state: 'queued' | 'loading' | 'running'): void
  delta(delta: AnswerDelta): void
  ended(jobId: Uint8Array, seen: Pick<JobSeen, 'usage' | 'error' | 'finish'>): void
}

/** A job that has ended well, however short. */
export interface EndedJob {
  readonly host: WatchedHost
  readonly model: OfferedModel
  readonly request: CompletionRequest
  readonly order: WatchedOrder
  readonly jobId: Uint8Array
  readonly tokens: number
  readonly bytes: number
  readonly toolCalls: number
  /** Monotonic. `wholeMs`: from the question to the last piece. */
  readonly beganMs: number
  readonly wholeMs: number
  /** It waited for a place or for the model. */
  readonly waited: boolean
  readonly text: string | undefined
}

export interface JobWatchOptions {
  /** Whether the text is wanted. */
  readonly keepsText: (request: CompletionRequest, order: WatchedOrder) => boolean
  readonly onEnded: (job: EndedJob) => void
}

export function watchAnswers({ clock }: { readonly clock: Clock }, { keepsText, onEnded }: JobWatchOptions): JobWatch['begin'] {
  return (host, request, order) => {
    if (host.isHub || isEmbedding(request)) return undefined
    const model = host.capacity.models.find(({ id }) => id === request.model)
    if (model === undefined) return undefined
    const beganMs = clock.monotonicMs()
    let lastMs = beganMs
    let bytes = 0
    let toolCalls = 0
    let waited = false
    let text = keepsText(request, order) ? '' : undefined
    return {
      beat(state) {
        waited ||= state !== 'running'
      },
      delta(delta) {
        const piece = delta.type === 'toolCall' ? delta.arguments : delta.text
        lastMs = clock.monotonicMs()
        bytes += Buffer.byteLength(piece)
        if (delta.type === 'toolCall') toolCalls = Math.max(toolCalls, delta.index + 1)
        if (text !== undefined && text.length < PROBE_TEXT_MAX) text = (text + piece).slice(0, PROBE_TEXT_MAX)
      },
      ended(jobId, { usage, error, finish }) {
        if (error !== undefined || finish === 'cancelled' || finish === 'error') return
        onEnded({
          host, model, request, order, jobId, tokens: usage.completionTokens, bytes, toolCalls, beganMs, wholeMs: Math.max(1, lastMs - beganMs), waited, text,
        })
      },
    }
  }
}
