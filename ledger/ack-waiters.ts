/**
 * Waits for other hubs to have a frame: shortly for everybody, long for those who need it.
 * Entries of a log are known to be replicated up to the furthest frame that any peer has acknowledged.
 */
import { TriforceError } from '../protocol/errors.ts'
import type { LogId } from '../protocol/messages/ledger.ts'
import type { Clock } from '../protocol/ports.ts'
import type { Durability } from './interface.ts'
import { isPlanted } from './planted-bugs.ts'
import { logName } from './store/log-store.ts'

export interface AckWaitersComponents {
  readonly clock: Clock
  /** Peers that could acknowledge now. */
  readonly peers: () => number
  /** The furthest frame of a log that a peer has acknowledged. */
  readonly peersHave: (log: LogId) => number
}

export interface AckWaitersOptions {
  readonly hub: number
  readonly peerWaitMs: number
  readonly replicatedWaitMs: number
}

export interface AckWaiters {
  /**
   * How safe frame `no` of `log` is. `replicated`: wait for a peer up to `replicatedWaitMs`, then throw HUB_ISOLATED.
   * `writing`: it is the log that takes entries now; of an old one no acknowledgement is waited for.
   */
  acknowledged(log: LogId, no: number, replicated: boolean, writing: boolean): Promise<Durability>
  acked(log: LogId, no: number): void
  /** Those who need a peer will get none. */
  fail(error: TriforceError): void
}

interface Waiter {
  readonly log: string
  readonly no: number
  readonly settle: () => void
  readonly fail: (error: TriforceError) => void
}

export function createAckWaiters({ clock, peers, peersHave }: AckWaitersComponents, { hub, peerWaitMs, replicatedWaitMs }: AckWaitersOptions): AckWaiters {
  let waiters: Waiter[] = []

  function isolated(): TriforceError {
    return new TriforceError('HUB_ISOLATED', {}, {
      detail: `no other hub has confirmed the entry within ${replicatedWaitMs} ms. It is in this hub's log and counts once another hub has it; `
        + 'repeating the same order is safe', retryAfterMs: replicatedWaitMs,
    })
  }

  return {
    acknowledged: (log, no, replicated, writing) => {
      // An entry of another hub's log is on that hub's disk and on ours.
      if (log.hub !== hub || peersHave(log) >= no) return Promise.resolve('replicated')
      if (!replicated && (peers() === 0 || !writing)) return Promise.resolve('local')
      return new Promise((resolve, reject) => {
        const leave = () => { waiters = waiters.filter((other) => other !== waiter) }
        const cancel = clock.after(replicated ? replicatedWaitMs : peerWaitMs, () => {
          leave()
          if (!replicated) resolve(isPlanted('local-called-replicated') ? 'replicated' : 'local')
          else reject(isolated())
        })
        const waiter: Waiter = {
          log: logName(log), no,
          settle: () => { cancel(); resolve('replicated') },
          fail: (error) => {
            cancel()
            if (replicated) reject(error)
            else resolve('local')
          },
        }
        waiters.push(waiter)
      })
    },

    acked: (log, no) => {
      if (waiters.length === 0) return
      const name = logName(log)
      const done = waiters.filter((waiter) => waiter.log === name && waiter.no <= no)
      if (done.length === 0) return
      waiters = waiters.filter((waiter) => waiter.log !== name || waiter.no > no)
      for (const { settle } of done) settle()
    },

    fail: (error) => {
      const failed = waiters
      waiters = []
      for (const waiter of failed) waiter.fail(error)
    },
  }
}
