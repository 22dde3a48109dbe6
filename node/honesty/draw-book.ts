/** Secrets of the hours, which jobs they have drawn, and how the checks of these ended: what another hub may ask for later. */
import { toHex } from '../../protocol/bytes.ts'
import { CHECKED_LISTED_MAX, type CheckEnd, type CheckReport } from '../../protocol/messages/checks.ts'
import type { Clock, Signer } from '../../protocol/ports.ts'
import type { Signed } from '../../protocol/signed.ts'
import { commitmentOf, drawOf, drawSeed, hourOf } from './lottery.ts'

export interface DrawBook {
  /** Whether this job brings a check, at this rate; then it stands in the report of its hour. */
  draw(jobId: Uint8Array, contributor: Uint8Array, rate: number): boolean
  ended(jobId: Uint8Array, end: CheckEnd): void
  /** Undefined for an hour that is not over, that is long over, or at whose beginning this hub was not there. */
  report(hour: number): CheckReport | undefined
  readonly nextHour: number
  /** Of the secret of the next hour. */
  commitment(): Uint8Array
}

interface Hour {
  readonly seed: Signed
  readonly checked: Map<string, { jobId: Uint8Array; contributor: Uint8Array; end: CheckEnd }>
}

const HOURS_KEPT = 4

export function createDrawBook({ signer, clock }: { readonly signer: Signer; readonly clock: Clock }, { network }: { readonly network: string }): DrawBook {
  const hours = new Map<number, Hour>()
  const startedIn = hourOf(clock.now())

  function at(hour: number): Hour {
    let known = hours.get(hour)
    if (known === undefined) {
      known = { seed: drawSeed(signer, network, hour), checked: new Map() }
      hours.set(hour, known)
      for (const old of hours.keys()) if (old <= hour - HOURS_KEPT) hours.delete(old)
    }
    return known
  }

  return {
    draw(jobId, contributor, rate) {
      const { seed, checked } = at(hourOf(clock.now()))
      if (drawOf(seed, jobId) >= rate) return false
      if (checked.size < CHECKED_LISTED_MAX) checked.set(toHex(jobId), { jobId, contributor, end: 'unknown' })
      return true
    },
    ended(jobId, end) {
      for (const { checked } of hours.values()) {
        const known = checked.get(toHex(jobId))
        if (known !== undefined) known.end = end
      }
    },
    report(hour) {
      const now = hourOf(clock.now())
      if (hour >= now || hour < now - HOURS_KEPT + 1 || hour <= startedIn) return undefined
      const { seed, checked } = at(hour)
      return { seed, checked: [...checked.values()] }
    },
    get nextHour() { return hourOf(clock.now()) + 1 },
    commitment: () => commitmentOf(drawSeed(signer, network, hourOf(clock.now()) + 1)),
  }
}
