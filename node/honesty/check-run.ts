/** One check: a question to a machine, the same to others with the same weights, and what that shows. */
import type { CompletionRequest } from '../../protocol/completion.ts'
import { toTriforceError } from '../../protocol/errors.ts'
import type { Clock, Log } from '../../protocol/ports.ts'
import type { CompletionEvent } from '../gateway.ts'
import type { JobOrder } from '../jobs/job-order.ts'
import { PROBE_TEXT_MAX, weighWitnesses, type Comparison, type ProbeAnswer, type Witness } from './compare.ts'
import type { House } from './house.ts'
import type { QuietTurns } from './quiet-turns.ts'

/** A host that has the same weights. */
export interface WitnessHost {
  readonly peer: string
  /** This hub's own engine. */
  readonly own: boolean
  readonly trusted: boolean
  /** Hexadecimal; who owns it. */
  readonly account: string
}

export interface CheckRunComponents {
  /** The hub's own way of running a job. */
  readonly run: (order: JobOrder) => AsyncIterable<CompletionEvent>
  readonly house: House
  /** One question at a time for each machine. */
  readonly turns: Pick<QuietTurns, 'ask'>
  readonly clock: Clock
  readonly log: Log
}

export interface CheckOrder {
  readonly peer: string
  readonly trusted: boolean
  readonly account: string
  readonly request: CompletionRequest
  readonly tier: string
  /** What it has answered already, where the question was an ordinary job. */
  readonly answered?: ProbeAnswer
  /** In the order in which to ask them. */
  readonly witnesses: readonly WitnessHost[]
  /** Whether equal weights must answer alike. */
  readonly comparable: boolean
}

export interface CheckResult extends Comparison {
  /** Undefined where it did not answer. */
  readonly said: ProbeAnswer | undefined
  /** Peers that said the same. */
  readonly agreed: readonly string[]
}

/** A model on a processor writes 256 tokens within this time; who takes longer is not compared. */
const PROBE_MS_MAX = 120_000
const WITNESSES_MAX = 2
/** What a witness says beyond it is not compared. */
const ASKED_TOKENS_MAX = 384

export async function runCheck(components: CheckRunComponents, order: CheckOrder): Promise<CheckResult> {
  const { comparable, witnesses, request, tier, trusted, account } = order
  const answer = order.answered ?? await askHost(components, order.peer, request, tier)
  if (answer === undefined || !comparable) return { answer: 'unknown', count: 'unknown', said: answer, agreed: [] }
  const heard: { witness: Witness; peer: string }[] = []
  let result: Comparison = { answer: 'unknown', count: 'unknown' }
  // The machine was asked first: whoever is asked later may know the question from an accomplice.
  for (const host of witnesses) {
    if (heard.length >= WITNESSES_MAX || result.answer !== 'unknown') break
    const told = await askHost(components, host.peer, request, tier)
    if (told === undefined) continue
    heard.push({ peer: host.peer, witness: { answer: told, trusted: host.trusted, own: host.own, account: host.account } })
    result = weighWitnesses({ answer, trusted, account }, heard.map(({ witness }) => witness))
  }
  const agreed = result.answer !== 'good' ? [] : heard.filter(({ witness }) => weighWitnesses({ answer, trusted, account }, [witness]).answer === 'good').map(({ peer }) => peer)
  return { ...result, said: answer, agreed }
}

/** Undefined where it did not answer in time or in good order: that is for the routing to judge. */
export function askHost(components: CheckRunComponents, peer: string, request: CompletionRequest, tier: string): Promise<ProbeAnswer | undefined> {
  return components.turns.ask(peer, () => ask(components, peer, request, tier))
}

async function ask({ run, house, clock, log }: CheckRunComponents, peer: string, request: CompletionRequest, tier: string): Promise<ProbeAnswer | undefined> {
  const { account, apiKey } = house.next(tier)
  const bounded = { ...request, maxTokens: Math.min(request.maxTokens ?? ASKED_TOKENS_MAX, ASKED_TOKENS_MAX) }
  const late = new AbortController()
  const cancel = clock.after(PROBE_MS_MAX, () => late.abort())
  let text = ''
  let tokens = 0
  try {
    for await (const event of run({ account, apiKey, tier, request: bounded, signal: late.signal, routing: { only: [peer], allowFallbacks: false } })) {
      // A name that looks like another peer's id is no way to its checks.
      if (event.type === 'placed' && event.host !== peer) return undefined
      if (event.type === 'text' || event.type === 'reasoning') text = (text + event.text).slice(0, PROBE_TEXT_MAX)
      else if (event.type === 'finish') tokens = event.usage.completionTokens
    }
    return { text, tokens }
  } catch (reason) {
    log.debug('a check got no answer', { peer, code: toTriforceError(reason).code })
    return undefined
  } finally {
    cancel()
  }
}
