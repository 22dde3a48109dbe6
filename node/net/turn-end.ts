/**
 * The end of a turn of the event loop. What a turn produced for the network leaves there together, however many jobs it
 * came from: first its documents are signed, then every channel makes one piece of its frames, then every connection
 * encrypts its pieces as one.
 */
export interface TurnEnd {
  /** Runs once at the end of this turn, or of the next one where this one's end has begun. Must not throw. */
  documents(run: () => void): void
  /** The same, after all `documents`. */
  frames(run: () => void): void
  /** The same, after all `frames`. */
  connection(run: () => void): void
}

export function createTurnEnd(): TurnEnd {
  let documents: (() => void)[] = []
  let frames: (() => void)[] = []
  let connections: (() => void)[] = []
  let scheduled = false

  function schedule(): void {
    if (scheduled) return
    scheduled = true
    setImmediate(end)
  }

  function end(): void {
    const first = documents
    documents = []
    for (const run of first) run()
    const second = frames
    frames = []
    for (const run of second) run()
    const last = connections
    connections = []
    // What these cause is for the next turn: it must be able to schedule it.
    scheduled = false
    if (documents.length + frames.length > 0) schedule()
    for (const run of last) run()
  }

  return {
    documents(run) {
      documents.push(run)
      schedule()
    },
    frames(run) {
      frames.push(run)
      schedule()
    },
    connection(run) {
      connections.push(run)
      schedule()
    },
  }
}
