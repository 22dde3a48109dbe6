/** Checks in words that a person understands. */
import type { CheckState } from '../../protocol/messages/contributor.ts'
import { checkKinds, type CheckKind } from './evidence.ts'
import { AGAIN_CHECKS, againFrom, hasShown, isHidden, SERIES_CHECKS, SERIES_TIMED, type Standing } from './standing.ts'

const reasons: Readonly<Record<CheckKind, string>> = {
  answer: 'its answers are not those of the model that it offers',
  replay: 'it gave answers of earlier, other questions again',
  count: 'it counted more tokens than others in the same answers',
  excess: 'it counted more tokens than its answers can have',
  speed: 'it is slower than its class, or than it says itself',
  pace: 'it said more tokens a second than such a machine can give',
}

const MS_PER_MINUTE = 60_000

export function checkStateOf(standing: Standing, { elsewhere, nowMs, asks = true }: { readonly elsewhere: 'failed' | 'passed' | undefined; readonly nowMs: number; readonly asks?: boolean }): CheckState {
  const { state, checks, failedBy, lastAt } = standing
  const at = lastAt === undefined ? {} : { at: lastAt }
  switch (state) {
    case 'new':
      if (!asks) return { state: 'claimed', text: 'what the machine says of itself; this hub asks no machine anything', ...at }
      if (checks === 0) return { state: 'claimed', text: 'nobody has checked yet what the machine says of itself; the first checks come within minutes, as ordinary jobs', ...at }
      if (checks >= SERIES_CHECKS && !hasShown(standing)) return { state: 'running', text: `${timedText(standing)} of the ${SERIES_TIMED} that it takes to pass; ${tallyText(standing)}`, ...at }
      return { state: 'running', text: `${checks} of the first ${SERIES_CHECKS} checks are done: ${tallyText(standing)}`, ...at }
    case 'again':
      return { state: 'running', text: `it is checked again after it had failed: ${checks} of ${AGAIN_CHECKS} good results so far`, ...at }
    case 'failed':
      return { state: 'failed', text: `${failedBy === undefined ? 'its checks were bad' : reasons[failedBy]}; it gets no jobs and no pay; ${againText(standing, nowMs)}`, ...at }
    case 'passed':
      if (elsewhere === 'failed') return { state: 'suspected', text: 'another hub found its checks bad: its pay waits, and this hub looks closer', ...at }
      if (isHidden(standing)) return { state: 'suspected', text: `it was too busy for each of the last ${standing.untimed} questions that should have been timed: its pay waits until one can be`, ...at }
      return { state: 'passed', text: tallyText(standing), ...at }
  }
}

function againText(standing: Standing, nowMs: number): string {
  const minutes = Math.ceil((againFrom(standing) - nowMs) / MS_PER_MINUTE)
  return minutes > 0 ? `"triforce contributor recheck" has it checked again in ${minutes} min` : '"triforce contributor recheck" has it checked again'
}

function timedText({ checks, tallies: { speed } }: Standing): string {
  return `${checks} checks are done, and it was free enough to be timed in ${speed.good + speed.bad}`
}

function tallyText({ tallies }: Standing): string {
  const parts = checkKinds.flatMap((kind) => {
    const { good, bad } = tallies[kind]
    return kind === 'replay' || kind === 'excess' || kind === 'pace' || good + bad === 0 ? [] : [`${subjects[kind]} ${good} of ${good + bad} good`]
  })
  return parts.length === 0 ? 'there was nothing to compare it with yet' : parts.join(', ')
}

const subjects: Readonly<Record<CheckKind, string>> = { answer: 'answers', replay: 'replays', count: 'token counts', excess: 'lengths', speed: 'speed', pace: 'pace' }
