/**
 * What this node remembers of its hosts: jobs it has running there, and a pause after a failure that grows with each
 * one in a row and ends with the first good answer.
 */
import type { Clock } from '../../protocol/ports.ts'

const COOL_DOWN_MS_MIN = 1_000
const COOL_DOWN_MS_MAX = 30_000
/** Peers remembered; only those with a running job or a recent failure stand here. */
const PEERS_MAX = 10_000

export interface HostRecord {
  started(peer: string): void
  ended(peer: string, good: boolean): void
  load(peer: string): number
  coolingDown(peer: string): boolean
}

export function createHostRecord(components: { readonly clock: Clock }): HostRecord {
  const { clock } = components
  const running = new Map<string, number>()
  const failures = new Map<string, { inARow: number; until: number }>()

  return {
    started(peer) {
      running.set(peer, (running.get(peer) ?? 0) + 1)
    },
    ended(peer, good) {
      const left = (running.get(peer) ?? 1) - 1
      if (left > 0) running.set(peer, left)
      else running.delete(peer)
      if (good) {
        failures.delete(peer)
        return
      }
      const inARow = (failures.get(peer)?.inARow ?? 0) + 1
      if (failures.size >= PEERS_MAX) failures.delete(failures.keys().next().value!)
      failures.set(peer, { inARow, until: clock.monotonicMs() + Math.min(COOL_DOWN_MS_MIN * 2 ** (inARow - 1), COOL_DOWN_MS_MAX) })
    },
    load: (peer) => running.get(peer) ?? 0,
    coolingDown: (peer) => (failures.get(peer)?.until ?? 0) > clock.monotonicMs(),
  }
}
