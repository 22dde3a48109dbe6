/** Who waits for the proof of an account: answered while the final state stands at the newest final checkpoint, or given up after a while. */
import type { FinalCheckpoint } from '../checkpoint/checkpoint.ts'
import type { FinalFold } from '../checkpoint/final-fold.ts'
import type { AccountId } from '../fold/state.ts'
import type { HubEffect } from './events.ts'

const WAITING_MAX = 64
const WAIT_MS = 10_000

export interface ProofQueue {
  /** Gives an answer at once only where too many wait. */
  ask(account: AccountId, nowMs: number): HubEffect[]
  /** All that wait, at this checkpoint; `fold` stands at its frames. */
  answer(final: FinalCheckpoint, fold: FinalFold): HubEffect[]
  giveUp(nowMs: number): HubEffect[]
}

export function createProofQueue(): ProofQueue {
  let waiting: { readonly account: AccountId; readonly untilMs: number }[] = []
  const none = (account: AccountId): HubEffect => ({ type: 'proved', account, proof: undefined })
  return {
    ask(account, nowMs) {
      if (waiting.length >= WAITING_MAX) return [none(account)]
      waiting.push({ account, untilMs: nowMs + WAIT_MS })
      return []
    },
    answer(final, fold) {
      const asked = waiting
      waiting = []
      return asked.map(({ account }) => {
        const proof = fold.prove(account)
        return proof === undefined ? none(account) : { type: 'proved', account, proof: { final, ...proof } }
      })
    },
    giveUp(nowMs) {
      // A clock that was set back would make them wait for as long as it was.
      const isLate = ({ untilMs }: { readonly untilMs: number }) => untilMs <= nowMs || untilMs > nowMs + WAIT_MS
      const late = waiting.filter(isLate)
      waiting = waiting.filter((each) => !isLate(each))
      return late.map(({ account }) => none(account))
    },
  }
}
