/** Answers a hub that has lost its disk: tells it every open seal, then where the logs end. What it asks of others is memory.ts. */
import { HUBS_PER_FEDERATION } from '../../protocol/federation.ts'
import type { LogEnds } from '../../protocol/messages/ledger-seal.ts'
import type { LogId } from '../../protocol/messages/ledger.ts'
import type { LogName } from '../fold/state.ts'
import type { HubEffect } from './events.ts'
import type { HubState } from './hub-state.ts'
import { isOpen, type SealCase } from './seal-case.ts'

/** Written before the answer: then all that was accepted before the question is on the disk, and in the answer. */
export const recallRowKey = 'recall'

export interface RecallsComponents {
  readonly me: number
  readonly cases: ReadonlyMap<LogName, SealCase>
  /** Ends of all logs on the disk. */
  readonly ends: () => LogEnds
  readonly tell: (hub: HubState, known: SealCase, peer: number) => readonly HubEffect[]
  readonly otherOf: (log: LogId) => number
}

export function createRecalls({ me, cases, ends, tell, otherOf }: RecallsComponents) {
  /** Questions by hub, the newest of each. */
  const asked = new Map<number, number>()
  let writing: ReadonlyMap<number, number> | undefined

  function write(): HubEffect[] {
    if (writing !== undefined || asked.size === 0) return []
    writing = new Map(asked)
    return [{ type: 'persist', key: recallRowKey, value: new Uint8Array() }]
  }

  return {
    asked(from: number, question: number): HubEffect[] {
      // What it promised and signed in its former life it may not stand by: no seal may come of that any more.
      for (const known of cases.values()) {
        if (otherOf(known.log) !== from || known.certificate !== undefined) continue
        known.peerPromise = undefined
        known.peerSignature = undefined
      }
      if (from !== me && from < HUBS_PER_FEDERATION) asked.set(from, question)
      return write()
    },
    written(hub: HubState): HubEffect[] {
      const effects: HubEffect[] = []
      for (const [peer, question] of writing ?? []) {
        // What is being written is told when it is on the disk, and the answer comes after that.
        if (asked.get(peer) !== question || !hub.connected.has(peer) || [...cases.values()].some((known) => known.writing)) continue
        asked.delete(peer)
        for (const known of cases.values()) if (isOpen(hub.state, known)) effects.push(...tell(hub, known, peer))
        const both = ends().filter(({ log }) => log.hub === me || log.hub === peer)
        effects.push({ type: 'send', hub: peer, message: { t: 'recalled', question, ends: both } })
      }
      writing = undefined
      return [...effects, ...write()]
    },
    gone(peer: number): void {
      asked.delete(peer)
    },
  }
}
