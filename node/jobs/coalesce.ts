/**
 * Collects an engine's text into fewer, larger pieces: the first goes out at once, later ones wait until
 * CHUNK_BYTES_TARGET has come together or CHUNK_WAIT_MS_MAX has passed. A transform for `pipe`.
 * Backpressure passes through: while a piece waits to be taken, at most one target's worth is read ahead.
 */
import type { ProviderEvent } from '../../providers/interface.ts'
import { CHUNK_BYTES_TARGET, CHUNK_WAIT_MS_MAX } from '../../protocol/limits.ts'
import type { Clock } from '../../protocol/ports.ts'

export interface CoalesceOptions {
  /** Longest wait of a piece, asked for each. Default CHUNK_WAIT_MS_MAX. */
  readonly waitMsMax?: () => number
  /** Measured in UTF-16 units: close enough to bytes to size a frame, and free. */
  readonly bytesTarget?: number
}

export function coalesce(clock: Clock, options: CoalesceOptions = {}) {
  const waitMsMax = options.waitMsMax ?? (() => CHUNK_WAIT_MS_MAX)
  const bytesTarget = options.bytesTarget ?? CHUNK_BYTES_TARGET

  return async function* (source: AsyncIterable<ProviderEvent>): AsyncGenerator<ProviderEvent> {
    const iterator = source[Symbol.asyncIterator]()
    let text = ''
    let tokens = 0
    let ids: number[] | undefined
    let isFirst = true
    let lastSentMs = 0
    /** Of the event that is being waited for. */
    let hasCome = false
    let isDue = false
    let cancelDue: (() => void) | undefined
    let wake: (() => void) | undefined
    let next = pull()

    function pull(): Promise<IteratorResult<ProviderEvent>> {
      hasCome = false
      const pulled = iterator.next()
      // A rejection is seen when `next` is awaited; until then it must not count as unhandled.
      pulled.then(come, come)
      return pulled
    }

    function come(): void {
      hasCome = true
      wake?.()
    }

    function isReady(): boolean {
      return isFirst || isDue || text.length >= bytesTarget
    }

    /** One timer for a piece, and not one for each token. */
    function bound(): void {
      if (cancelDue !== undefined) return
      const waitMs = waitMsMax() - (clock.monotonicMs() - lastSentMs)
      if (waitMs > 0) cancelDue = clock.after(waitMs, due)
      else isDue = true
    }

    function due(): void {
      cancelDue = undefined
      isDue = true
      wake?.()
    }

    /** Resolves when the next event is there or the piece may wait no longer. */
    function changed(): Promise<void> {
      return new Promise((resolve) => {
        wake = () => {
          wake = undefined
          resolve()
        }
      })
    }

    function take(): ProviderEvent {
      cancelDue?.()
      cancelDue = undefined
      isDue = false
      const event: ProviderEvent = ids === undefined ? { type: 'text', text, tokens } : { type: 'text', text, tokens, ids }
      text = ''
      isFirst = false
      lastSentMs = clock.monotonicMs()
      return event
    }

    try {
      for (;;) {
        if (text !== '') {
          if (!isReady()) bound()
          if (!isReady() && !hasCome) await changed()
          if (isReady()) {
            yield take()
            continue
          }
        }
        let result: IteratorResult<ProviderEvent>
        try {
          result = await next
        } catch (error) {
          // What the engine said before it broke was computed and counts.
          if (text !== '') yield take()
          throw error
        }
        const { done, value } = result
        if (done === true) break
        // Log probabilities belong to their piece, so it stays as it is.
        if (value.type === 'text' && value.logprobs === undefined) {
          // Ids of a part only would be those of other tokens.
          if (text === '') ids = value.ids === undefined ? undefined : [...value.ids]
          else if (ids !== undefined && value.ids !== undefined) ids.push(...value.ids)
          else ids = undefined
          text += value.text
          tokens = value.tokens
        } else {
          if (text !== '') yield take()
          isFirst &&= value.type === 'state'
          yield value
        }
        next = pull()
      }
      if (text !== '') yield take()
    } finally {
      cancelDue?.()
      await iterator.return?.()
    }
  }
}
