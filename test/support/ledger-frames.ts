/** A small log built by hand, for tests of frames and of the store. */
import { encodeEntry, type EncodedEntry } from '../../ledger/entries/entry.ts'
import { buildFrame, emptyTail, type CheckedFrame, type FrameContext, type LogTail } from '../../ledger/frame.ts'
import type { Signer } from '../../protocol/ports.ts'
import { signDocument } from '../../protocol/signed.ts'
import type { TestFederation } from './federation.ts'
import { testKey } from './federation.ts'

const unseen = [0, 1, 2].map(() => ({ epoch: 0, no: 0 }))

export function contextOf(world: TestFederation): FrameContext {
  return { network: world.federation.network, hubKeys: world.hubs.map(({ signer }) => signer.publicKey) }
}

export function epochOpen(world: TestFederation, hub: number, epoch: number, logKey: Signer, certifier = world.hubs[hub]!.signer): EncodedEntry {
  const key = signDocument(certifier, 'epochKey', { v: 1, network: world.federation.network, hub, epoch, key: logKey.publicKey })
  return encodeEntry({ k: 'EpochOpen', hub, epoch, key })
}

export function grantOf(source: string, amount = 1n): EncodedEntry {
  return encodeEntry({ k: 'Grant', account: new Uint8Array(16).fill(9), amount, source })
}

/** Writes one log: `next` gives the following frame with these entries. */
export function logBuilder(world: TestFederation, hub: number, { epoch = 1, logKey = testKey().signer, nowMs = 1_800_000_000_000 } = {}) {
  let tail: LogTail = emptyTail({ hub, epoch })
  const build = (entries: readonly EncodedEntry[]) => buildFrame(tail, entries, { network: world.federation.network, signer: logKey, nowMs, seen: unseen })
  return {
    logKey,
    get tail() { return tail },
    /** A frame at the log's end that does not become part of it. */
    draft: build,
    next(entries: readonly EncodedEntry[] = [grantOf(`grant ${tail.no}`)]): CheckedFrame {
      const frame = build(tail.no === 0 ? [epochOpen(world, hub, epoch, logKey), ...entries] : entries)
      tail = frame.tail
      return frame
    },
  }
}
