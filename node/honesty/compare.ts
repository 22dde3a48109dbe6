/**
 * Whether two hosts answered alike. Greedy texts of equal weights begin alike and may part late, where two words are
 * nearly as good and rounding decides; other weights part within a few words. Pure.
 */
import { isSameCount } from './recount.ts'

export interface ProbeAnswer {
  /** Everything that was written, in order; cut at PROBE_TEXT_MAX. */
  readonly text: string
  readonly tokens: number
}

/** UTF-16 units of an answer that are kept for comparing. */
export const PROBE_TEXT_MAX = 8_192
/** An answer that is shorter says too little: other weights say "Yes." too. */
const COMPARED_MIN = 24
/** Part of the shorter text that must be equal from the beginning. */
const ALIKE_PART = 0.5

/** `unknown` where both are too short to tell. */
export function compareTexts(one: string, other: string): 'alike' | 'different' | 'unknown' {
  if (one === other) return one.length < COMPARED_MIN ? 'unknown' : 'alike'
  const [shorter, longer] = one.length <= other.length ? [one, other] : [other, one]
  if (longer.length < COMPARED_MIN) return 'unknown'
  const most = Math.max(COMPARED_MIN, Math.ceil(shorter.length * ALIKE_PART))
  return commonStart(shorter, longer) >= most ? 'alike' : 'different'
}

function commonStart(one: string, other: string): number {
  let at = 0
  while (at < one.length && one[at] === other[at]) at += 1
  return at
}

/** A reference: the hub's own engine, or a host whose answers were found right before. `account` owns it. */
export interface Witness {
  readonly answer: ProbeAnswer
  readonly trusted: boolean
  readonly own: boolean
  readonly account: string
}

export interface Comparison {
  readonly answer: 'good' | 'bad' | 'unknown'
  /** Equal texts were counted alike. */
  readonly count: 'good' | 'bad' | 'unknown'
}

const UNKNOWN: Comparison = { answer: 'unknown', count: 'unknown' }

/**
 * The host under check against its witnesses. Who agrees with one is good. Who differs is bad where the hub's own engine
 * says otherwise, where two trusted witnesses of two other accounts agree with each other, or where a trusted one speaks
 * against a host that is not trusted itself; else it cannot be told who is wrong.
 */
export function weighWitnesses(host: Omit<Witness, 'own'>, witnesses: readonly Witness[]): Comparison {
  const others = witnesses.filter((witness) => witness.own || witness.account !== host.account)
  const own = others.find((witness) => witness.own)
  const judged = own === undefined ? others : [own]
  const verdicts = judged.map((witness) => ({ witness, verdict: compareTexts(host.answer.text, witness.answer.text) }))
  const alike = verdicts.filter(({ verdict }) => verdict === 'alike')
  if (alike.length > 0 && (own !== undefined || !isOutvoted(alike.map(({ witness }) => witness), verdicts.filter(({ verdict }) => verdict === 'different').map(({ witness }) => witness)))) {
    return { answer: 'good', count: countVerdict(host, alike.map(({ witness }) => witness)) }
  }
  const different = verdicts.filter(({ verdict }) => verdict === 'different').map(({ witness }) => witness)
  if (different.some((witness) => witness.own)) return { answer: 'bad', count: 'unknown' }
  const trusted = different.filter((witness) => witness.trusted)
  if (alike.length === 0 && trusted.length > 0 && !host.trusted) return { answer: 'bad', count: 'unknown' }
  return agreeing(trusted) ? { answer: 'bad', count: 'unknown' } : UNKNOWN
}

/** Only newcomers say the same as the host, and trusted hosts agree on something else. */
function isOutvoted(alike: readonly Witness[], different: readonly Witness[]): boolean {
  return !alike.some(({ trusted }) => trusted) && agreeing(different.filter(({ trusted }) => trusted))
}

/** Two accounts say the same. */
function agreeing(witnesses: readonly Witness[]): boolean {
  return witnesses.some((one, index) => witnesses.slice(index + 1).some((other) => other.account !== one.account && compareTexts(one.answer.text, other.answer.text) === 'alike'))
}

function countVerdict(host: Omit<Witness, 'own'>, alike: readonly Witness[]): Comparison['count'] {
  const same = alike.filter(({ answer }) => answer.text === host.answer.text)
  if (same.length === 0) return 'unknown'
  if (same.some(({ answer }) => isSameCount(answer.tokens, host.answer.tokens))) return 'good'
  // Who counted more than the other is wrong: nobody gains by counting less.
  return same.some(({ own, trusted, answer }) => (own || trusted) && answer.tokens < host.answer.tokens) ? 'bad' : 'unknown'
}
