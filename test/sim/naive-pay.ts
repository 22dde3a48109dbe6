/** What work and standing by are worth, by the words of docs/ledger.md: a list of facts for each device, and one sum over it. */
import { readHalf } from '../../ledger/fold/documents.ts'
import { toHex } from '../../protocol/bytes.ts'
import type { LoggedEntry } from './naive-ledger.ts'

interface Span {
  readonly fromMs: number
  readonly toMs: number
}

interface Fact {
  /** µcr an hour. */
  readonly rate: bigint
  readonly boot: string
  readonly device: Span
  readonly wall: Span
}

const MS_PER_HOUR = 3_600_000n

/** µcr by `<contributor> <device>`. */
export function payOfAll(entries: readonly LoggedEntry[]): Map<string, bigint> {
  const facts = new Map<string, Fact[]>()
  const add = (contributor: Uint8Array, device: string, fact: Fact) => {
    const name = `${toHex(contributor)} ${device}`
    facts.set(name, [...facts.get(name) ?? [], fact])
  }
  for (const { entry, tsMs } of entries) {
    const past = (fromMs: number, toMs: number): Span => ({ fromMs: Math.min(fromMs, tsMs), toMs: Math.min(toMs, tsMs) })
    if (entry.k === 'Presence') {
      const { deviceFromMs, deviceToMs, wallFromMs, wallToMs } = entry
      for (const { device, rate } of entry.devices) {
        add(entry.contributor, device, { rate, boot: toHex(entry.boot), device: { fromMs: deviceFromMs, toMs: deviceToMs }, wall: past(wallFromMs, wallToMs) })
      }
    } else if (entry.k === 'JobReceipt' && entry.half !== undefined) {
      const half = readHalf(entry.half.body)!
      const { endedAt, observedMs } = entry.observation
      for (const { device, rate } of entry.rates ?? (entry.rate === undefined ? [] : [{ device: half.devices[0]!, rate: entry.rate }])) {
        add(entry.contributor, device, { rate, boot: half.boot, device: { fromMs: half.startMs, toMs: half.endMs }, wall: past(Math.max(0, endedAt - observedMs), endedAt) })
      }
    }
  }
  return new Map([...facts].map(([name, of]) => [name, payOf(of)]))
}

/** Each moment at the best rate that is proven for it, by the shorter of the two clocks, rounded down once. */
function payOf(facts: readonly Fact[]): bigint {
  let sum = 0n
  let below = 0n
  for (const rate of [...new Set(facts.map((fact) => fact.rate))].sort((a, b) => Number(a - b))) {
    const atLeast = facts.filter((fact) => fact.rate >= rate)
    const boots = Map.groupBy(atLeast, ({ boot }) => boot)
    const deviceMs = [...boots.values()].reduce((total, of) => total + lengthOf(of.map(({ device }) => device)), 0)
    sum += (rate - below) * BigInt(Math.min(deviceMs, lengthOf(atLeast.map(({ wall }) => wall))))
    below = rate
  }
  return sum / MS_PER_HOUR
}

/** Time that at least one of them covers. */
function lengthOf(spans: readonly Span[]): number {
  let covered = 0
  let end = -Infinity
  for (const { fromMs, toMs } of spans.toSorted((a, b) => a.fromMs - b.fromMs)) {
    covered += Math.max(0, toMs - Math.max(fromMs, end))
    end = Math.max(end, toMs)
  }
  return covered
}
