/**
 * Keeps out peers that break the protocol again and again: so many strikes within a window, and the peer is banned for
 * a while. Only what an honest peer never sends counts; a slow, busy or dying peer does nothing wrong.
 */
import type { ErrorCode } from '../../protocol/errors.ts'
import type { Clock } from '../../protocol/ports.ts'

export interface MisconductOptions {
  /** Strikes within `windowMs` that lead to a ban. Default 10: a bug in a newer version shows in fewer. */
  readonly strikesMax?: number
  /** Default 10 minutes. */
  readonly windowMs?: number
  /** Default 10 minutes. */
  readonly banMs?: number
  /** Peers remembered; the oldest is forgotten. Default 10,000. */
  readonly peersMax?: number
  /** Peers that are never banned: the hubs. Without each other they could not repair what is wrong. */
  readonly spares?: (peer: string) => boolean
}

export const misconductDefaults = Object.freeze({ strikesMax: 10, windowMs: 600_000, banMs: 600_000, peersMax: 10_000 })

const STRIKES: ReadonlySet<ErrorCode> = new Set(['FRAME_TOO_LARGE', 'FRAME_MALFORMED', 'PROTOCOL_VIOLATION', 'SIGNATURE_INVALID', 'NOT_A_HUB'])

export interface Misconduct {
  /** Counts what a peer did; true where it is banned by this. */
  report(peer: string, code: ErrorCode): boolean
  isBanned(peer: string): boolean
}

export function createMisconduct(components: { readonly clock: Clock }, options: MisconductOptions = {}): Misconduct {
  const { clock } = components
  const { strikesMax, windowMs, banMs, peersMax } = { ...misconductDefaults, ...options }
  const records = new Map<string, { sinceMs: number; strikes: number; bannedUntilMs: number }>()

  return {
    report(peer, code) {
      if (!STRIKES.has(code) || options.spares?.(peer) === true) return false
      const nowMs = clock.monotonicMs()
      let record = records.get(peer)
      if (record === undefined || nowMs - record.sinceMs >= windowMs) {
        if (record === undefined && records.size >= peersMax) records.delete(records.keys().next().value!)
        record = { sinceMs: nowMs, strikes: 0, bannedUntilMs: 0 }
        records.set(peer, record)
      }
      record.strikes += 1
      if (record.strikes < strikesMax) return false
      record.bannedUntilMs = nowMs + banMs
      return true
    },
    isBanned: (peer) => (records.get(peer)?.bannedUntilMs ?? 0) > clock.monotonicMs(),
  }
}
