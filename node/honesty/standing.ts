/**
 * How a host stands after its checks: a pure function of their outcomes. A new host passes a series first; one whose score
 * reaches proof has failed and stays so until a series that it, its account or an admin asked for is clean.
 */
import { checkKinds, PROOF, scoreAfter, SUSPICION, type CheckKind, type Outcome } from './evidence.ts'
import type { Timing } from './timings.ts'

/** `again`: failed, and its second series runs. */
export type StandingState = 'new' | 'passed' | 'failed' | 'again'

export interface Tally {
  readonly good: number
  readonly bad: number
}

export interface Standing {
  readonly state: StandingState
  readonly scores: Readonly<Record<CheckKind, number>>
  /** Since the first check of all. */
  readonly tallies: Readonly<Record<CheckKind, Tally>>
  /** Checks since the state began. */
  readonly checks: number
  /** Unix milliseconds of the last check, and of the change to this state. */
  readonly lastAt?: number
  readonly since?: number
  /** Questions in a row that could not be timed, though the machine has a speed to show. */
  readonly untimed?: number
  /** Of the last slow answer that counted. */
  readonly slowAt?: number
  /** Why it failed last, and how often it did. */
  readonly failedBy?: CheckKind
  readonly failures: number
}

/** Checks before a new host has passed. */
export const SERIES_CHECKS = 8
/** Of these so many must have been timed, where the machine has a speed to show. */
export const SERIES_TIMED = 4
/** After so many in a row that could not be timed a hub gives a machine fewer jobs at once, and after so many its pay waits until one could. */
const UNTIMED_NARROW = 4
export const UNTIMED_MAX = 16
/** Clean checks that clear one that had failed. */
export const AGAIN_CHECKS = 24
/** The second series ends at half the proof. */
const AGAIN_PROOF = PROOF / 2

export function newStanding(): Standing {
  return { state: 'new', scores: zeros(), tallies: Object.freeze(Object.fromEntries(checkKinds.map((kind) => [kind, { good: 0, bad: 0 }]))) as Standing['tallies'], checks: 0, failures: 0 }
}

function zeros(): Standing['scores'] {
  return Object.fromEntries(checkKinds.map((kind) => [kind, 0])) as Standing['scores']
}

export interface OutcomesHow {
  readonly at: number
  /** A check has ended, and it is no ordinary job. */
  readonly isCheck: boolean
  readonly spellMs?: number
  /** Whether a question could be timed; absent where there was nothing to time. */
  readonly timing?: Timing | undefined
  /** The machine has a speed to show. */
  readonly mustShow?: boolean
}

/** `outcomes` of one job or check. */
export function afterOutcomes(standing: Standing, outcomes: readonly Outcome[], { at, isCheck, spellMs = SPELL_MS, timing, mustShow = false }: OutcomesHow): Standing {
  if (!isCheck && timing !== 'busy' && outcomes.every(({ kind, bad }) => !bad && EACH_JOB.has(kind) && standing.scores[kind] === 0)) return standing
  const scores = { ...standing.scores }
  const tallies = { ...standing.tallies }
  let { slowAt } = standing
  for (const outcome of outcomes) {
    const { kind, bad } = outcome
    const isSpell = kind === 'speed' && bad && tallies.speed.good > 0 && slowAt !== undefined && at - slowAt < spellMs
    if (!isSpell) scores[kind] = scoreAfter(scores[kind], outcome)
    if (kind === 'speed' && bad && !isSpell) slowAt = at
    const { good, bad: bads } = tallies[kind]
    tallies[kind] = bad ? { good, bad: bads + 1 } : { good: good + 1, bad: bads }
  }
  const counts = standing.state === 'again' ? outcomes.some(({ kind }) => kind === shownBy(standing.failedBy)) : isCheck
  const untimed = timing === 'told' || (isCheck && !mustShow) ? 0 : (standing.untimed ?? 0) + (timing === 'busy' ? 1 : 0)
  return moved({ ...standing, scores, tallies, untimed, checks: standing.checks + (counts ? 1 : 0), ...(isCheck ? { lastAt: at } : {}), ...(slowAt === undefined ? {} : { slowAt }) }, at, { needsNoTime: isCheck && !mustShow })
}

