/** What is switched on in a run, and how strongly: drawn from its seed, so that rare combinations come up too. */
import type { LedgerOptions } from '../../ledger/ledger.ts'
import type { DiskOptions } from './sim-disk.ts'
import type { NetworkOptions } from './sim-network.ts'
import { seededRandom } from '../support/seeded-random.ts'

export const faultKinds = [
  'kill', 'power', 'power-all', 'pause', 'cut', 'isolate', 'drop', 'stall', 'slow-net', 'slow-disk', 'write-error', 'flip', 'tear', 'remove',
  'rollback', 'lose-tail', 'island-loss', 'wipe', 'files', 'clock', 'day', 'swizzle', 'fork', 'island', 'forget', 'short',
] as const
export type FaultKind = typeof faultKinds[number]

export const operationKinds = [
  'open-account', 'add-key', 'revoke-key', 'set-tier', 'grant', 'purchase', 'chargeback', 'conflict', 'large-grant', 'price-table', 'tier-table',
  'spend', 'spend-much', 'spend-everywhere', 'receipt', 'presence', 'earn-key', 'read', 'seal', 'repeat',
] as const
export type OperationKind = typeof operationKinds[number]

export interface Swarm {
  readonly mode: 'safety' | 'liveness'
  readonly startMs: number
  readonly skewMs: readonly [number, number, number]
  /** What is drawn from; what stands there twice comes twice as often. */
  readonly faults: readonly FaultKind[]
  /** Mean time between faults, ms. */
  readonly faultEveryMs: number
  readonly operations: readonly OperationKind[]
  readonly operationEveryMs: number
  readonly accounts: number
  /** How uneven the accounts are used. */
  readonly zipf: number
  /** How long the run goes on before everything is mended. */
  readonly lengthMs: number
  readonly network: NetworkOptions
  readonly disk: DiskOptions
  readonly ledger: Partial<LedgerOptions>
}

const DAY_MS = 86_400_000
const START_DAY_MS = 20_833 * DAY_MS

interface Profile {
  readonly faults: readonly FaultKind[]
  readonly operations: readonly OperationKind[]
}

/** Half of the runs draw from everything; the others have few things that meet often. */
const profiles: readonly Profile[] = [
  // One hub spends alone; the others retire it, or its disk goes.
  { faults: ['isolate', 'isolate', 'island-loss', 'kill'], operations: ['grant', 'spend-much', 'spend-much', 'spend-everywhere', 'receipt', 'seal', 'seal'] },
  // The same, and it comes back with its disk: what it spent is settled.
  { faults: ['island', 'island', 'island', 'kill'], operations: ['grant', 'grant', 'spend', 'spend-much', 'spend-much', 'spend-everywhere'] },
  // Two processes with one key.
  { faults: ['fork', 'fork', 'fork', 'kill', 'cut'], operations: ['grant', 'receipt', 'receipt', 'add-key', 'spend'] },
  // Disks that lose what they held, among them what their hub had promised.
  { faults: ['short', 'short', 'forget', 'forget', 'rollback', 'rollback', 'lose-tail', 'wipe', 'isolate', 'cut', 'kill'], operations: ['grant', 'receipt', 'add-key', 'spend', 'repeat', 'seal'] },
  // Money under load: nothing breaks but connections.
  { faults: ['drop', 'slow-net', 'kill', 'clock'], operations: ['grant', 'purchase', 'chargeback', 'conflict', 'spend', 'spend-everywhere', 'repeat', 'set-tier', 'presence', 'receipt', 'earn-key'] },
  // Answers that do not come, so that requests are asked for twice.
  { faults: ['power', 'stall', 'pause', 'slow-net'], operations: ['grant', 'spend', 'spend-much', 'large-grant', 'price-table', 'tier-table', 'repeat'] },
]

export function drawSwarm(seed: number, lengthMs?: number): Swarm {
  const random = seededRandom(Math.imul(seed + 1, 0x9e3779b1))
  const between = (min: number, max: number) => min + random.unit() * (max - min)
  const chance = (share: number) => random.unit() < share
  const mode = chance(0.25) ? 'liveness' : 'safety'
  const startsNearMidnight = chance(0.4)
  const skew = () => chance(0.3) ? between(-60_000, 60_000) : between(-50, 50)
  const share = between(0.2, 0.8)
  const operationShare = between(0.4, 1)
  const operations = operationKinds.filter(() => chance(operationShare))
  const smallFrames = chance(0.5)
  const profile = chance(0.6) ? profiles[Math.floor(random.unit() * profiles.length)] : undefined
  return {
    mode,
    startMs: startsNearMidnight ? START_DAY_MS - Math.floor(between(0, 30_000)) : START_DAY_MS + Math.floor(between(0, DAY_MS)),
    skewMs: [skew(), skew(), skew()],
    faults: profile !== undefined ? profile.faults : chance(0.05) ? [] : faultKinds.filter((kind) => chance(kind === 'fork' ? share / 4 : share)),
    faultEveryMs: between(600, 5_000),
    operations: ['open-account', 'grant', 'spend', ...profile?.operations ?? operations],
    operationEveryMs: between(30, 500),
    accounts: 1 + Math.floor(between(0, 6)),
    zipf: between(0, 2),
    // Mostly short, since most faults of a program show soon; some long, for what needs several faults in a row.
    lengthMs: lengthMs ?? (chance(0.2) ? between(10_000, 30_000) : between(3_000, 10_000)),
    network: {
      latencyMs: chance(0.3) ? [10, 120] : [0.5, 15], windowBytes: chance(0.2) ? 2_000 : 256 * 1_024, reconnectMs: between(100, 700),
    },
    disk: { slowReads: chance(0.5) ? 0 : 0.1, writeMs: chance(0.2) ? [1, 40] : [0.3, 4] },
    ledger: {
      core: { vestEveryMs: 1_500, holdBack: chance(0.5) },
      seal: chance(0.7) ? { unreachableMs: between(1_500, 8_000), promiseMs: between(800, 4_000) } : {},
      writer: { lingerMs: smallFrames ? 0 : 1, lazyMs: 200 },
      exchange: chance(0.2) ? { inFlightBytesMax: 4_000 } : {},
    },
  }
}
