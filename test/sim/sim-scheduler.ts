/**
 * Simulated time: events in order of their time, and in the order in which they were asked for where times are equal.
 * After each event all promises that can settle do so before the next one, so a run is the same every time.
 */

export interface Scheduler {
  /** Simulated milliseconds since the run began. */
  readonly nowMs: number
  readonly steps: number
  /** Gives a function that cancels it. */
  after(delayMs: number, run: () => void): () => void
  /** Notes what happened: part of the run's fingerprint, and the last ones are kept for a report. */
  note(text: string): void
  /** Runs the next event; false where none is left, or the next one is after `untilMs` (time then stands at `untilMs`). */
  step(untilMs: number): Promise<boolean>
  /** The same for two equal runs. */
  fingerprint(): string
  lastNotes(): readonly string[]
}

interface Timed {
  readonly atMs: number
  readonly order: number
  run: (() => void) | undefined
}

/** `keepNotes`: how many of the last notes are kept. `onThrown`: what an event threw, which in a real process ends it. */
export function createScheduler({ keepNotes, onThrown }: { readonly keepNotes: number; readonly onThrown: (error: unknown) => void }): Scheduler {
  const heap: Timed[] = []
  let nowMs = 0
  let steps = 0
  let order = 0
  let notes: string[] = []
  let hashA = 0x811c9dc5
  let hashB = 0x01000193

  function isBefore(a: Timed, b: Timed): boolean {
    return a.atMs < b.atMs || a.atMs === b.atMs && a.order < b.order
  }

  function push(item: Timed): void {
    let place = heap.length
    heap.push(item)
    while (place > 0) {
      const parent = (place - 1) >> 1
      if (!isBefore(item, heap[parent]!)) break
      heap[place] = heap[parent]!
      place = parent
    }
    heap[place] = item
  }

  function pop(): void {
    const item = heap.pop()!
    if (heap.length === 0) return
    let place = 0
    for (;;) {
      let child = 2 * place + 1
      if (child >= heap.length) break
      if (child + 1 < heap.length && isBefore(heap[child + 1]!, heap[child]!)) child += 1
      if (!isBefore(heap[child]!, item)) break
      heap[place] = heap[child]!
      place = child
    }
    heap[place] = item
  }

  function mix(text: string): void {
    for (let place = 0; place < text.length; place += 1) {
      const code = text.charCodeAt(place)
      hashA = Math.imul(hashA ^ code, 0x01000193)
      hashB = Math.imul(hashB + code, 0x9e3779b1) ^ (hashB >>> 13)
    }
  }

  return {
    get nowMs() { return nowMs },
    get steps() { return steps },
    after(delayMs, run) {
      const item: Timed = { atMs: nowMs + Math.max(0, delayMs), order: order++, run }
      push(item)
      return () => { item.run = undefined }
    },
    note(text) {
      mix(`${steps} ${nowMs.toFixed(3)} ${text}`)
      if (keepNotes === 0) return
      notes.push(`${(nowMs / 1_000).toFixed(3)}s ${text}`)
      if (notes.length > 10 * keepNotes) notes = notes.slice(-keepNotes)
    },
    async step(untilMs) {
      while (heap.length > 0 && heap[0]!.run === undefined) pop()
      const next = heap[0]
      if (next === undefined || next.atMs > untilMs) {
        nowMs = Math.max(nowMs, untilMs)
        await new Promise((resolve) => setImmediate(resolve))
        return false
      }
      pop()
      nowMs = next.atMs
      steps += 1
      try {
        next.run!()
      } catch (error) {
        onThrown(error)
      }
      await new Promise((resolve) => setImmediate(resolve))
      return true
    },
    fingerprint: () => `${(hashA >>> 0).toString(16).padStart(8, '0')}${(hashB >>> 0).toString(16).padStart(8, '0')}`,
    lastNotes: () => keepNotes === 0 ? [] : notes.slice(-keepNotes),
  }
}
