/** One process of a hub, from its start to its end: what comes for it is held back while it is paused, and dropped once it is dead. */

export interface Life {
  readonly alive: boolean
  readonly paused: boolean
  /** After a failed sync the database refuses every write. */
  diskFailed: boolean
  /** Runs it now, or when the pause ends, or never. */
  run(event: () => void): void
  pause(): void
  resume(): void
  end(): void
}

export function createLife(): Life {
  let alive = true
  let paused = false
  let held: (() => void)[] = []
  return {
    diskFailed: false,
    get alive() { return alive },
    get paused() { return paused },
    run(event) {
      if (!alive) return
      if (paused) held.push(event)
      else event()
    },
    pause() { paused = true },
    resume() {
      paused = false
      const events = held
      held = []
      for (const event of events) if (alive) event()
    },
    end() {
      alive = false
      held = []
    },
  }
}
