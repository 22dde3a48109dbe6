/**
 * One run: three hubs as processes, links that can be cut, clients that spend, faults one after the other; after each the
 * hubs must agree again, and at the end the logs must say what the clients were told.
 */
import { join } from 'node:path'
import type { PlantedBug } from '../../ledger/planted-bugs.ts'
import { seededRandom } from '../support/seeded-random.ts'
import { temporaryDir, testWorld } from '../support/ledger-world.ts'
import { faultKinds, inflict, type FaultKind } from './faults.ts'
import { openWorld } from './hubs.ts'
import { judge, type Verdict } from './judge.ts'
import { createLoad, loadDefaults } from './load.ts'
import { readLogs } from './log-reader.ts'
import { AGREE_MS_MAX, type Ended } from './report.ts'
import { createTally, type Tally } from './tally.ts'
import { agreement, watchMoney } from './watch.ts'

export interface NemesisOptions {
  readonly seed: number
  /** Of faults; starting, the phase with one hub down and the end come on top. */
  readonly faultMs: number
  /** How long each hub is down in the phase that measures availability. */
  readonly downMs: number
  readonly ordersPerSecond?: number
  readonly faults?: readonly FaultKind[]
  /** At all hubs: the run must then find something. */
  readonly bug?: PlantedBug
  readonly say?: (text: string) => void
}

export interface NemesisReport {
  readonly seed: number
  readonly ended: readonly Ended[]
  readonly tally: Tally
  readonly verdict: Verdict
  readonly problems: readonly string[]
  /** With one hub down: spends at the two others. `moved`: of people whose hub is down. */
  readonly oneDown: { readonly asked: number; readonly ok: number; readonly movedAsked: number; readonly movedOk: number }
  readonly entries: number
  readonly reads: number
  readonly seconds: number
}

/** How long the hubs are looked at in vain before the run goes on. */
const AGREE_LOOK_MS_MAX = 30_000
/** Duties are done within it. */
const QUIET_MS = 2_500
const QUIET_LOOK_MS_MAX = 60_000
const ONE_DOWN_PERCENT_MIN = 99
/** What the phase counts, until the faults begin. */
export const ONE_DOWN = 'one hub down'

