/**
 * Everything that is on the disk when the ledger opens: every log is verified from its first frame, then all of them are
 * folded in the order of causes, from the newest snapshot that can be believed or from the beginning.
 */
import type { FrameContext } from './frame.ts'
import type { LogId } from '../protocol/messages/ledger.ts'
import type { Clock, Log } from '../protocol/ports.ts'
import { loadSnapshot, type LoadedSnapshot } from './checkpoint/snapshot.ts'
import { createState, type LedgerState } from './fold/state.ts'
import type { StateLane } from './state-lane.ts'
import type { LogStore } from './store/log-store.ts'
import { logLabel, verifyLogs, type Damage } from './store/verification.ts'

export interface OpenStoreComponents {
  readonly clock: Clock
  readonly log: Log
  readonly store: LogStore
  readonly stateLane: Pick<StateLane, 'foldStored'>
}

export interface OpenStoreOptions {
  readonly hub: number
  readonly context: FrameContext
  readonly hubNames: readonly string[]
}

export interface OpenedStore {
  readonly state: LedgerState
  /** What the core keeps beside the logs, by key. */
  readonly kept: ReadonlyMap<string, Uint8Array>
  /** Something of it was spoilt: this hub may have forgotten a promise. */
  readonly keptSpoilt: boolean
  /** Where the checkpoint machine goes on. */
  readonly start: LoadedSnapshot['start'] | undefined
  /** Broken logs. */
  readonly damages: readonly Damage[]
}

export async function openStore({ clock, log, store, stateLane }: OpenStoreComponents, { hub, context, hubNames }: OpenStoreOptions): Promise<OpenedStore> {
  const startedMs = clock.monotonicMs()
  const { frames, entries, damages, rowsRepaired } = await verifyLogs(store, { hub, context, hubNames })
  for (const { log: id, no, detail } of damages) {
    const whose = id.hub === hub ? logLabel(id, hubNames) : `the copy of ${logLabel(id, hubNames)}`
    log.warn(`${whose} is damaged at frame ${no}: ${detail}; it is fetched again from the other hubs`)
  }
  if (rowsRepaired > 0) log.warn('index rows of the ledger were missing or wrong and are repaired', { rows: rowsRepaired })

  const verifiedMs = clock.monotonicMs()
  const frameHash = async (id: LogId, no: number) => (await store.frame(id, no).catch(() => undefined))?.hash
  const snapshot = await loadSnapshot({ get: (key) => store.blob(key), frameHash }, context, (text) => { log.warn(text) })
  const state = snapshot?.live ?? createState(context.network, context.hubKeys)
  await stateLane.foldStored(state)
  log.info('ledger verified', {
    frames, entries, ms: Math.round(verifiedMs - startedMs), foldMs: Math.round(clock.monotonicMs() - verifiedMs), snapshot: snapshot?.start.round,
  })
  const { rows, spoilt } = await store.kept()
  if (spoilt > 0) log.warn('rows that the ledger keeps beside its logs are damaged; the other hubs are asked for them', { rows: spoilt })
  return { state, kept: rows, keptSpoilt: spoilt > 0, start: snapshot?.start, damages }
}

/** Of the hub's newest broken log. */
export function ownDamageOf(damages: readonly Damage[], hub: number): { readonly damage?: Damage } {
  const own = damages.filter(({ log }) => log.hub === hub).toSorted((a, b) => b.log.epoch - a.log.epoch)[0]
  return own === undefined ? {} : { damage: own }
}
