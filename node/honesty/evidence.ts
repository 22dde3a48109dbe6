/**
 * What checks show of a host, as a sequential test. Each outcome is good or bad; how often it is bad at an honest host and
 * at one that cheats is a number for each kind of check. A score sums the logarithm of how much likelier the outcome is at
 * a cheat, and never falls below zero, so that a long good time cannot be saved up (Page's CUSUM form of Wald's test).
 *
 * The score of an honest host reaches `PROOF` in one of e^PROOF checks or fewer, whatever it has done before.
 */

/**
 * `answer`: the text differs from that of hosts with the same weights. `replay`: it is the text of an earlier, other
 * question. `count`: it counts more
 * tokens in a text than others count in the same. `excess`: more than any text of that length has. `speed`: it is slower than its class or its own word.
 * `pace`: it says more tokens a second than any machine of its class gives.
 */
export const checkKinds = ['answer', 'replay', 'count', 'excess', 'speed', 'pace'] as const
export type CheckKind = typeof checkKinds[number]

export interface Outcome {
  readonly kind: CheckKind
  readonly bad: boolean
}

/** How often an outcome is bad: at an honest host at most, at a cheat at least. */
export interface BadRates {
  readonly honest: number
  readonly cheat: number
}

export const badRates: Readonly<Record<CheckKind, BadRates>> = Object.freeze({
  // Greedy texts of one model differ between processors, cards and batch sizes: now and then, and mostly late in the text.
  answer: { honest: 0.05, cheat: 0.6 },
  replay: { honest: 0.01, cheat: 0.5 },
  count: { honest: 0.01, cheat: 0.5 },
  excess: { honest: 0.005, cheat: 0.5 },
  // A machine is busy with something else for a while.
  speed: { honest: 0.08, cheat: 0.6 },
  pace: { honest: 0.01, cheat: 0.5 },
})

/** A billion to one: with 5,000 hosts and a thousand checks of each, 0.005 of them would be called cheats in vain. */
export const PROOF = Math.log(1e9)
/** From here on a host is checked more often; nothing else happens to it. */
export const SUSPICION = PROOF / 3

/** Natural logarithm of how much likelier this outcome is at a cheat. */
export function weightOf({ kind, bad }: Outcome, rates: Readonly<Record<CheckKind, BadRates>> = badRates): number {
  const { honest, cheat } = rates[kind]
  return bad ? Math.log(cheat / honest) : Math.log((1 - cheat) / (1 - honest))
}

export function scoreAfter(score: number, outcome: Outcome): number {
  return Math.max(0, score + weightOf(outcome))
}
