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
  readonly table: Pick<CapacityTable, 'fresh'>
  readonly passedBy: PassedByTable
  readonly coolingDown: (peer: string) => boolean
  /** Machines that failed their checks. */
  readonly distrusts: (peer: string) => boolean
  readonly clock: Clock
}

export interface PlacementWatchOptions {
  /** Least time between two looks at the table. Default 100 ms: at 10,000 hosts a look takes about 2 ms. */
  readonly lookMs?: number
  /** Models that wait for a look; the placements of more are not explained. Default 256. */
  readonly modelsMax?: number
}

/** Placements of one model since the last look. */
interface Waiting {
  count: number
  readonly got: Map<string, number>
  needs: readonly ModelCapability[]
  able: ReadonlySet<string>
}

export function createPlacementWatch(components: PlacementWatchComponents, options: PlacementWatchOptions = {}): PlacementWatch {
  const { table, passedBy, coolingDown, distrusts, clock } = components
  const { lookMs = 100, modelsMax = 256 } = options
  const waiting = new Map<string, Waiting>()
  let lookedAtMs = -Infinity
  let cancel: (() => void) | undefined

  function look(): void {
    lookedAtMs = clock.monotonicMs()
    cancel = undefined
    for (const row of table.fresh()) {
      for (const model of row.capacity.models) {
        const placements = waiting.get(model.id)
        if (placements === undefined) continue
        const passed = placements.count - (placements.got.get(row.peer) ?? 0)
        if (passed > 0) passedBy.passed(row.peer, reasonOf(row, model.capabilities, placements), passed)
      }
    }
    waiting.clear()
  }

  function reasonOf({ peer, capacity }: CapacityRow, capabilities: readonly ModelCapability[], { needs, able }: Waiting): PassedByReason {
    if (capacity.draining) return 'draining'
    if (!needs.every((need) => capabilities.includes(need))) return 'missing_capability'
    if (distrusts(peer)) return 'failed_checks'
    if (!able.has(peer)) return 'unreachable'
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
      const placements = known ?? { count: 0, got: new Map<string, number>(), needs, able: new Set(order) }
      placements.count += 1
      placements.got.set(first, (placements.got.get(first) ?? 0) + 1)
      waiting.set(model, placements)
      // What is true now counts for the first of a row; a burst is looked at when it is over the time.
      const dueMs = lookedAtMs + lookMs - clock.monotonicMs()
      if (dueMs <= 0) look()
      else cancel ??= clock.after(dueMs, look)
    },
    failed(peer) {
      passedBy.passed(peer, 'refused')
    },
  }
}
