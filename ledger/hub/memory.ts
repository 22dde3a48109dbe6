/**
 * What a hub has forgotten with its disk. It may have promised to take no more of a log, or have signed the end of one:
 * if it then acknowledged frames behind that end, their author would call them replicated, and the seal would cut them off.
 *
 * So until the hub between them has told what it holds, the frames of an author are stored and not acknowledged to it; and
 * until both have told, and everything that they had of this hub's logs and of their own is here, this hub promises no
 * seal and opens no log. A peer that is asked (`recall`) forgets what this hub has promised or signed and nothing came of,
 * tells its open seals, and then where its logs end (`recalled`). Spec: docs/ledger.md#seals-and-returns
 */
import { z } from 'zod'
import { decode, encode } from '../../protocol/codec.ts'
import { HUBS_PER_FEDERATION } from '../../protocol/federation.ts'
import type { LogEnds } from '../../protocol/messages/ledger-seal.ts'
import type { LogId } from '../../protocol/messages/ledger.ts'
import { hubIndexField } from '../../protocol/messages/ledger-fields.ts'
import type { LedgerState } from '../fold/state.ts'
import type { LogTail } from '../frame.ts'
import { isPlanted } from '../planted-bugs.ts'
import type { HubEffect, HubEvent } from './events.ts'
import { hasPassed } from './has-passed.ts'
import type { HubState } from './hub-state.ts'

/** Row of the store's meta bucket: hubs that have not told since this disk lost something. */
export const memoryRowKey = 'memory'
const memoryRowSchema = z.object({ unheard: z.array(hubIndexField).max(HUBS_PER_FEDERATION) })

/** A question that was not answered is asked again after this. */
const AGAIN_MS = 5_000

export interface MemoryComponents {
  readonly me: number
  /** The end of a log with all frames that were accepted. */
  readonly tailOf: (log: LogId) => Pick<LogTail, 'no'>
  /** Number of the last frame of a log that may be accepted. */
  readonly limitOf: (state: LedgerState, log: LogId) => number
}

export interface Memory {
  readonly step: (hub: HubState, event: HubEvent, nowMs: number) => readonly HubEffect[]
  /** How many hubs must still tell, or have told of frames that are still on their way. */
  readonly unheard: number
  /** May its frames be acknowledged to this author? */
  mayAck(author: number): boolean
  /** This peer's open seals may be news to this hub: it has not told since the loss. */
  awaits(peer: number): boolean
}

/** Where the logs of one peer, and this hub's own, ended there; undefined until it has told. */
interface Waiting { ends: LogEnds | undefined; askedMs: number }

export function createMemory({ me, tailOf, limitOf }: MemoryComponents, row: Uint8Array | undefined): Memory {
  const waiting = new Map<number, Waiting>(readRow(row).map((hub) => [hub, { ends: undefined, askedMs: -Infinity }]))
  /** Answers to older questions do not count. */
  let question = 1

  const persist = (): HubEffect => ({ type: 'persist', key: memoryRowKey, value: encode({ unheard: [...waiting.keys()] }) })

  function forgot(hub: HubState, nowMs: number): HubEffect[] {
    question += 1
    for (let other = 0; other < HUBS_PER_FEDERATION; other += 1) if (other !== me) waiting.set(other, { ends: undefined, askedMs: -Infinity })
    return [persist(), ...ask(hub, nowMs)]
  }

  function ask(hub: HubState, nowMs: number): HubEffect[] {
    const effects: HubEffect[] = []
    for (const [peer, known] of waiting) {
      const due = hasPassed(AGAIN_MS, { sinceMs: known.askedMs, nowMs })
      if (known.ends !== undefined || !hub.connected.has(peer) || !due) continue
      known.askedMs = nowMs
      effects.push({ type: 'send', hub: peer, message: { t: 'recall', question } })
    }
    return effects
  }

  /** Who has told, and of whose logs nothing is missing here, is heard. */
  function review(state: LedgerState): HubEffect[] {
    const before = waiting.size
    for (const [peer, { ends }] of waiting) {
      if (ends?.every(({ log, no }) => tailOf(log).no >= Math.min(no, limitOf(state, log))) === true) waiting.delete(peer)
    }
    return waiting.size === before ? [] : [persist(), { type: 'heard' }]
  }

  return {
    get unheard() { return waiting.size },
    awaits: (peer) => waiting.has(peer) && waiting.get(peer)!.ends === undefined,
    mayAck: (author) => isPlanted('promise-forgotten') || [...waiting].every(([hub, { ends }]) => hub === author || ends !== undefined),
    step: (hub, event, nowMs) => {
      if (event.type === 'forgot') return forgot(hub, nowMs)
      if (waiting.size === 0) return []
      if (event.type === 'connected') {
        const known = waiting.get(event.hub)
        if (known !== undefined) known.askedMs = -Infinity
        return ask(hub, nowMs)
      }
      if (event.type === 'message' && event.message.t === 'recalled') {
        const known = waiting.get(event.hub)
        if (known === undefined || event.message.question !== question) return []
        known.ends = event.message.ends
        return [{ type: 'heard' }, ...review(hub.state)]
      }
      if (event.type === 'tick') return [...ask(hub, nowMs), ...review(hub.state)]
      return event.type === 'folded' ? review(hub.state) : []
    },
  }
}

/** The store has checked its sum. */
function readRow(row: Uint8Array | undefined): readonly number[] {
  if (row === undefined) return []
  return decode(memoryRowSchema, row).unheard
}
