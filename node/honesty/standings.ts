/** How each machine stands at this hub, what the other hubs say of it, and whether it is paid. Bounded; kept over restarts. */
import { z } from 'zod'
import { fromHex, toHex } from '../../protocol/bytes.ts'
import { decode, encode } from '../../protocol/codec.ts'
import { publicKeyField, timeField } from '../../protocol/fields.ts'
import { checkKindSchema, type CheckVerdict } from '../../protocol/messages/checks.ts'
import type { Clock, Log } from '../../protocol/ports.ts'
import { peerIdOf } from '../../protocol/peer-key.ts'
import { checkKinds, type Outcome } from './evidence.ts'
import { afterOutcomes, checkedAgain, isHidden, newStanding, type OutcomesHow, type Standing } from './standing.ts'

/** Small values on a disk, one for each id. */
export interface StandingStore {
  load(): Promise<readonly Uint8Array[]>
  put(id: string, bytes: Uint8Array): void
  remove(id: string): void
}

export interface StandingsComponents {
  readonly store: StandingStore
  readonly clock: Clock
  readonly log: Log
}

export interface StandingsOptions {
  /** A machine is paid only once it has passed. Off in a local federation. */
  readonly mustPass: boolean
  /** Slow answers of a machine that was quick before count once in this time. Default 2 minutes. */
  readonly spellMs?: number
  /** Default 20,000, as the capacity table. */
  readonly machinesMax?: number
}

/** Keys of contributors are hexadecimal. */
export interface Standings {
  of(contributor: string): Standing
  /** The outcomes of one job; gives how it stands now. */
  judge(contributor: string, outcomes: readonly Outcome[], how: Pick<OutcomesHow, 'isCheck' | 'timing' | 'mustShow'>): Standing
  /** Begins the second series of one that failed; true where it did. */
  again(contributor: string): boolean
  /** Another hub's verdict, whose signature was checked. */
  heard(hub: string, verdict: CheckVerdict): void
  /** Of hubs that said so within a day. */
  othersSay(contributor: string): 'failed' | 'passed' | undefined
  /** False where its pay waits: it has failed here or at another hub, or, where that is asked for, nobody has checked it yet, or it could not be timed for long. */
  mayPay(contributor: string): boolean
  /** Machines that passed or failed here and have nothing to show meanwhile, the newest last. */
  decided(): readonly (readonly [contributor: string, standing: Standing])[]
  /** Machines that were ever looked at. */
  known(): readonly string[]
  /** `listener` hears of each change of a state. */
  onDecided(listener: (contributor: string, standing: Standing) => void): void
}

/** Without being repeated a verdict of another hub holds so long. */
const VERDICT_MS = 86_400_000
const VERDICTS_MAX = 20_000

const tallySchema = z.object({ good: z.number().int().min(0), bad: z.number().int().min(0) })
const byKind = <Schema extends z.ZodType>(schema: Schema) => z.object(Object.fromEntries(checkKinds.map((kind) => [kind, schema])) as Record<typeof checkKinds[number], Schema>)
const storedSchema = z.object({
  v: z.literal(1), contributor: publicKeyField,
  standing: z.object({
    state: z.enum(['new', 'passed', 'failed', 'again']), scores: byKind(z.number().min(0)), tallies: byKind(tallySchema), checks: z.number().int().min(0),
    lastAt: timeField.optional(), untimed: z.number().int().min(0).optional(), slowAt: timeField.optional(), since: timeField.optional(), failedBy: checkKindSchema.optional(), failures: z.number().int().min(0),
  }),
})

export async function openStandings(components: StandingsComponents, options: StandingsOptions): Promise<Standings> {
  const { store, clock } = components
  const log = components.log.child('checks')
  const { mustPass, spellMs, machinesMax = 20_000 } = options
  const machines = new Map<string, Standing>()
  const verdicts = new Map<string, CheckVerdict>()
  const listeners: ((contributor: string, standing: Standing) => void)[] = []

  for (const bytes of await store.load()) {
    try {
      const { contributor, standing } = decode(storedSchema, bytes)
      if (machines.size < machinesMax) machines.set(toHex(contributor), standing as Standing)
    } catch {
      log.warn('what was kept of a machine\'s checks cannot be read; it is checked anew')
    }
  }

  function keep(contributor: string, standing: Standing, isWritten: boolean): void {
    const before = machines.get(contributor)
    machines.delete(contributor)
    if (machines.size >= machinesMax) forgetOne()
    machines.set(contributor, standing)
    if (isWritten) store.put(contributor, encode({ v: 1, contributor: fromHex(contributor)!, standing }))
    if (before?.state === standing.state || (before === undefined && standing.state === 'new')) return
    log[standing.state === 'failed' ? 'warn' : 'info'](`a machine's checks: ${standing.state}`, { peer: peerIdOf(fromHex(contributor)!), why: standing.state === 'failed' ? standing.failedBy : undefined })
    for (const listener of listeners) listener(contributor, standing)
  }

  /** The one that was longest not heard of; one that failed only where there is no other. */
  function forgetOne(): void {
    let first: string | undefined
    for (const [contributor, { state }] of machines) {
      first ??= contributor
      if (state === 'failed' || state === 'again') continue
      first = contributor
      break
    }
    machines.delete(first!)
    store.remove(first!)
  }

  function othersSay(contributor: string): 'failed' | 'passed' | undefined {
    let said: 'failed' | 'passed' | undefined
    for (const hub of hubs) {
      const verdict = verdicts.get(`${hub} ${contributor}`)
      if (verdict === undefined || clock.now() - verdict.sentAt > VERDICT_MS) continue
      if (verdict.state === 'failed') return 'failed'
      said = 'passed'
    }
    return said
  }
  const hubs = new Set<string>()

  const of = (contributor: string): Standing => machines.get(contributor) ?? fresh

  return {
    of,
    judge(contributor, outcomes, { isCheck, ...how }) {
      const before = of(contributor)
      const after = afterOutcomes(before, outcomes, { ...how, at: clock.now(), isCheck, ...(spellMs === undefined ? {} : { spellMs }) })
      if (after !== before) keep(contributor, after, isCheck || after.state !== before.state)
      return after
    },
    again(contributor) {
      const before = of(contributor)
      const after = checkedAgain(before, clock.now())
      if (after === before) return false
      keep(contributor, after, true)
      return true
    },
    heard(hub, verdict) {
      hubs.add(hub)
      const name = `${hub} ${toHex(verdict.contributor)}`
      const known = verdicts.get(name)
      if (known !== undefined && known.sentAt >= verdict.sentAt) return
      verdicts.delete(name)
      if (verdicts.size >= VERDICTS_MAX) verdicts.delete(verdicts.keys().next().value!)
      verdicts.set(name, verdict)
    },
    othersSay,
    mayPay(contributor) {
      const standing = of(contributor)
      const said = othersSay(contributor)
      if (standing.state === 'failed' || standing.state === 'again' || said === 'failed') return false
      return !mustPass || (standing.state === 'passed' ? !isHidden(standing) : said === 'passed')
    },
    decided: () => [...machines].filter(([, standing]) => standing.state === 'failed' || (standing.state === 'passed' && !isHidden(standing))),
    known: () => [...machines.keys()],
    onDecided: (listener) => void listeners.push(listener),
  }
}

const fresh = Object.freeze(newStanding())
