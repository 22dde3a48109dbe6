/** An admin asks for a hub's log to be sealed, and waits until it is. */
import { TriforceError } from '../protocol/errors.ts'
import type { LogId } from '../protocol/messages/ledger.ts'
import type { Conditions } from './conditions.ts'
import type { CoreRunner } from './core-runner.ts'
import type { LedgerState } from './fold/state.ts'
import { nameOfLog, type HubState } from './hub/hub-state.ts'
import type { LedgerMoney } from './interface.ts'

export interface SealingComponents {
  readonly hub: HubState
  readonly conditions: Conditions
  readonly core: Pick<CoreRunner, 'run'>
}

/** It is asked for again this often: what is in the way may be gone. */
const AGAIN_MS = 5_000

export function createSealing({ hub, conditions, core }: SealingComponents): Pick<LedgerMoney, 'seal'> {
  return {
    seal: async (index, { forced, signal }) => {
      signal.throwIfAborted()
      const log = newestLogOf(hub.state, index)
      if (index === hub.me || log === undefined) {
        throw new TriforceError('BAD_REQUEST', { hub: index }, { detail: 'a hub cannot seal its own log, and a log must have begun: ask for it at one of the other hubs' })
      }
      if (!forced && hub.connected.has(index)) {
        throw new TriforceError('BAD_REQUEST', { hub: index }, { detail: 'that hub is connected and serves its log itself: stop it first, or force the seal' })
      }
      const isSealed = () => hub.state.logs.get(nameOfLog(log))?.status.is === 'sealed'
      const aborted = new Promise<never>((_, reject) => {
        signal.addEventListener('abort', () => { reject(signal.reason as Error) }, { once: true })
      })
      // The seal may come first, and the signal long after.
      aborted.catch(() => {})
      for (let sealed = isSealed(); !sealed;) {
        core.run({ type: 'seal', log })
        sealed = await Promise.race([conditions.until(isSealed, AGAIN_MS), aborted])
        if (conditions.closed) throw new TriforceError('STOPPING')
      }
    },
  }
}

function newestLogOf(state: LedgerState, hub: number): LogId | undefined {
  return [...state.logs.values()].map(({ log }) => log).filter((log) => log.hub === hub).sort((a, b) => b.epoch - a.epoch)[0]
}
