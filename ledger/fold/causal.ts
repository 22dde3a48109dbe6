/**
 * The causal gate: a frame is folded when all that it rests on is in the state. Then every state is a causally closed
 * version vector, and the order in which logs arrive does not matter.
 *
 * A frame rests on what its header says that its author had folded, and on what its entries name. Of a log that is
 * sealed or refused nothing more comes, so its end is enough.
 */
import { toHex } from '../../protocol/bytes.ts'
import type { Entry } from '../entries/entry.ts'
import type { CheckedFrame } from '../frame.ts'
import { readPrevious } from './documents.ts'
import type { FoldInput } from './frame-fold.ts'
import { keyIn } from './slots.ts'
import { nameOf, type LedgerState, type LogName } from './state.ts'

/** Frames that wait in memory, of all logs together. */
export const WAITING_FRAMES_MAX = 1_024

/** May this frame, the next one of its log, be folded now? */
export function dependenciesMet(state: LedgerState, frame: FoldInput): boolean {
  const { header } = frame
  for (const [hub, { epoch, no }] of header.seen.entries()) {
    if (no === 0 || hub === header.hub && epoch === header.epoch) continue
    if (!reached(state, nameOf({ hub, epoch }), no)) return false
  }
  return frame.entries.every((entry) => entry === undefined || entryMet(state, entry))
}

/** The log is in the state up to this frame, or ends before it. */
function reached(state: LedgerState, name: LogName, no: number): boolean {
  const log = state.logs.get(name)
  return log !== undefined && (log.frame >= no || log.status.is !== 'live')
}

function entryMet(state: LedgerState, entry: Entry): boolean {
  switch (entry.k) {
    case 'EpochOpen': {
      const previous = readPrevious(entry.key.body)
      return previous === undefined || previous.no === 0 || reached(state, nameOf({ hub: entry.hub, epoch: previous.epoch }), previous.no)
    }
    case 'Seal': {
      const log = state.logs.get(nameOf(entry.log))
      return log !== undefined && (log.status.is !== 'live' || log.frame === entry.frame)
    }
    case 'Accept': {
      const from = nameOf(entry.from)
      const giver = state.logs.get(from)
      if (giver === undefined) return false
      return giver.status.is !== 'live' || keyIn(toHex(entry.give), from, (key) => state.gives.get(key)?.from ?? state.givesDone.get(key)) !== undefined
    }
    case 'IslandSettle':
    case 'IslandRelease':
      return state.logs.has(nameOf(entry.log))
    case 'Handback':
      return state.logs.has(nameOf(entry.log)) && state.logs.has(nameOf(entry.target))
    case 'EquivProof':
      return state.logs.has(nameOf(entry.fork))
    case 'AccountOpen':
    case 'KeyAdd':
    case 'KeyRevoke':
    case 'TierSet':
    case 'Grant':
    case 'Purchase':
    case 'Chargeback':
    case 'Hold':
    case 'Extend':
    case 'Progress':
    case 'Settle':
    case 'Expire':
    case 'Refund':
    case 'Give':
    case 'GiveReturn':
    case 'JobReceipt':
    case 'Presence':
    case 'Vest':
    case 'BackRelease':
    case 'Approval':
      return true
  }
}

export interface Gate<Frame extends FoldInput> {
  /**
   * A frame of any log. Gives those that can be folded now, this one or others that waited, in order; the caller folds
   * them at once and asks `ready` again until it gives none. A frame that is known adds nothing. One that does not follow
   * what is known of its log, or for which there is no room, is not kept: `wanted` says which one is to be offered again.
   */
  offer(frame: Frame): readonly Frame[]
  /** What can be folded now, after the state has changed. */
  ready(): readonly Frame[]
  /** Number of the next frame of a log that the gate takes. */
  wanted(log: LogName): number
  readonly waiting: number
}

/** `framesMax`: frames that wait in memory. */
export function createGate<Frame extends FoldInput = CheckedFrame>(state: LedgerState, { framesMax = WAITING_FRAMES_MAX } = {}): Gate<Frame> {
  const queues = new Map<LogName, Frame[]>()
  let waiting = 0

  const folded = (name: LogName) => state.logs.get(name)?.frame ?? 0

  /** The log's frames that are not folded yet; those that will never count go. */
  function queueOf(name: LogName): Frame[] {
    const queue = queues.get(name) ?? []
    const log = state.logs.get(name)
    const ended = log !== undefined && log.status.is !== 'live'
    const done = ended ? queue.length : queue.findIndex(({ header }) => header.no > folded(name))
    const gone = done === -1 ? queue.length : done
    queue.splice(0, gone)
    waiting -= gone
    return queue
  }

  const wanted = (name: LogName) => queueOf(name).at(-1)?.header.no ?? folded(name)

  /** The heads of the queues that can go: one of each log, since the state must move before the next one is looked at. */
  function ready(): readonly Frame[] {
    return [...queues.keys()].flatMap((name) => {
      const head = queueOf(name)[0]
      return head !== undefined && dependenciesMet(state, head) ? [head] : []
    })
  }

  return {
    offer(frame) {
      const name = nameOf(frame.log)
      const log = state.logs.get(name)
      if (log !== undefined && log.status.is !== 'live') return ready()
      if (frame.header.no === wanted(name) + 1) {
        const queue = queueOf(name)
        // The head of a log always has a place, or logs that wait for one another would keep each other out.
        if (waiting < framesMax || queue.length === 0) {
          queues.set(name, queue)
          queue.push(frame)
          waiting += 1
        }
      }
      return ready()
    },
    ready,
    wanted: (name) => wanted(name) + 1,
    get waiting() {
      for (const name of queues.keys()) queueOf(name)
      return waiting
    },
  }
}
