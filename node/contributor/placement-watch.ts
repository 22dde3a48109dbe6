/**
 * Follows the placements of a hub and counts why the machines of a model were passed by. A placement among thousands of
 * hosts must not pay for that: the hosts are looked at now and then, and each look stands for all placements since the
 * last one.
 */
import type { ModelCapability } from '../../protocol/messages/capacity.ts'
import type { PassedByReason } from '../../protocol/messages/contributor.ts'
import type { Clock } from '../../protocol/ports.ts'
import type { CapacityRow, CapacityTable } from '../capacity/table.ts'
import type { PlacementWatch } from '../jobs/dispatcher.ts'
import type { PassedByTable } from './passed-by.ts'

export interface PlacementWatchComponents {
  readonly table: Pick<CapacityTable, 'groups' | 'isFresh'>
  readonly passedBy: PassedByTable
  readonly coolingDown: (peer: string) => boolean
  /** Machines that failed their checks. */
  readonly distrusts: (peer: string) => boolean
  /** The hub could ask it. */
  readonly isReachable: (peer: string) => boolean
  readonly clock: Clock
}

export interface PlacementWatchOptions {
  /** Least time between two looks at the table. Default 100 ms, and 50 times what the last one took: among 10,000 hosts of four models that is tens of milliseconds. */
  readonly lookMs?: number
  /** Models that wait for a look; the placements of more are not explained. Default 256. */
  readonly modelsMax?: number
}

/** The looks take a fiftieth of the time at most. */
const LOOK_REST_TIMES = 50

/** Placements of one model since the last look. */
interface Waiting {
  count: number
  readonly got: Map<string, number>
  needs: readonly ModelCapability[]
}

export function createPlacementWatch(components: PlacementWatchComponents, options: PlacementWatchOptions = {}): PlacementWatch {
  const { table, passedBy, coolingDown, distrusts, isReachable, clock } = components
  const { lookMs = 100, modelsMax = 256 } = options
  const waiting = new Map<string, Waiting>()
  let nextLookMs = -Infinity
  let cancel: (() => void) | undefined

  function look(): void {
    const beganMs = clock.monotonicMs()
    cancel = undefined
    for (const [model, placements] of waiting) {
      for (const { hosts } of table.groups(model)) {
        for (const { row, model: { capabilities } } of hosts) {
          const passed = placements.count - (placements.got.get(row.peer) ?? 0)
          if (passed > 0 && table.isFresh(row)) passedBy.passed(row.peer, reasonOf(row, capabilities, placements), passed)
        }
      }
    }
    waiting.clear()
    const endedMs = clock.monotonicMs()
    nextLookMs = Math.max(beganMs + lookMs, endedMs + (endedMs - beganMs) * LOOK_REST_TIMES)
  }

  function reasonOf({ peer, capacity }: CapacityRow, capabilities: readonly ModelCapability[], { needs }: Waiting): PassedByReason {
    if (capacity.draining) return 'draining'
    if (!needs.every((need) => capabilities.includes(need))) return 'missing_capability'
    if (distrusts(peer)) return 'failed_checks'
    if (!isReachable(peer)) return 'unreachable'
    if (coolingDown(peer)) return 'failed_lately'
    return capacity.slots.busy + capacity.slots.queued >= capacity.slots.total ? 'busy' : 'others_were_freer'
  }

  return {
    placed(model, needs, order) {
      const [first] = order
      if (first === undefined) return
      passedBy.got(model, first)
      const known = waiting.get(model)
      if (known === undefined && waiting.size >= modelsMax) return
      const placements = known ?? { count: 0, got: new Map<string, number>(), needs }
      placements.count += 1
      placements.got.set(first, (placements.got.get(first) ?? 0) + 1)
      waiting.set(model, placements)
      // Never at once: a job does not wait for the report about it.
      cancel ??= clock.after(Math.max(0, nextLookMs - clock.monotonicMs()), look)
    },
    failed(peer) {
      passedBy.passed(peer, 'refused')
    },
  }
}
