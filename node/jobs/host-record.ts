/**
 * What this node remembers of its hosts: jobs it has running there, and a pause after a failure that grows with each
 * one in a row and ends with the first good answer. A host that is full is no failing host: its pause does not grow.
 * Where several hosts are lost at once and nobody was heard meanwhile, the fault is ours, and none of them is paused.
 */
import type { Clock } from '../../protocol/ports.ts'
import type { Liveness } from './liveness.ts'

const COOL_DOWN_MS_MIN = 1_000
const COOL_DOWN_MS_MAX = 30_000
/** Losses this close together are of one cause, if nobody else was heard. */
const TOGETHER_MS = 3_000
/** Peers remembered; only those with a running job or a recent failure stand here. */
const PEERS_MAX = 10_000

/**
 * How a job at a host ended. `good`: with an answer, or a refusal that any host would give. `none`: says nothing of the host, as
 * when the client left. `busy`: it has no place. `failed`: it said so. `lost`: it was not reached, or its line broke. `silent`: it
 * kept its line and said nothing.
 */
export type Ending = 'good' | 'none' | 'busy' | 'failed' | 'lost' | 'silent'

export interface HostRecord {
  started(peer: string): void
  ended(peer: string, how: Ending): void
  /** A sign of life of any kind: our own line works. */
  heard(peer: string): void
  load(peer: string): number
  /** To be asked after all others, but to be asked where there is no other. */
  coolingDown(peer: string): boolean
}

export interface HostRecordComponents {
  readonly clock: Clock
  /** Absent: nobody is known to be silent. */
  readonly liveness?: Pick<Liveness, 'heard' | 'doubt' | 'silent'>
}

interface Pause {
  readonly inARow: number
  readonly until: number
}

interface Loss {
  readonly peer: string
  readonly atMs: number
  /** What stood of the peer before. */
  readonly before: Pause | undefined
}

export function createHostRecord({ clock, liveness }: HostRecordComponents): HostRecord {
  const running = new Map<string, number>()
  const pauses = new Map<string, Pause>()
  let losses: Loss[] = []
  let heardMs = Number.NEGATIVE_INFINITY

  function pause(peer: string, inARow: number): void {
    if (pauses.size >= PEERS_MAX) pauses.delete(pauses.keys().next().value!)
    pauses.set(peer, { inARow, until: clock.monotonicMs() + Math.min(COOL_DOWN_MS_MIN * 2 ** Math.max(inARow - 1, 0), COOL_DOWN_MS_MAX) })
  }

  function lost(peer: string): void {
    const nowMs = clock.monotonicMs()
    losses = losses.filter(({ atMs }) => nowMs - atMs < TOGETHER_MS).slice(-PEERS_MAX)
    losses.push({ peer, atMs: nowMs, before: pauses.get(peer) })
    pause(peer, (pauses.get(peer)?.inARow ?? 0) + 1)
    const isOurs = new Set(losses.map((loss) => nodeOf(loss.peer))).size > 1 && heardMs <= losses[0]!.atMs
    if (!isOurs) return
    // The oldest first is put back last, so that each peer stands as before its first loss.
    for (const loss of losses.toReversed()) {
      if (loss.before === undefined) pauses.delete(loss.peer)
      else pauses.set(loss.peer, loss.before)
    }
  }

  function hear(peer: string): void {
    heardMs = clock.monotonicMs()
    liveness?.heard(nodeOf(peer))
  }

  return {
    started(peer) {
      running.set(peer, (running.get(peer) ?? 0) + 1)
    },
    ended(peer, how) {
      const left = (running.get(peer) ?? 1) - 1
      if (left > 0) running.set(peer, left)
      else running.delete(peer)
      switch (how) {
        case 'good':
          pauses.delete(peer)
          break
        case 'busy':
          pause(peer, pauses.get(peer)?.inARow ?? 0)
          break
        case 'failed':
          pause(peer, (pauses.get(peer)?.inARow ?? 0) + 1)
          break
        case 'silent':
          liveness?.doubt(nodeOf(peer))
          lost(peer)
          return
        case 'lost':
          lost(peer)
          return
        case 'none':
          return
      }
      hear(peer)
    },
    heard: hear,
    load: (peer) => running.get(peer) ?? 0,
    coolingDown(peer) {
      const pause = pauses.size === 0 ? undefined : pauses.get(peer)
      return (pause !== undefined && pause.until > clock.monotonicMs()) || liveness?.silent(nodeOf(peer)) === true
    },
  }
}

/** A vendor at a hub has a name of its own (candidates.ts), but is lost with its hub. */
function nodeOf(name: string): string {
  const end = name.indexOf(' ')
  return end === -1 ? name : name.slice(0, end)
}