/** Its first questions are yet to be timed, or none could be for a while: hubs leave it a place free. */
export function isNarrow(standing: Standing): boolean {
  const { state, untimed = 0 } = standing
  return untimed > 0 && (state === 'new' ? !hasShown(standing) : state === 'passed' && untimed >= UNTIMED_NARROW)
}

/** It was too busy for a timed question for so long that its pay waits. */
export function isHidden({ state, untimed = 0 }: Standing): boolean {
  return state === 'passed' && untimed >= UNTIMED_MAX
}

export function hasShown({ tallies: { speed } }: Standing): boolean {
  return speed.good + speed.bad >= SERIES_TIMED
}

/** Every job shows these: good ones are not worth a count. */
const EACH_JOB: ReadonlySet<CheckKind> = new Set(['excess', 'pace'])

/** A machine that was quick before and is busy for a while is slow in many answers for one reason: one in this time counts. */
const SPELL_MS = 120_000

/** The kind of outcome that can clear one that failed by this kind. */
function shownBy(kind: CheckKind | undefined): CheckKind | undefined {
  return kind === 'replay' ? 'answer' : kind
}

/** `needsNoTime`: a check has ended of a machine that has no speed to show. */
function moved(standing: Standing, at: number, { needsNoTime }: { readonly needsNoTime: boolean }): Standing {
  const { state, checks } = standing
  const worst = worstOf(standing)
  const score = standing.scores[worst]
  switch (state) {
    case 'new':
    case 'passed':
      if (score >= PROOF) return failed(standing, worst, at)
      return state === 'new' && checks >= SERIES_CHECKS && score < SUSPICION && (needsNoTime || hasShown(standing)) ? { ...standing, state: 'passed', checks: 0, since: at } : standing
    case 'again':
      if (score >= AGAIN_PROOF) return failed(standing, worst, at)
      return checks >= AGAIN_CHECKS && score < SUSPICION ? { ...standing, state: 'passed', checks: 0, since: at } : standing
    case 'failed':
      return standing
  }
}

function failed(standing: Standing, failedBy: CheckKind, at: number): Standing {
  return { ...standing, state: 'failed', checks: 0, since: at, failedBy, failures: standing.failures + 1 }
}

/** The kind with the highest score. */
export function worstOf({ scores }: Pick<Standing, 'scores'>): CheckKind {
  return checkKinds.reduce((worst, kind) => scores[kind] > scores[worst] ? kind : worst)
}

export function isSuspected(standing: Standing): boolean {
  return standing.scores[worstOf(standing)] >= SUSPICION
}

/** When one that failed may ask for its second series, Unix ms: the more often it failed, the later. */
export function againFrom({ since = 0, failures }: Standing): number {
  return since + Math.min(AGAIN_WAIT_MS * 2 ** (failures - 1), AGAIN_WAIT_MS_MAX)
}

const AGAIN_WAIT_MS = 3_600_000
const AGAIN_WAIT_MS_MAX = 7 * 86_400_000

/** Begins the second series of a host that failed; any other stays as it is. */
export function checkedAgain(standing: Standing, at: number): Standing {
  return standing.state === 'failed' ? { ...standing, state: 'again', scores: zeros(), checks: 0, since: at } : standing
}

/** Its answers were found equal to those of others often enough to measure new hosts by them. */
export function isReference({ state, tallies }: Standing): boolean {
  return state === 'passed' && tallies.answer.good >= SERIES_CHECKS / 2 && tallies.answer.good >= 9 * tallies.answer.bad
}

/** Part of a host's jobs that bring a check. Where nothing is known yet, and where something is suspected, it is high. */
export function checkRateOf(standing: Standing): number {
  if (standing.state === 'failed' || standing.state === 'again') return 0
  if (isSuspected(standing) || isHidden(standing)) return SUSPECTED_RATE
  return standing.state === 'new' || standing.checks < ESTABLISHED_CHECKS ? NEWCOMER_RATE : BASE_RATE
}

/** Every hub can find out afterwards that no host was checked at a lower rate than this one. */
export const BASE_RATE = 1 / 20
export const NEWCOMER_RATE = 1 / 4
export const SUSPECTED_RATE = 1 / 2
/** Checks after which a host that has passed is no newcomer any more: those of 200 jobs. */
const ESTABLISHED_CHECKS = 50
