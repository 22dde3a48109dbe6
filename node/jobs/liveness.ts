/**
 * Which hosts run. A dead one closes its connections and is gone at once; a frozen one keeps them, so a host that was not
 * heard for a moment is asked for a sign of life, and counts as silent where none comes. One that queues or loads a model
 * answers like any other: its node runs, whatever its engine does.
 *
 * A silent host is only asked for work where there is no other, and counts again with its first word. Nobody else's word
 * makes a host silent: a report is a reason to look, and who reports wrongly is not listened to for a while.
 */
import { CAPACITY_VALID_MS } from '../../protocol/limits.ts'
import type { Clock, Log } from '../../protocol/ports.ts'
import { wasLate } from './silence-watch.ts'

export interface LivenessComponents {
  /** Resolves when the peer has answered; rejects after `waitMsMax`, or where it cannot be reached. */
  readonly ping: (peer: string, waitMsMax: number) => Promise<void>
  readonly isConnected: (peer: string) => boolean
  readonly clock: Clock
  readonly log: Log
}

export interface Liveness {
  /** It lends, and was heard now: by its announcement or in a job. */
  heard(peer: string): void
  /** It kept silent in a job: it counts as silent until it answers. */
  doubt(peer: string): void
  /** `by` says that it does not answer. It is looked at; nothing else happens. */
  reported(peer: string, by: string): void
  /** Its last connection ended. */
  left(peer: string): void
  silent(peer: string): boolean
  stop(): void
}

export interface LivenessOptions {
  readonly lookMs: number
  /** Not heard for so long, a host is asked. */
  readonly quietMs: number
  readonly answerMsMax: number
  readonly pingsPerLook: number
  /** Between two questions to a silent host, doubled up to the second. */
  readonly againMsMin: number
  readonly againMsMax: number
  /** A host whose connection ended is out for so long, or until it is back. */
  readonly goneMs: number
  readonly hostsMax: number
  /** Reports of one peer that were wrong; then it is not listened to for `mutedMs`. */
  readonly falseReportsMax: number
  readonly mutedMs: number
  readonly reportersMax: number
}

export const livenessDefaults: LivenessOptions = Object.freeze({
  lookMs: 500,
  // With a look and the wait for an answer: 5 s until a frozen host is out.
  quietMs: 2_000,
  answerMsMax: 2_500,
  // 250 a second; one costs a hub some 50 µs. Above 500 hosts each is asked less often, and 1,000 are still looked at within 6 s.
  pingsPerLook: 125,
  againMsMin: 1_000,
  againMsMax: 4_000,
  // As long as its last announcement may live.
  goneMs: CAPACITY_VALID_MS,
  hostsMax: 20_000,
  falseReportsMax: 3,
  mutedMs: 10 * 60_000,
  reportersMax: 1_000,
})

interface HostLife {
  heardMs: number
  asking: boolean
  silent: boolean
  /** Questions in a row without an answer. */
  unanswered: number
  askAgainMs: number
  /** When its last connection ended. */
  goneMs: number | undefined
}

export function createLiveness(components: LivenessComponents, options: Partial<LivenessOptions> = {}): Liveness {
  const { clock, ping, isConnected } = components
  const log = components.log.child('liveness')
  const settings = { ...livenessDefaults, ...options }
  const hosts = new Map<string, HostLife>()
  /** Reports that were wrong, by who made them. */
  const reporters = new Map<string, { wrong: number; sinceMs: number }>()
  let cancel = clock.after(settings.lookMs, look)

  function lifeOf(peer: string): HostLife {
    let life = hosts.get(peer)
    if (life === undefined) {
      if (hosts.size >= settings.hostsMax) hosts.delete(hosts.keys().next().value!)
      life = { heardMs: clock.monotonicMs(), asking: false, silent: false, unanswered: 0, askAgainMs: 0, goneMs: undefined }
      hosts.set(peer, life)
    }
    return life
  }

  function alive(peer: string, life: HostLife): void {
    life.heardMs = clock.monotonicMs()
    life.unanswered = 0
    if (life.silent) log.info('host answers again', { host: peer })
    life.silent = false
  }

  /** True where it answered. */
  async function ask(peer: string, life: HostLife): Promise<boolean> {
    const startMs = clock.monotonicMs()
    life.asking = true
    try {
      await ping(peer, settings.answerMsMax)
      alive(peer, life)
      return true
    } catch {
      // A connection that has ended is told of by `left`; a deadline that we noticed late says nothing of the host.
      if (!isConnected(peer) || wasLate(clock, startMs, settings.answerMsMax) || life.heardMs > startMs) return life.heardMs > startMs
      if (!life.silent) log.info('host is silent', { host: peer, quietMs: Math.round(clock.monotonicMs() - life.heardMs) })
      life.silent = true
      life.askAgainMs = clock.monotonicMs() + Math.min(settings.againMsMin * 2 ** life.unanswered, settings.againMsMax)
      life.unanswered += 1
      return false
    } finally {
      life.asking = false
    }
  }

  function look(): void {
    const nowMs = clock.monotonicMs()
    const due: [string, HostLife][] = []
    for (const [peer, life] of hosts) {
      if (life.goneMs !== undefined && nowMs - life.goneMs > settings.goneMs) hosts.delete(peer)
      else if (due.length < settings.pingsPerLook && isDue(peer, life, nowMs)) due.push([peer, life])
    }
    for (const [peer, life] of due) {
      // To the end, so that the next look begins with others.
      hosts.delete(peer)
      hosts.set(peer, life)
      void ask(peer, life)
    }
    cancel = clock.after(settings.lookMs, look)
  }

  function isDue(peer: string, life: HostLife, nowMs: number): boolean {
    if (life.asking || life.goneMs !== undefined) return false
    return (life.silent ? nowMs >= life.askAgainMs : nowMs - life.heardMs >= settings.quietMs) && isConnected(peer)
  }

  function isMuted(by: string): boolean {
    const reporter = reporters.get(by)
    if (reporter === undefined) return false
    if (clock.monotonicMs() - reporter.sinceMs < settings.mutedMs) return reporter.wrong >= settings.falseReportsMax
    reporters.delete(by)
    return false
  }

  function wasWrong(by: string): void {
    const known = reporters.get(by)
    if (known === undefined && reporters.size >= settings.reportersMax) reporters.delete(reporters.keys().next().value!)
    reporters.set(by, { wrong: (known?.wrong ?? 0) + 1, sinceMs: known?.sinceMs ?? clock.monotonicMs() })
  }

  return {
    heard(peer) {
      const life = lifeOf(peer)
      // What it said may come by way of others; only a connection brings it back.
      if (life.goneMs !== undefined && isConnected(peer)) life.goneMs = undefined
      alive(peer, life)
    },
    doubt(peer) {
      if (!isConnected(peer)) return
      const life = lifeOf(peer)
      life.silent = true
      if (!life.asking) void ask(peer, life)
    },
    reported(peer, by) {
      const life = hosts.get(peer)
      if (life === undefined || life.silent || life.asking || life.goneMs !== undefined || !isConnected(peer) || isMuted(by)) return
      void ask(peer, life).then((answered) => {
        if (answered) wasWrong(by)
      })
    },
    left(peer) {
      const life = hosts.get(peer)
      if (life !== undefined) life.goneMs = clock.monotonicMs()
    },
    silent(peer) {
      const life = hosts.get(peer)
      if (life?.goneMs !== undefined && isConnected(peer)) life.goneMs = undefined
      return life !== undefined && (life.silent || life.goneMs !== undefined)
    },
    stop: () => cancel(),
  }
}
