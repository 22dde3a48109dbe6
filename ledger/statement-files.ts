/** Writes an account's statement file: its entries up to the newest final checkpoint, and what proves them. */
import { toHex } from '../protocol/bytes.ts'
import { TriforceError } from '../protocol/errors.ts'
import type { Federation } from '../protocol/federation.ts'
import type { LogId } from '../protocol/messages/ledger.ts'
import type { AccountProofs } from './account-proofs.ts'
import { compareLogs } from './checkpoint/checkpoint.ts'
import { readLeaf } from './checkpoint/state-leaf.ts'
import { writeStatementFile } from './checkpoint/statement-file.ts'
import { createStatementPicker } from './checkpoint/statement-picker.ts'
import { expectedEid } from './entries/entry.ts'
import type { HubState } from './hub/hub-state.ts'
import type { LedgerMoney } from './interface.ts'
import { logName, type LogStore } from './store/log-store.ts'

export interface StatementFileComponents {
  readonly hub: HubState
  readonly store: Pick<LogStore, 'listing' | 'locate' | 'frame' | 'tails'>
  readonly proofs: Pick<AccountProofs, 'prove'>
}

interface Place { readonly log: LogId; readonly no: number }

export function createStatementFiles({ hub, store, proofs }: StatementFileComponents, { federation }: { readonly federation: Federation }): Pick<LedgerMoney, 'statementFile'> {
  /** Frames that may have moved the account's money: those that name it, and those that moved everybody's. */
  async function places(account: Uint8Array): Promise<readonly Place[]> {
    const own = await store.listing({ money: account }, undefined, Number.POSITIVE_INFINITY)
    const sealed = [...hub.state.logs.values()].filter(({ status }) => status.is === 'sealed').map(({ log }) => log)
    const common = await store.locate(sealed.flatMap((log) => [
      expectedEid({ k: 'Seal', log, frame: 0, hash: new Uint8Array(32), signatures: [] }), expectedEid({ k: 'IslandRelease', log }),
    ]))
    const all = new Map<string, Place>()
    for (const place of [...own, ...common]) if (place !== undefined) all.set(`${logName(place.log)}/${place.no}`, { log: place.log, no: place.no })
    return [...all.values()].sort((a, b) => compareLogs(a.log, b.log) || a.no - b.no)
  }

  return {
    statementFile: async (account) => {
      const id = toHex(account)
      const proof = await proofs.prove(id)
      const leaf = proof === undefined ? undefined : readLeaf(proof.leaf)
      if (proof === undefined || leaf === undefined) return undefined
      const ends = new Map(proof.final.checkpoint.logs.map(({ log, frame }) => [logName(log), frame]))
      const picker = createStatementPicker(id, (hold) => hub.state.holds.get(hold)?.account)
      for (const { log, no } of await places(account)) {
        if (no > (ends.get(logName(log)) ?? 0)) continue
        const frame = await store.frame(log, no)
        if (frame !== undefined) picker.add(frame)
      }
      const frames = picker.pick(leaf)
      const signers = leaf.chains.map(({ log }) => store.tails.get(log)).filter((tail) => tail !== undefined).sort((a, b) => compareLogs(a.log, b.log))
      return writeStatementFile({
        ...proof, frames, epochKeys: signers.map(({ log, epochKey }) => {
          if (epochKey === undefined) throw new TriforceError('LOG_DAMAGED', { log: logName(log) })
          return { log, certificate: epochKey.certificate }
        }),
      }, federation)
    },
  }
}
