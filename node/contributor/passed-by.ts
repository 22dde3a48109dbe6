/**
 * Why jobs went elsewhere: for each machine, how many requests for its models a hub placed in the last 24 hours, how many
 * it got, and for which reasons it was left out. Counters by the hour, in two maps of bounded size; nothing of a request is
 * kept. Who fills it: placement-watch.ts.
 */
import type { PassedBy, PassedByReason } from '../../protocol/messages/contributor.ts'
import { passedByReasonSchema } from '../../protocol/messages/contributor.ts'
import type { Clock } from '../../protocol/ports.ts'

export interface PassedByOptions {
  /** Machines that are counted; beyond it the one that was longest not heard of goes. Default 20,000, as the capacity table. */
  readonly machinesMax?: number
  /** Models that are counted. Default 4,096. */
  readonly modelsMax?: number
}

export const passedByDefaults = Object.freeze({ machinesMax: 20_000, modelsMax: 4_096 })

export interface PassedByTable {
  /** A request for this model was placed at `peer`. */
  got(model: string, peer: string): void
  /** Requests were placed elsewhere; `times` is 1 unless given. */
  passed(peer: string, reason: PassedByReason, times?: number): void
  /** For a machine that offers these models. */
  of(peer: string, models: readonly string[]): PassedBy
}

const HOUR_MS = 3_600_000
const HOURS = 24
const reasons = passedByReasonSchema.options
const GOT = reasons.length
const KINDS = reasons.length + 1

/** 24 hours of some counters, as one array; the hour that begins is emptied. */
interface Hours {
  readonly counts: Uint32Array
  hour: number
}

export function createPassedBy({ clock }: { readonly clock: Clock }, options: PassedByOptions = {}): PassedByTable {
  const { machinesMax, modelsMax } = { ...passedByDefaults, ...options }
  const machines = new Map<string, Hours>()
  const models = new Map<string, Hours>()
  const startedAt = clock.now()

  function count(map: Map<string, Hours>, key: string, kinds: number, kind: number, sizeMax: number, times = 1): void {
    const hour = Math.floor(clock.now() / HOUR_MS)
    let known = map.get(key)
    if (known === undefined || known.hour !== hour) {
      known ??= { counts: new Uint32Array(HOURS * kinds), hour }
      turn(known, hour, kinds)
      // Set again at the end: the map is in the order of use, by the hour.
      map.delete(key)
      if (map.size >= sizeMax) map.delete(map.keys().next().value!)
      map.set(key, known)
    }
    known.counts[(hour % HOURS) * kinds + kind]! += times
  }

  function sum(known: Hours | undefined, kinds: number, kind: number): number {
    if (known === undefined) return 0
    turn(known, Math.floor(clock.now() / HOUR_MS), kinds)
    let total = 0
    for (let hour = 0; hour < HOURS; hour += 1) total += known.counts[hour * kinds + kind]!
    return total
  }

  return {
    got(model, peer) {
      count(models, model, 1, 0, modelsMax)
      count(machines, peer, KINDS, GOT, machinesMax)
    },
    passed(peer, reason, times) {
      count(machines, peer, KINDS, reasons.indexOf(reason), machinesMax, times)
    },
    of(peer, offered) {
      const known = machines.get(peer)
      return {
        sinceMs: Math.max(startedAt, (Math.floor(clock.now() / HOUR_MS) - HOURS + 1) * HOUR_MS),
        asked: [...new Set(offered)].reduce((total, model) => total + sum(models.get(model), 1, 0), 0),
        got: sum(known, KINDS, GOT),
        reasons: reasons.map((reason, kind) => ({ reason, count: sum(known, KINDS, kind) })).filter(({ count: times }) => times > 0).sort((a, b) => b.count - a.count),
      }
    },
  }
}

/** Empties the hours between the last one that was counted in and this one. */
function turn(known: Hours, hour: number, kinds: number): void {
  const passed = Math.min(HOURS, Math.max(0, hour - known.hour))
  for (let step = 1; step <= passed; step += 1) {
    const at = ((known.hour + step) % HOURS) * kinds
    known.counts.fill(0, at, at + kinds)
  }
  known.hour = Math.max(known.hour, hour)
}
