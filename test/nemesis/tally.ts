/** What clients were told, and what they do not know: all that the ledger is judged by afterwards. */
import type { Durability } from '../../ledger/interface.ts'

/** `moved spend`: the hub that its owner uses is down, so it is tried at another one. */
export type OpKind = 'spend' | 'moved spend' | 'poor spend' | 'quota spend' | 'extend' | 'settle' | 'expire' | 'progress' | 'grant' | 'receipt' | 'refund' | 'retry elsewhere'
export type Outcome = 'ok' | 'refused' | 'indeterminate'

export interface AskedHold {
  /** Id of the hold, hexadecimal; of the account; of the request that it and its retries at other hubs belong to. */
  readonly hold: string
  readonly account: string
  readonly request: string
  readonly hub: number
  /** `asked`: nobody knows. */
  standing: 'asked' | 'held' | 'refused'
  /** A settlement was asked for, so it may be charged. */
  settleAsked: boolean
  /** Use was noted, so its hub settles by it if it is restarted. */
  progressAsked: boolean
  /** What the ledger said it charged: µcr and tokens of quota. */
  settled: { readonly charge: bigint; readonly quotaTokens: number } | undefined
  expireAcked: boolean
}

export interface AskedGrant { readonly account: string; readonly amount: bigint; acked: boolean }

/** The answers of one phase: a fault from its beginning until the hubs agree again. */
export interface Phase {
  readonly fault: string
  readonly hit: readonly number[]
  readonly startedMs: number
  readonly outcomes: Map<string, number>
  readonly codes: Map<string, number>
  /** By hub: when spends succeeded that should. */
  readonly successesMs: readonly number[][]
  /** By hub: when the first such spend was asked for, and how many were. */
  readonly spendsAsked: number[]
  readonly spendsRefused: number[]
}

export interface Tally {
  readonly holds: Map<string, AskedHold>
  readonly grants: Map<string, AskedGrant>
  /** Ids of entries that were acknowledged, hexadecimal. */
  readonly acked: Map<string, Durability>
  readonly receipts: string[]
  readonly phases: Phase[]
  readonly now: () => Phase
  begin(fault: string, hit: readonly number[]): Phase
  note(kind: OpKind, hub: number, outcome: Outcome, code?: string, phase?: Phase): void
}

export function createTally(): Tally {
  const phases: Phase[] = []
  const tally: Tally = {
    holds: new Map(), grants: new Map(), acked: new Map(), receipts: [], phases,
    now: () => phases.at(-1)!,
    begin: (fault, hit) => {
      const phase: Phase = {
        fault, hit, startedMs: performance.now(), outcomes: new Map(), codes: new Map(), successesMs: [[], [], []], spendsAsked: [0, 0, 0], spendsRefused: [0, 0, 0],
      }
      phases.push(phase)
      return phase
    },
    note: (kind, hub, outcome, code, phase = tally.now()) => {
      add(phase.outcomes, `${kind}/${outcome}`)
      if (code !== undefined) add(phase.codes, `${kind} ${code}`)
      if (kind !== 'spend') return
      phase.spendsAsked[hub]! += 1
      if (outcome === 'ok') phase.successesMs[hub]!.push(performance.now())
      else phase.spendsRefused[hub]! += 1
    },
  }
  return tally
}

export function add(counts: Map<string, number>, name: string, by = 1): void {
  counts.set(name, (counts.get(name) ?? 0) + by)
}
