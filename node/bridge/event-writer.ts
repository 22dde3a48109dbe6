/**
 * Writes the events of one stream. All text of one turn of the event loop goes out as one write: a write for each token
 * costs several times as much as the token. The reader's pace is kept: while the socket is full, `room()` is a promise
 * that ends when the socket drains, closes or the signal aborts, so the caller never waits for ever.
 */
import type { ServerResponse } from 'node:http'

/** Text that may wait for the turn's end before the caller has to let the turn end. */
const PENDING_CHARS_MAX = 16 * 1024

export interface EventWriter {
  push(text: string): void
  /** Undefined where more may be pushed at once. */
  room(): Promise<void> | undefined
  /** True while the socket takes no more. */
  readonly full: boolean
  /** Writes what is left and ends the response. */
  end(text: string): void
}

export function createEventWriter(response: ServerResponse, signal: AbortSignal): EventWriter {
  let pending = ''
  let scheduled = false
  let full = false
  let wake: (() => void) | undefined

  function flush(): void {
    scheduled = false
    if (pending !== '' && !response.writableEnded && !response.destroyed) {
      const text = pending
      pending = ''
      full = !response.write(text)
    }
    if (!full) wake?.()
  }

  function drained(): void {
    full = false
    wake?.()
  }
  response.on('drain', drained)

  return {
    push(text) {
      pending += text
      if (scheduled) return
      scheduled = true
      setImmediate(flush)
    },

    room() {
      if (signal.aborted || (!full && pending.length < PENDING_CHARS_MAX)) return undefined
      return new Promise((resolve) => {
        wake = () => {
          wake = undefined
          response.off('close', done)
          signal.removeEventListener('abort', done)
          resolve()
        }
        const done = wake
        response.once('close', done)
        signal.addEventListener('abort', done, { once: true })
      })
    },

    get full() {
      return full
    },

    end(text) {
      response.off('drain', drained)
      const last = pending + text
      pending = ''
      response.end(last)
    },
  }
}
