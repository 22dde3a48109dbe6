/**
 * Hands events from the task that produces them to the one consumer that iterates over them. The producer waits while
 * the consumer is behind, until it `release`s the handoff: then it runs on alone (to the end of a cancelled job).
 */
export interface Handoff<Event> {
  /** Resolves when there is room for the next event, or at once after `release`. `onTaken` is called when the consumer gets it, and never where it does not. */
  offer(event: Event, onTaken?: () => void): Promise<void> | undefined
  /** Drops the event where the consumer is behind: for news that are only worth telling now. */
  offerIfIdle(event: Event): void
  /** No more events; the consumer sees the end, or the error. */
  close(error?: Error): void
  /** The consumer will not come again: later offers are dropped. */
  release(): void
  readonly events: AsyncIterable<Event>
}

export interface HandoffOptions {
  /** Events that may wait. One frame's worth each; 16 keep a fast reader busy. */
  readonly waitingMax?: number
  /** Called when the consumer stops before the end. */
  readonly onReturn?: () => void
}

export function createHandoff<Event>({ waitingMax = 16, onReturn }: HandoffOptions = {}): Handoff<Event> {
  const waiting: { readonly event: Event; readonly onTaken: (() => void) | undefined }[] = []
  let room: (() => void) | undefined
  let reader: { resolve: (result: IteratorResult<Event>) => void; reject: (error: Error) => void } | undefined
  let ended = false
  let failure: Error | undefined
  let released = false

  function makeRoom(): void {
    const resume = room
    room = undefined
    resume?.()
  }

  function next(): Promise<IteratorResult<Event>> {
    const first = waiting.shift()
    if (first !== undefined) {
      if (waiting.length < waitingMax) makeRoom()
      first.onTaken?.()
      return Promise.resolve({ done: false, value: first.event })
    }
    if (failure !== undefined) {
      const error = failure
      failure = undefined
      return Promise.reject(error)
    }
    if (ended) return Promise.resolve({ done: true, value: undefined })
    return new Promise((resolve, reject) => {
      reader = { resolve, reject }
    })
  }

  function release(): void {
    released = true
    waiting.length = 0
    makeRoom()
  }

  return {
    offer(event, onTaken) {
      if (released || ended) return undefined
      if (reader !== undefined) {
        const { resolve } = reader
        reader = undefined
        onTaken?.()
        resolve({ done: false, value: event })
        return undefined
      }
      waiting.push({ event, onTaken })
      if (waiting.length < waitingMax) return undefined
      return new Promise((resolve) => {
        room = resolve
      })
    },
    offerIfIdle(event) {
      if (reader === undefined || released || ended) return
      const { resolve } = reader
      reader = undefined
      resolve({ done: false, value: event })
    },
    close(error) {
      if (ended) return
      ended = true
      failure = error
      if (reader === undefined) return
      const { resolve, reject } = reader
      reader = undefined
      failure = undefined
      if (error === undefined) resolve({ done: true, value: undefined })
      else reject(error)
    },
    release,
    events: {
      [Symbol.asyncIterator]: () => ({
        next,
        return() {
          release()
          onReturn?.()
          return Promise.resolve({ done: true, value: undefined })
        },
      }),
    },
  }
}
