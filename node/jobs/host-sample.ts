/**
 * Some hosts of a model out of any number: those of the account itself and the one that knows the prompt, and a random few
 * of the hubs and of the pool, free ones before full ones. A placement costs the same among ten hosts and ten thousand.
 */
import type { ModelCapability } from '../../protocol/messages/capacity.ts'
import type { CapacityRow, CapacityTable } from '../capacity/table.ts'
import type { HostGroup, ModelHost } from '../capacity/model-index.ts'

export type SampledHost = ModelHost<CapacityRow>

export interface SampleOrder {
  readonly model: string
  readonly needs: readonly ModelCapability[]
  /** Peers that are looked at whatever comes out of the rest. */
  readonly first: readonly string[]
  /** Good hosts of the hubs, and as many of the pool; Infinity: all. */
  readonly wanted: number
  /** False: this one does not count towards `wanted`. Called once for each host. */
  readonly take: (host: SampledHost) => boolean
}

/** Hosts that are shown to `take` though they cannot be chosen, so that a refusal can say why. */
const LEFT_OUT_MAX = 256

/** Gives how many hosts of the model are known, with those that were not looked at. */
export function sampleHosts(table: Pick<CapacityTable, 'groups' | 'host' | 'isFresh'>, order: SampleOrder, unit: () => number): number {
  const { model, needs, wanted, first } = order
  /** Each host stands in one group, so only these could come twice. */
  const firsts: SampledHost[] = []
  let shown = 0
  let good = 0

  function show(host: SampledHost): boolean {
    if (firsts.includes(host) || !table.isFresh(host.row)) return false
    shown += 1
    const isGood = order.take(host)
    if (isGood) good += 1
    return isGood
  }

  for (const peer of first) {
    const host = table.host(peer, model)
    if (host === undefined) continue
    show(host)
    firsts.push(host)
  }
  const groups = [...table.groups(model)]
  const fits = (group: HostGroup<CapacityRow>) => !group.draining && needs.every((need) => group.capabilities.has(need))
  for (const isHub of [true, false]) {
    let left = wanted
    for (const isFull of [false, true]) {
      for (const group of groups) {
        if (group.isHub !== isHub || group.isFull !== isFull || !fits(group)) continue
        if (left > 0) inRandomOrder(group.hosts, unit, (host) => {
          if (show(host)) left -= 1
          return left > 0
        })
      }
    }
  }
  if (good === 0 || wanted === Infinity) {
    let left = LEFT_OUT_MAX
    for (const group of groups) {
      if (fits(group)) continue
      for (const host of group.hosts) {
        if (left <= 0) break
        show(host)
        left -= 1
      }
    }
  }
  return Math.max(shown, good === 0 ? 0 : groups.reduce((sum, { hosts }) => sum + hosts.length, 0))
}

/** Gives each once, from a random one on in random strides, as long as `take` says so. */
function inRandomOrder<Item>(items: readonly Item[], unit: () => number, take: (item: Item) => boolean): void {
  const count = items.length
  if (count === 0) return
  let at = Math.floor(unit() * count)
  let stride = 1 + Math.floor(unit() * (count - 1))
  while (greatestCommonDivisor(stride, count) !== 1) stride += 1
  for (let seen = 0; seen < count; seen += 1) {
    if (!take(items[at]!)) return
    at = (at + stride) % count
  }
}

function greatestCommonDivisor(a: number, b: number): number {
  while (b !== 0) [a, b] = [b, a % b]
  return a
}
