/**
 * The places at which a provider computes: a fixed number of jobs runs, the rest waits in order of arrival.
 */
import { TriforceError } from '../protocol/errors.ts'

export interface SlotQueueOptions {
  readonly slots: number
  /** Jobs that may wait; the next one is refused with QUEUE_FULL. Default 64: the executor's own queue is shorter. */
  readonly waitingMax?: number
}

export const slotQueueDefaults = Object.freeze({ waitingMax: 64 })

export interface SlotQueue {
  readonly busy: number
  readonly waiting: number
  /**
   * Waits for a slot and gives the function that frees it (once; more calls do nothing). `onPosition` hears the place
   * in the queue, from 1, whenever it changes. Rejects with QUEUE_FULL, or CANCELLED when `signal` aborts.
   */
  acquire(options: { readonly signal: AbortSignal; readonly onPosition: (position: number) => void }): Promise<() => void>
}

interface Waiter {
  readonly onPosition: (position: number) => void
  readonly grant: () => void
}

export function createSlotQueue(options: SlotQueueOptions): SlotQueue {
  const { slots, waitingMax } = { ...slotQueueDefaults, ...options }
  const waiters: Waiter[] = []
  let busy = 0

  return {
    get busy() { return busy },
    get waiting() { return waiters.length },
    async acquire({ signal, onPosition }) {
      if (signal.aborted) throw new TriforceError('CANCELLED')
      if (busy < slots) {
        busy += 1
        return releaseOnce()
      }
      if (waiters.length >= waitingMax) throw new TriforceError('QUEUE_FULL', { waiting: waiters.length })
      return await new Promise((resolve, reject) => {
        const waiter: Waiter = {
          onPosition,
          grant: () => {
            signal.removeEventListener('abort', leave)
            resolve(releaseOnce())
          },
        }
        const leave = (): void => {
          waiters.splice(waiters.indexOf(waiter), 1)
          tellPositions()
          reject(new TriforceError('CANCELLED'))
        }
        signal.addEventListener('abort', leave, { once: true })
        waiters.push(waiter)
        onPosition(waiters.length)
      })
    },
  }

  function releaseOnce(): () => void {
    let released = false
    return () => {
      if (released) return
      released = true
      const next = waiters.shift()
      if (next === undefined) busy -= 1
      else next.grant()
      tellPositions()
    }
  }

  function tellPositions(): void {
    waiters.forEach((waiter, index) => waiter.onPosition(index + 1))
  }
}
