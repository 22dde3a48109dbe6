/**
 * Requests that are sent twice with one Idempotency-Key are answered once: a second one joins the first while it runs, and
 * gets the same events again for some minutes after. A key belongs to its account and to one request; a failure is not
 * kept, so the same key may try again. The job is cancelled when the last of those who wait for it has left.
 */
import { TriforceError } from '../../protocol/errors.ts'
import type { Clock } from '../../protocol/ports.ts'
import type { CompletionEvent, EmbeddingsAnswer } from '../gateway.ts'

/** Vectors come at once, when all of them are there. */
export interface EmbeddedEvent {
  readonly type: 'embedded'
  readonly answer: EmbeddingsAnswer
}

export type ReplayedEvent = CompletionEvent | EmbeddedEvent

export interface ReplayKey {
  /** Account and Idempotency-Key. */
  readonly name: string
  /** Equal for equal requests. */
  readonly fingerprint: string
}

export interface ReplayOptions {
  /** How long a finished answer is given again. Default 10 minutes. */
  readonly keptMs?: number
  /** Answers known by a key; the oldest finished one goes first. Default 256. */
  readonly entriesMax?: number
  /** UTF-16 units of text of all answers together, and of one. Defaults 16 Mi and 2 Mi. */
  readonly charsMax?: number
  readonly entryCharsMax?: number
}

export const replayDefaults = Object.freeze({
  keptMs: 600_000, entriesMax: 256, charsMax: 16 * 1024 * 1024, entryCharsMax: 2 * 1024 * 1024,
}) satisfies Required<ReplayOptions>

export interface Replays {
  /**
   * `start` is called once for each key. Throws IDEMPOTENCY_CONFLICT where the key was used for another request, or its
   * answer is too long to be given twice; RATE_LIMITED where too many answers are running under keys.
   */
  run<Event extends ReplayedEvent>(key: ReplayKey, start: (signal: AbortSignal) => AsyncIterable<Event>, signal: AbortSignal): { readonly replayed: boolean; readonly events: AsyncIterable<Event> }
}

interface Entry {
  readonly fingerprint: string
  readonly events: ReplayedEvent[]
  readonly cancel: AbortController
  chars: number
  readers: number
  /** It was too long to be kept: who reads on gets it, nobody else. */
  isWhole: boolean
  outcome: 'running' | 'finished' | { readonly error: unknown }
  untilMs: number
  wake: (() => void)[]
}

export function createReplays({ clock }: { readonly clock: Clock }, options: ReplayOptions = {}): Replays {
  const { keptMs, entriesMax, charsMax, entryCharsMax } = { ...replayDefaults, ...options }
  const entries = new Map<string, Entry>()
  let chars = 0

  function forget(name: string, entry: Entry): void {
    if (entries.get(name) !== entry) return
    entries.delete(name)
    chars -= entry.chars
  }

  function makeRoom(): void {
    const nowMs = clock.monotonicMs()
    for (const [name, entry] of entries) {
      const isOver = entry.outcome === 'finished' && (entry.untilMs <= nowMs || entries.size >= entriesMax || chars > charsMax)
      if (isOver) forget(name, entry)
    }
    if (entries.size >= entriesMax) throw new TriforceError('RATE_LIMITED', {}, { detail: 'too many requests with an Idempotency-Key are running', retryAfterMs: 2_000 })
  }

  function keep(name: string, entry: Entry, event: ReplayedEvent): void {
    entry.events.push(event)
    const size = sizeOf(event)
    entry.chars += size
    if (entries.get(name) === entry) chars += size
    if (entry.isWhole && entry.chars > entryCharsMax) entry.isWhole = false
    for (const wake of entry.wake.splice(0)) wake()
  }

  /** Pulls as fast as its host gives: the whole answer is kept anyway. */
  async function pump(name: string, entry: Entry, start: (signal: AbortSignal) => AsyncIterable<ReplayedEvent>): Promise<void> {
    try {
      for await (const event of start(entry.cancel.signal)) keep(name, entry, event)
      entry.outcome = 'finished'
      entry.untilMs = clock.monotonicMs() + keptMs
      if (!entry.isWhole) forget(name, entry)
    } catch (error) {
      entry.outcome = { error }
      forget(name, entry)
    }
    for (const wake of entry.wake.splice(0)) wake()
  }

  async function* read(entry: Entry, name: string, signal: AbortSignal): AsyncGenerator<ReplayedEvent> {
    const onAbort = () => { for (const wake of entry.wake.splice(0)) wake() }
    signal.addEventListener('abort', onAbort)
    try {
      for (let at = 0; ; at += 1) {
        while (at >= entry.events.length && entry.outcome === 'running' && !signal.aborted) {
          await new Promise<void>((resolve) => { entry.wake.push(resolve) })
        }
        if (signal.aborted) throw new TriforceError('CANCELLED')
        const event = entry.events[at]
        if (event === undefined) break
        // A waiting state is news of a moment.
        if (event.type !== 'waiting' || at === entry.events.length - 1) yield event
      }
      if (typeof entry.outcome === 'object') throw entry.outcome.error
    } finally {
      signal.removeEventListener('abort', onAbort)
      entry.readers -= 1
      if (entry.readers === 0 && entry.outcome === 'running') {
        forget(name, entry)
        entry.cancel.abort(signal.reason instanceof Error ? signal.reason : new TriforceError('CANCELLED'))
      }
    }
  }

  return {
    run<Event extends ReplayedEvent>({ name, fingerprint }: ReplayKey, start: (until: AbortSignal) => AsyncIterable<Event>, signal: AbortSignal) {
      // Equal requests have events of one kind.
      const eventsOf = (entry: Entry) => read(entry, name, signal) as AsyncIterable<Event>
      const known = entries.get(name)
      if (known !== undefined && !(known.outcome === 'finished' && known.untilMs <= clock.monotonicMs())) {
        if (known.fingerprint !== fingerprint) throw new TriforceError('IDEMPOTENCY_CONFLICT')
        if (!known.isWhole) throw new TriforceError('IDEMPOTENCY_CONFLICT', {}, { detail: 'the answer that this Idempotency-Key belongs to is too long to be given twice' })
        known.readers += 1
        return { replayed: true, events: eventsOf(known) }
      }
      if (known !== undefined) forget(name, known)
      makeRoom()
      const entry: Entry = { fingerprint, events: [], cancel: new AbortController(), chars: 0, readers: 1, isWhole: true, outcome: 'running', untilMs: 0, wake: [] }
      entries.set(name, entry)
      void pump(name, entry, start)
      return { replayed: false, events: eventsOf(entry) }
    },
  }
}

/** What is around a piece counts too, or an answer of single letters would be a hundred times its size. */
const EVENT_CHARS = 64

function sizeOf(event: ReplayedEvent): number {
  switch (event.type) {
    case 'text': return EVENT_CHARS + event.text.length + (event.logprobs?.length ?? 0) * 512
    case 'reasoning': return EVENT_CHARS + event.text.length + (event.signature?.length ?? 0)
    case 'toolCall': return EVENT_CHARS + event.arguments.length
    case 'placed':
    case 'waiting':
    case 'finish':
    case 'settled': return EVENT_CHARS
    // Two bytes a unit.
    case 'embedded': return EVENT_CHARS + event.answer.vectors.reduce((sum, vector) => sum + vector.byteLength / 2, 0)
  }
}
