/**
 * Has answers that are computed at the same time ask for their next tokens together, so that one pass over the weights serves all.
 *
 * node-llama-cpp puts into a batch what is queued when the last one ends. Each answer asks again a little later than the others, since
 * its token is drawn first, so the batches fall apart: two answers at once were computed one token after the other, four in
 * batches of two on average (docs/measurements.md). A pass costs nearly the same for one token as for four.
 */
import type { Clock } from '../../protocol/ports.ts'

export interface BatchMember {
  /** Call before each token; undefined: ask at once. Resolves when all who compute have come to this place, or the wait has been long enough. */
  ready(): Promise<void> | undefined
  /** It computes nothing until its next `ready`, and nobody waits for it; if it waits itself, that ends now. */
  pause(): void
}

export interface BatchGate {
  join(): BatchMember
  leave(member: BatchMember): void
}

// Whoever computes at this moment is back after one pass. Waiting for that costs one pass once, and from then on all are together.
const WAIT_PASSES = 1.5
const WAIT_MS_MIN = 1
const WAIT_MS_MAX = 250
/** Weight of the newest pass. */
const PASS_WEIGHT = 0.2

export function createBatchGate({ clock }: { readonly clock: Pick<Clock, 'monotonicMs' | 'after'> }): BatchGate {
  /** Members that compute or wait here. */
  const active = new Set<BatchMember>()
  let waiting: { readonly member: BatchMember; readonly go: () => void }[] = []
  let cancelWait: (() => void) | undefined
  /** When each who computes went. */
  const wentAtMs = new Map<BatchMember, number>()
  let passMs = 0

  return {
    join() {
      const member: BatchMember = {
        ready() {
          active.add(member)
          measure(member)
          if (active.size === 1) {
            wentAtMs.set(member, clock.monotonicMs())
            return undefined
          }
          return new Promise((go) => {
            waiting.push({ member, go })
            if (waiting.length === active.size) release()
            else cancelWait ??= clock.after(Math.min(WAIT_MS_MAX, Math.max(WAIT_MS_MIN, passMs * WAIT_PASSES)), release)
          })
        },
        pause() { depart(member) },
      }
      return member
    },
    leave: depart,
  }

  function depart(member: BatchMember): void {
    active.delete(member)
    wentAtMs.delete(member)
    const waits = waiting.find((entry) => entry.member === member)
    if (waits !== undefined) {
      waiting = waiting.filter((entry) => entry !== waits)
      waits.go()
    }
    if (waiting.length > 0 && waiting.length === active.size) release()
  }

  function release(): void {
    cancelWait?.()
    cancelWait = undefined
    const going = waiting
    waiting = []
    for (const { member, go } of going) {
      wentAtMs.set(member, clock.monotonicMs())
      go()
    }
  }

  function measure(member: BatchMember): void {
    const startedAtMs = wentAtMs.get(member)
    if (startedAtMs === undefined) return
    wentAtMs.delete(member)
    const ms = clock.monotonicMs() - startedAtMs
    passMs = passMs === 0 ? ms : passMs + PASS_WEIGHT * (ms - passMs)
  }
}
