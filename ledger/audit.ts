/** Folds everything anew from the disk, checking every frame again, and says what it comes to. */
import { TriforceError } from '../protocol/errors.ts'
import type { LogId } from '../protocol/messages/ledger.ts'
import { createFinalFold } from './checkpoint/final-fold.ts'
import { checkState } from './fold/invariants.ts'
import type { LogName } from './fold/state.ts'
import type { FrameContext } from './frame.ts'
import { logOfName, type HubState } from './hub/hub-state.ts'
import type { AuditReport, LedgerMoney } from './interface.ts'
import { logName, type LogStore } from './store/log-store.ts'

export interface AuditComponents {
  readonly hub: HubState
  readonly store: Pick<LogStore, 'frameBytes' | 'tails'>
}

const CHUNK_BYTES = 1024 * 1024
const CHUNK_FRAMES = 256

export function createAudit({ hub, store }: AuditComponents, context: FrameContext): Pick<LedgerMoney, 'audit'> {
  /** What is in the live state and on the disk. */
  function allHere(): Map<LogName, number> {
    const frames = new Map<LogName, number>()
    for (const [name, { frame }] of hub.state.logs) {
      const no = Math.min(frame, store.tails.get(name)?.no ?? 0)
      if (no > 0) frames.set(name, no)
    }
    return frames
  }

  async function load({ log, from, to }: { readonly log: LogId; readonly from: number; readonly to: number }, { forFold }: { readonly forFold: boolean }): Promise<readonly Uint8Array[]> {
    const frames = await store.frameBytes(log, from, { bytesMax: CHUNK_BYTES, framesMax: Math.min(CHUNK_FRAMES, to - from + 1), forFold })
    if (frames.length > 0) return frames
    throw new TriforceError('NOT_FOUND', { ...log, frame: from }, {
      detail: `frame ${from} of the log ${logName(log)} is not on this hub's disk: wait until it has come, or audit up to frames that are here`,
    })
  }

  async function refold(heads: AuditReport['heads'] | undefined): Promise<AuditReport> {
    const wanted = heads === undefined ? allHere() : new Map(heads.map(({ frames, ...log }) => [logName(log), frames]))
    const fold = createFinalFold(context)
    const problems: string[] = []
    for (;;) {
      const progress = fold.advance(wanted)
      if (progress.is === 'reached') break
      if (progress.is === 'stuck') {
        problems.push(progress.problem)
        break
      }
      // Every signature is checked when they are folded. Where one is broken, reading with signatures fetches the frame again, or says what is damaged.
      const problem = fold.take(progress.log, progress.from, await load(progress, { forFold: true }))
        && fold.take(progress.log, progress.from, await load(progress, { forFold: false }))
      if (problem !== undefined) {
        problems.push(`${logName(progress.log)}: ${problem}`)
        break
      }
    }
    problems.push(...checkState(fold.state))
    for (const [name, { status }] of fold.state.logs) if (status.is === 'refused') problems.push(`the log ${name} is refused from frame ${status.frame} on: ${status.problem}`)
    const { root, accounts, totals } = fold.content()
    const entries = [...fold.tails.values()].reduce((sum, { tree }) => sum + tree.size, 0)
    const reached = [...fold.frames].map(([name, frames]): AuditReport['heads'][number] => ({ ...logOfName(name), frames }))
    return { heads: reached.sort((a, b) => a.hub - b.hub || a.epoch - b.epoch), root, accounts, entries, totals, problems }
  }

  /** Each reads all logs and holds a whole state in memory. */
  let running = false

  return {
    audit: async ({ heads } = {}) => {
      if (running) throw new TriforceError('QUEUE_FULL', {}, { detail: 'an audit is running on this hub: wait until it has ended' })
      running = true
      try {
        return await refold(heads)
      } finally {
        running = false
      }
    },
  }
}
