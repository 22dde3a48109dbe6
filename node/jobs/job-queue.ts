/**
 * Slots of this machine: so many jobs run at once, so many may wait. Who waits is served in a fair order, weighted by priority.
 */
import { TriforceError } from '../../protocol/errors.ts'
import type { Clock } from '../../protocol/ports.ts'
import { createFairOrder, type Turn } from './fair-order.ts'

export interface JobQueueOptions {
  /** Jobs running at once; asked for each time, since engines come and go. */
  readonly slots: () => number
  /** Jobs that may wait; the next one is refused with QUEUE_FULL. Default 64. */
  readonly waitingMax?: number
  /** Longest wait before a job is refused with QUEUE_TIMEOUT. Default 60_000 ms. */
  readonly waitMsMax?: number
  readonly onChange?: () => void
}

export interface JobQueue {
  /**
   * Resolves with a function that frees the slot. Throws QUEUE_FULL, QUEUE_TIMEOUT, STOPPING, or CANCELLED when `signal` aborts.
   * `account`: who it is for, so that one account's jobs do not stand before everybody else's. `rank`: smaller goes before all of a
   * larger one; default 0. `onPlace` is told the place in the queue (1 is next) when it changes.
   */
  enter(job: { priority: number; rank?: number; account?: string; signal: AbortSignal; onPlace?: (place: number) => void }): Promise<() => void>
  readonly running: number
  readonly waiting: number
  /** Refuses what waits; running jobs go on. */
  refuseWaiting(error: TriforceError): void
  /** Refuses what waits and what comes, for good; running jobs go on. */
  drain(): void
  /** Resolves when nothing runs any more. */
  idle(): Promise<void>
}

interface Waiting {
  readonly turn: Turn
  readonly rank: number
  readonly onPlace: ((place: number) => void) | undefined
  readonly start: () => void
  readonly refuse: (error: TriforceError) => void
}

export function createJobQueue(components: { readonly clock: Clock }, options: JobQueueOptions): JobQueue {
  const { clock } = components
  const { slots, waitingMax = 64, waitMsMax = 60_000, onChange = () => {} } = options
  const waiting: Waiting[] = []
  const fair = createFairOrder()
  let running = 0
  let draining = false
  let idleWaiters: (() => void)[] = []

  function leaveSlot(): () => void {
    let isFree = false
    return () => {
      if (isFree) return
      isFree = true
      running -= 1
      startNext()
      onChange()
      if (running === 0) for (const resolve of idleWaiters.splice(0)) resolve()
    }
  }

  function startNext(): void {
    while (running < slots() && waiting.length > 0) {
      running += 1
      waiting.shift()!.start()
    }
    tellPlaces()
  }

  function tellPlaces(): void {
    waiting.forEach((job, index) => job.onPlace?.(index + 1))
  }

  return {
    async enter({ priority, rank = 0, account = '', signal, onPlace }) {
      const flow = `${priority}/${account}`
      if (draining) throw new TriforceError('STOPPING')
      if (signal.aborted) throw new TriforceError('CANCELLED')
      if (running < slots() && waiting.length === 0) {
        running += 1
        fair.served(fair.turn(flow, priority))
        onChange()
        return leaveSlot()
      }
      if (waiting.length >= waitingMax) throw new TriforceError('QUEUE_FULL', { waiting: waiting.length }, { retryAfterMs: 2_000 })
      return new Promise<() => void>((resolve, reject) => {
        const settle = () => {
          cancelTimer()
          signal.removeEventListener('abort', onAbort)
          const index = waiting.indexOf(job)
          if (index !== -1) waiting.splice(index, 1)
          onChange()
        }
        const job: Waiting = {
          turn: fair.turn(flow, priority),
          rank,
          onPlace,
          start: () => {
            fair.served(job.turn)
            settle()
            resolve(leaveSlot())
          },
          refuse: (error) => {
            fair.left(job.turn)
            settle()
            tellPlaces()
            reject(error)
          },
        }
        const onAbort = () => job.refuse(new TriforceError('CANCELLED'))
        const cancelTimer = clock.after(waitMsMax, () => job.refuse(new TriforceError('QUEUE_TIMEOUT', { waitMsMax }, { retryAfterMs: 5_000 })))
        signal.addEventListener('abort', onAbort)
        const behind = waiting.findIndex((other) => other.rank === rank ? other.turn.end > job.turn.end : other.rank > rank)
        waiting.splice(behind === -1 ? waiting.length : behind, 0, job)
        // Slots may have come since the last one was freed.
        startNext()
        onChange()
      })
    },
    get running() {
      return running
    },
    get waiting() {
      return waiting.length
    },
    refuseWaiting(error) {
      for (const job of waiting.slice()) job.refuse(error)
    },
    drain() {
      draining = true
      for (const job of waiting.slice()) job.refuse(new TriforceError('STOPPING'))
    },
    idle() {
      if (running === 0) return Promise.resolve()
      return new Promise((resolve) => {
        idleWaiters.push(resolve)
      })
    },
  }
}
