/**
 * Hosts as numbers: how often each kind of outcome is bad at an honest host or at a cheat, run through the very rules that a
 * hub goes by (standing.ts). Thousands of hosts and jobs in a second; a seed gives the same run.
 */
import type { CheckKind, Outcome } from '../../node/honesty/evidence.ts'
import { afterOutcomes, checkRateOf, isHidden, newStanding, SERIES_CHECKS, type Standing } from '../../node/honesty/standing.ts'

export interface HostModel {
  readonly name: string
  /** Chance that an outcome of this kind is bad; absent: it does not come up. `busy`: while the machine is busy with something else. */
  rate(kind: CheckKind, how: { readonly isOwn: boolean; readonly busy: boolean }): number | undefined
  /** Part of the questions that cannot be timed, because it is too busy or says so. Default 0. */
  readonly untimed?: number
}

export interface SimulatedHost {
  /** Jobs after which it had failed; undefined: it never did. */
  readonly failedAfter: number | undefined
  readonly checks: number
  readonly standing: Standing
  /** Its pay waited at some time after it had passed, as it could not be timed for long. */
  readonly waited: boolean
}

export interface SimulateOptions {
  readonly jobs: number
  /** Part of the jobs whose accounts allow that they are asked again, and whose answers can be compared. */
  readonly ownPart?: number
  readonly unit: () => number
}

/** A job every 20 s; a machine begins to be busy with something else once in so many jobs (2 hours), and is it for so many (15 minutes). */
const JOB_EVERY_MS = 20_000
const BUSY_ONCE = 360
const BUSY_FOR = 45

export function simulateHost(model: HostModel, { jobs, ownPart = 0.25, unit }: SimulateOptions): SimulatedHost {
  let standing = newStanding()
  let checks = 0
  let busyUntil = -1
  let waited = false

  function outcomes(kinds: readonly CheckKind[], isOwn: boolean, busy: boolean): Outcome[] {
    return kinds.flatMap((kind) => {
      const rate = model.rate(kind, { isOwn, busy })
      return rate === undefined ? [] : [{ kind, bad: unit() < rate }]
    })
  }

  function check(isOwn: boolean, busy: boolean, at: number): void {
    checks += 1
    const timing = unit() < (model.untimed ?? 0) ? 'busy' : 'told'
    standing = afterOutcomes(standing, outcomes(timing === 'told' ? ['speed', 'excess', 'pace'] : ['excess', 'pace'], isOwn, busy), { at, isCheck: false, timing })
    const [answer] = outcomes(['answer'], isOwn, busy)
    // Texts can be counted only where they are equal.
    const shown = [...(answer === undefined ? [] : [answer]), ...(answer?.bad === true ? [] : outcomes(['count'], isOwn, busy)), ...outcomes(['replay'], isOwn, busy)]
    standing = afterOutcomes(standing, shown, { at, isCheck: true, mustShow: true })
    waited ||= isHidden(standing)
  }

  for (let series = 0; series < SERIES_CHECKS; series += 1) check(false, false, 0)
  for (let job = 1; job <= jobs; job += 1) {
    if (standing.state === 'failed') return { failedAfter: job - 1, checks, standing, waited }
    if (unit() < 1 / BUSY_ONCE) busyUntil = job + BUSY_FOR
    const busy = job <= busyUntil
    standing = afterOutcomes(standing, outcomes(['excess', 'pace'], true, busy), { at: job * JOB_EVERY_MS, isCheck: false })
    const mayAsk = unit() < ownPart
    const rate = checkRateOf(standing)
    if (unit() >= (mayAsk ? Math.min(1, 2 * rate) : rate)) continue
    // A made-up question, or one of somebody who allowed it: half of each.
    check(mayAsk || unit() < 0.5, busy, job * JOB_EVERY_MS)
  }
  return { failedAfter: standing.state === 'failed' ? jobs : undefined, checks, standing, waited }
}

/** Rates of honest hosts differ: `unit` draws how far this one is from perfect, and how much it has to do. */
export function honestHost(unit: () => number): HostModel {
  const [answer, speed, untimed] = [0.08 * unit(), 0.05 * unit(), 0.6 * unit()]
  return {
    name: 'honest', untimed,
    rate(kind, { busy }) {
      switch (kind) {
        case 'answer': return answer
        case 'speed': return busy ? 0.5 : speed
        case 'count': return 0.005
        case 'replay': return 0.003
        case 'excess': return 0.001
        case 'pace': return 0.0005
      }
    },
  }
}

const lying = (name: string, rates: Partial<Record<CheckKind, number>>, own: Partial<Record<CheckKind, number>> = {}): HostModel => ({
  name, rate: (kind, { isOwn }) => (isOwn ? own[kind] : undefined) ?? rates[kind] ?? 0.01,
})

/** It cheats in nothing that can be seen, and says of nearly every question that it waits. */
export const alwaysBusy: HostModel = { ...lying('says that it is always busy', { speed: 0.97 }), untimed: 1 }

/** The cheats of docs/honesty.md. Now and then even a smaller model says the same. */
export const cheats: readonly HostModel[] = [
  lying('smaller model under a larger name', { answer: 0.92 }),
  lying('inflated tokens', { count: 0.98 }),
  lying('replayed answers', { answer: 0.97, replay: 0.9 }),
  lying('claimed A100 on a processor', { speed: 0.97 }),
  lying('slow host', { speed: 0.85 }),
  lying('answers only made-up questions well', {}, { answer: 0.92 }),
  lying('cheats in half of its answers', { answer: 0.5 }),
]
