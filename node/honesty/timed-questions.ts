/** Whether questions to a machine can be timed, and what follows where they cannot: it is asked again, and the hub leaves it a place free for that. */
import { fromHex } from '../../protocol/bytes.ts'
import { peerIdOf } from '../../protocol/peer-key.ts'
import type { Clock } from '../../protocol/ports.ts'
import type { CheckSchedule } from './check-schedule.ts'
import type { Outcome } from './evidence.ts'
import { TIMED_STREAMS_MAX, type QuietTurns } from './quiet-turns.ts'
import { isNarrow, SERIES_CHECKS } from './standing.ts'
import type { Standings } from './standings.ts'
import { createTimings, type Timing } from './timings.ts'

export interface TimedQuestionsComponents {
  readonly standings: Pick<Standings, 'judge'>
  readonly schedule: Pick<CheckSchedule, 'untimed'>
  readonly turns: Pick<QuietTurns, 'isHeld'>
  readonly clock: Clock
}

export interface TimedQuestions {
  /** What a job of this machine has shown; `timing` where it was a question that should be timed. */
  judge(contributor: string, outcomes: readonly Outcome[], timing?: Timing): void
  /** Of `total` places those that ordinary jobs of this hub may take there now. */
  placesAt(peer: string, total: number): number
}

export function createTimedQuestions({ standings, schedule, turns, clock }: TimedQuestionsComponents): TimedQuestions {
  const timings = createTimings({ clock })
  /** Peers that keep a place free: nearly always few, and looked at for each host of each placement. */
  const narrow = new Set<string>()

  return {
    judge(contributor, outcomes, timing) {
      if (timing !== undefined) timings.note(contributor, timing)
      // Where most machines are busy, that says nothing of this one.
      const standing = standings.judge(contributor, outcomes, { isCheck: false, timing: timing === 'busy' && timings.isCommon() ? undefined : timing })
      // A first series goes on by itself.
      if (timing === 'busy' && (standing.state === 'passed' || (standing.state === 'new' && standing.checks >= SERIES_CHECKS))) schedule.untimed(contributor, standing.untimed ?? 0)
      if (timing === undefined) return
      const peer = peerIdOf(fromHex(contributor)!)
      if (isNarrow(standing)) remember(narrow, peer)
      else narrow.delete(peer)
    },
    placesAt: (peer, total) => turns.isHeld(peer) ? 0 : narrow.size > 0 && narrow.has(peer) ? Math.min(total, TIMED_STREAMS_MAX - 1) : total,
  }
}

const NARROW_MAX = 4_096

function remember(peers: Set<string>, peer: string): void {
  if (peers.size >= NARROW_MAX) peers.delete(peers.values().next().value!)
  peers.add(peer)
}
