/**
 * One answer as a stream of events: when the status line goes out, when a comment breaks the silence, how the end looks.
 *
 * The status line goes out with the first text, so every earlier failure is a plain HTTP error. Where the answer is slow
 * to begin, comments keep the connection alive; the first of them settles the status too, so it is held back for a
 * moment in which most refusals arrive.
 */
import type { FastifyReply } from 'fastify'
import type { AnswerDelta } from '../../protocol/completion.ts'
import type { TriforceError } from '../../protocol/errors.ts'
import type { Clock } from '../../protocol/ports.ts'
import type { CompletionEvent } from '../gateway.ts'
import type { AnswerEnd, AnswerWriter } from './dialect.ts'
import { createEventWriter } from './event-writer.ts'

export interface StreamAnswerComponents {
  readonly reply: FastifyReply
  readonly writer: AnswerWriter
  readonly signal: AbortSignal
  readonly clock: Clock
}

export interface StreamAnswerOptions {
  readonly quietMs: number
  readonly keepAliveMs: number
  readonly stalledMsMax: number
}

export type WaitingEvent = Extract<CompletionEvent, { type: 'waiting' }>

export interface StreamAnswer {
  /** True once the status line is out: from then on an error can only be an event. */
  readonly begun: boolean
  waiting(event: WaitingEvent): void
  delta(delta: AnswerDelta): void
  /** A promise while the client is too slow to take more. */
  room(): Promise<void> | undefined
  end(end: AnswerEnd): void
  failed(error: TriforceError): void
  /** Stops the timer; to be called in every case. */
  close(): void
}

/** Two looks at the silence are never closer than this, whatever the clock says. */
const LOOK_MS_MIN = 10

export function createStreamAnswer(components: StreamAnswerComponents, options: StreamAnswerOptions): StreamAnswer {
  const { reply, writer, signal, clock } = components
  const { quietMs, keepAliveMs, stalledMsMax } = options
  const startedAtMs = clock.monotonicMs()
  const out = createEventWriter(reply.raw, signal)
  let headSent = false
  let textBegun = false
  let waiting = ''
  let spokeAtMs = startedAtMs
  let cancelLook = clock.after(Math.min(quietMs, keepAliveMs), breakSilence)

  function open(): void {
    if (headSent) return
    headSent = true
    sendHead(reply, writer, stalledMsMax)
  }

  function say(text: string): void {
    // A dialect may have no word for a piece, and then nothing breaks the silence.
    if (text === '') return
    open()
    spokeAtMs = clock.monotonicMs()
    out.push(text)
  }

  function begin(): string {
    if (textBegun) return ''
    textBegun = true
    return writer.begin()
  }

  /** Runs at `quietMs`, and then whenever the stream may have been silent for `keepAliveMs`. */
  function breakSilence(): void {
    const nowMs = clock.monotonicMs()
    if (!headSent && waiting !== '') say(writer.comment(waiting))
    else if (nowMs - spokeAtMs >= keepAliveMs && !out.full) say(writer.comment('keep-alive'))
    cancelLook = clock.after(Math.max(keepAliveMs - (nowMs - spokeAtMs), LOOK_MS_MIN), breakSilence)
  }

  return {
    get begun() {
      return headSent
    },

    waiting(event) {
      const state = describe(event)
      if (state === waiting) return
      waiting = state
      // Until a host has taken the job, a refusal is still likely, so only `keep-alive` may come before.
      if (state !== '' && (headSent || clock.monotonicMs() - startedAtMs >= quietMs)) say(writer.comment(state))
    },

    delta(delta) {
      waiting = ''
      say(begin() + writer.delta(delta))
    },

    room: () => out.room(),

    end(end) {
      open()
      out.end(begin() + writer.end(end))
    },

    failed: (error) => out.end(writer.failed(error)),
    close: () => cancelLook(),
  }
}

/** Empty while no host has taken the job. */
function describe({ state, at }: WaitingEvent): string {
  if (state === 'placing') return ''
  if (at === undefined) return state
  return state === 'loading' ? `loading ${Math.round(at * 100)}%` : `${state} ${at}`
}

/** The status line leaves with the next write; from here on the answer is no longer Fastify's. */
function sendHead(reply: FastifyReply, writer: AnswerWriter, stalledMsMax: number): void {
  reply.hijack()
  reply.raw.writeHead(200, {
    ...(reply.getHeaders() as Record<string, string>),
    'content-type': writer.streamContentType,
    'cache-control': 'no-cache, no-transform',
    // Tells nginx not to collect the stream.
    'x-accel-buffering': 'no',
  })
  // Node destroys a socket on which nothing moved for this long; comments keep a silent stream from it.
  reply.raw.socket?.setTimeout(stalledMsMax)
}