export async function runNemesis({ seed, faultMs, downMs, ordersPerSecond, faults = faultKinds, bug, say = () => {} }: NemesisOptions): Promise<NemesisReport> {
  const startedMs = performance.now()
  const random = seededRandom(seed)
  const federation = testWorld()
  const dir = await temporaryDir()
  const problems: string[] = []
  const onProblem = (problem: string) => {
    if (problems.length < 200) problems.push(problem)
    say(`PROBLEM ${problem}`)
  }
  const tally = createTally()
  const ended: Ended[] = []
  const world = await openWorld(federation, { dirOf: (hub) => join(dir.path, String(hub)), onProblem, ...(bug === undefined ? {} : { bug }) })
  const { hubs } = world
  const load = createLoad(federation, hubs, tally, random, { ...loadDefaults, ...(ordersPerSecond === undefined ? {} : { ordersPerSecond }) })
  const oneDown = { asked: 0, ok: 0, movedAsked: 0, movedOk: 0 }

  /** The fault lasts `lastMs`, then everything heals and the hubs must agree. */
  async function phase(kind: FaultKind, name: string, lastMs: number, only?: 'spends'): Promise<void> {
    const fault = await inflict(world, kind, random.unit)
    const current = tally.begin(name, fault.hit)
    load.start(only === undefined ? {} : { only })
    await scheduled(lastMs)
    load.stop()
    const healedMs = performance.now()
    await fault.heal()
    const upAfterMs = performance.now() - healedMs
    const { ms, heads } = await agreement(hubs, AGREE_LOOK_MS_MAX)
    ended.push({ phase: current, healedMs, upAfterMs, agreedAfterMs: ms })
    const took = ms?.toFixed(0) ?? `more than ${AGREE_LOOK_MS_MAX}`
    say(`${name}: ${fault.text} for ${(lastMs / 1_000).toFixed(1)} s, all up after ${upAfterMs.toFixed(0)} ms, agreed ${took} ms later`)
    if (ms === undefined || ms > AGREE_MS_MAX) onProblem(`after "${fault.text}" the hubs agreed ${took} ms after all were up: ${JSON.stringify(heads)}`)
  }

  try {
    await Promise.all(hubs.map((hub) => hub.start()))
    await Promise.all(hubs.map((hub) => hub.whenWritable()))
    tally.begin('start', [])
    await load.prepare()
    const first = await agreement(hubs, AGREE_LOOK_MS_MAX)
    if (first.ms === undefined) onProblem(`the hubs do not agree at the start: ${JSON.stringify(first.heads)}`)
    const watch = watchMoney(hubs, load.accounts, tally, 100, onProblem)
    await phase('none', 'none', Math.min(5_000, downMs))

    for (const down of [0, 1, 2]) {
      await hubs[down]!.kill()
      const current = tally.begin(ONE_DOWN, [down])
      load.start({ only: 'spends' })
      await scheduled(downMs)
      load.stop()
      const healedMs = performance.now()
      const count = (name: string) => current.outcomes.get(name) ?? 0
      await load.idle()
      oneDown.ok += count('spend/ok')
      oneDown.asked += count('spend/ok') + count('spend/refused') + count('spend/indeterminate')
      oneDown.movedOk += count('moved spend/ok')
      oneDown.movedAsked += count('moved spend/ok') + count('moved spend/refused') + count('moved spend/indeterminate')
      const startMs = performance.now()
      await hubs[down]!.start()
      const upAfterMs = performance.now() - startMs
      const { ms, heads } = await agreement(hubs, AGREE_LOOK_MS_MAX)
      if (ms === undefined) onProblem(`after hub ${down} was down the hubs do not agree: ${JSON.stringify(heads)}`)
      ended.push({ phase: current, healedMs, upAfterMs, agreedAfterMs: ms })
      say(`hub ${down} was down for ${(downMs / 1_000).toFixed(1)} s: ${count('spend/ok')} spends at the others, agreed ${ms?.toFixed(0) ?? 'not'} ms after its restart`)
    }
    if (oneDown.ok * 100 < oneDown.asked * ONE_DOWN_PERCENT_MIN) onProblem(`with one hub down ${oneDown.ok} of ${oneDown.asked} spends at the others succeed`)

    const endMs = performance.now() + faultMs
    for (let queue: FaultKind[] = []; performance.now() < endMs;) {
      if (queue.length === 0) queue = shuffled(faults, random.unit)
      const kind = queue.pop()!
      await phase(kind, kind, 1_500 + random.unit() * 6_000)
    }
    await load.idle()
    await quiet()
    const audits = await Promise.all(hubs.map((hub) => hub.call('audit')))
    for (const [hub, { totals, root }] of audits.entries()) {
      say(`hub ${hub}: root ${Buffer.from(root).toString('hex').slice(0, 16)}, minted ${totals.minted}, spent ${totals.spent}, held ${totals.held}`)
      if (totals.held !== 0n) onProblem(`hub ${hub} still holds ${totals.held}, and every hold is over`)
    }
    for (const hub of hubs) {
      for (let at = 0; at < tally.receipts.length; at += 500) {
        const ids = tally.receipts.slice(at, at + 500).map((id) => new Uint8Array(Buffer.from(id, 'hex')))
        for (const id of await hub.call('missingReceipts', ids)) onProblem(`receipt ${Buffer.from(id).toString('hex')} cannot be read at hub ${hub.index}`)
      }
    }
    await watch.stop()
    await Promise.all(hubs.map((hub) => hub.call('close')))
    const logs = []
    for (const hub of hubs) logs.push(await readLogs(hub.dir))
    const verdict = judge(tally, logs, audits)
    for (const problem of verdict.problems.slice(0, 50)) onProblem(problem)
    return { seed, ended, tally, verdict, problems, oneDown, entries: logs[0]!.entries, reads: watch.reads, seconds: (performance.now() - startedMs) / 1_000 }
  } finally {
    await world.close()
    if (process.env['NEMESIS_KEEP'] === '1') say(`kept: ${dir.path}`)
    else await dir.remove()
  }

  /** Until nothing is held any more and the hubs agree: holds that were left lying lapse, and what was paid twice is paid back. */
  async function quiet(): Promise<void> {
    const endMs = performance.now() + QUIET_LOOK_MS_MAX
    const ids = load.accounts.map(({ id }) => id)
    let since: number | undefined
    let last = ''
    while (performance.now() < endMs) {
      const { ms, heads } = await agreement(hubs, AGREE_LOOK_MS_MAX)
      const money = await Promise.all(hubs.map((hub) => hub.call('money', ids)))
      const text = JSON.stringify(heads)
      const still = ms !== undefined && text === last && money.every((all) => all.every((one) => one === undefined || one.balance.held === 0n && one.balance.inflight === 0n))
      last = text
      since = still ? since ?? performance.now() : undefined
      if (since !== undefined && performance.now() - since > QUIET_MS) return
      await new Promise((resolve) => { setTimeout(resolve, 50) })
    }
    onProblem(`${QUIET_LOOK_MS_MAX / 1_000} s after the last order something is still held, on its way, or being logged`)
  }
}

/** A fault lasts as long as it is drawn to last. */
function scheduled(lastMs: number): Promise<void> {
  return new Promise((resolve) => { setTimeout(resolve, lastMs) })
}

function shuffled<Item>(items: readonly Item[], unit: () => number): Item[] {
  return [...items].map((item) => ({ item, place: unit() })).sort((a, b) => a.place - b.place).map(({ item }) => item)
}
