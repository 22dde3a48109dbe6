/** One run: three ledgers, a seed, faults and work; then everything is mended, and what stands is compared with what was said. */
import type { HubLedger } from '../../ledger/interface.ts'
import { toTriforceError, type TriforceError } from '../../protocol/errors.ts'
import { toHex } from '../../protocol/bytes.ts'
import type { LedgerState } from '../../ledger/fold/state.ts'
import { dumpState } from '../../ledger/fold/dump.ts'
import { checkState } from '../../ledger/fold/invariants.ts'
import { countSometimes } from './sometimes.ts'
import { addUp, entriesOf } from './naive-ledger.ts'
import { judge, judgeReceipts } from './judge.ts'
import { createFaults } from './faults.ts'
import { createOracle } from './oracle.ts'
import { finalOn, hasAll, opennessOf, sealsOn, type PlainCheckpoint } from './plain-checkpoint.ts'
import { rememberSignatures } from './sim-federation.ts'
import { hasSealedTwice } from './sealed-twice.ts'
import type { SimProcess } from './sim-hub.ts'
import { count, emptyReport, type SeedReport } from './sim-report.ts'
import { createWorld, putBack, type HubSlot, type SimWorld } from './sim-world.ts'
import { drawSwarm } from './swarm.ts'
import { createWorkload } from './workload.ts'

export interface SimulateOptions {
  readonly lengthMs?: number
  /** How many of the last notes are kept for a report. Default 0. */
  readonly keepNotes?: number
}

/** Simulated time within which hubs that can all reach each other must have the same logs. */
const CONVERGE_MS_MAX = 120_000
/** ... and within which two healthy hubs must get work done, whatever the third one does. */
const PROGRESS_MS_MAX = 30_000
/** The ledger tries again after 5 s what led to nothing. */
const STILL_MS = 6_000
const STEPS_MAX = 60_000
/** All invariants of all hubs; the ledger itself checks every account that a frame touches. */
const CHECK_EVERY_STEPS = 500
const CHECKPOINT_EVERY_STEPS = 50
/** Simulated time within which what all hubs have is in a final checkpoint: some rounds are skipped, and pay begins a new one. */
const FINAL_MS_MAX = 30_000
/** A hub signs no proposal of a hub whose clock is further from its own. */
const CLOCKS_APART_MS_MAX = 59_000

export async function simulate(seed: number, options: SimulateOptions = {}): Promise<SeedReport> {
  const startedMs = performance.now()
  rememberSignatures()
  const report = emptyReport(seed)
  const swarm = drawSwarm(seed, options.lengthMs)
  const world = createWorld(seed, swarm, report, options.keepNotes ?? 0)
  const { scheduler, slots } = world
  const onRejection = (error: unknown) => { world.thrown(error) }
  process.on('unhandledRejection', onRejection)
  const random = world.random('run')
  const oracle = createOracle()
  const workload = createWorkload(world, oracle)
  const faults = createFaults(world)
  let core: readonly number[] = []
  let mended = false
  /** A hub that was run twice has sealed one log in two of its own, and the others go by different ones of the two (docs/ledger.md#forks). */
  let sealedTwice = false
  const checked = new Set<PlainCheckpoint>()

  world.onEnded = (slot, process, error) => { operator(world, slot, process, error) }
  world.onOpen = (process) => { scheduler.note(`${process.name} is open`) }
  const mayHurt = (hub: number) => !core.includes(hub)

  function work(): void {
    if (mended) return
    workload.operate()
    scheduler.after(swarm.operationEveryMs * 2 * random.unit(), work)
  }
  function hurt(): void {
    if (mended || core.length > 0) return
    faults.inject(mayHurt)
    scheduler.after(swarm.faultEveryMs * 2 * random.unit(), hurt)
  }
  async function runFor(ms: number, until: () => boolean = () => false): Promise<boolean> {
    const endMs = scheduler.nowMs + ms
    await new Promise((resolve) => setImmediate(resolve))
    while (!until()) {
      if (scheduler.steps > STEPS_MAX) {
        world.violation('too many steps', `${scheduler.steps} steps in ${Math.round(scheduler.nowMs)} ms`)
        return false
      }
      if (!await scheduler.step(endMs)) return until()
      if (scheduler.steps % CHECK_EVERY_STEPS === 0) checkLive()
      if (scheduler.steps % CHECKPOINT_EVERY_STEPS === 0) checkFinal()
    }
    return true
  }

  for (const slot of slots) scheduler.after(random.unit() * 200, () => { world.start(slot) })
  work()
  scheduler.after(500, hurt)
  await runFor(swarm.lengthMs)

  if (swarm.mode === 'liveness') await coreMakesProgress()

  core = []
  mended = true
  scheduler.note('everything is mended')
  faults.healAll()
  let restarts = 0
  for (let unreadable = await converge() ? await judgeAll() : []; unreadable.length > 0; unreadable = await judgeAll()) {
    // What the answer says: start the hub again, and it verifies and fetches what is broken.
    restarts += 1
    if (restarts > 3) world.violation('unreadable after a restart', describe(slots, workload.pending))
    if (restarts > 3) break
    for (const slot of unreadable) world.crash(slot, { power: false, downMs: 100 })
    if (!await converge()) break
  }

  report.steps = scheduler.steps
  report.simulatedMs = scheduler.nowMs
  report.fingerprint = scheduler.fingerprint()
  report.lastNotes = scheduler.lastNotes()
  for (const slot of slots) slot.process?.life.end()
  process.off('unhandledRejection', onRejection)
  report.wallMs = performance.now() - startedMs
  return report

  function checkLive(): void {
    for (const { process } of slots) {
      const state = process?.live?.()
      if (state === undefined) continue
      for (const problem of checkState(state)) world.violation('invariant', `${process!.name}: ${problem}`)
      for (const [name, { log, status }] of state.logs) {
        if (status.is !== 'refused') continue
        if (slots[log.hub]!.forked && hasSealedTwice(slots.map(({ disk }) => disk.image), log.hub)) sealedTwice = true
        else world.violation('log refused', `${process!.name} refuses ${name} from frame ${status.frame} on: ${status.problem}`)
      }
    }
  }

  /** Of every final checkpoint: what its frames rest on is in it. */
  function checkFinal(): void {
    for (const { disk } of slots) {
      const final = finalOn(disk.image)
      if (final === undefined || checked.has(final)) continue
      checked.add(final)
      count(report.sometimes, 'checkpoint final')
      for (const problem of opennessOf(final, slots.map((slot) => slot.disk.image))) world.violation('open checkpoint', problem)
    }
  }

  /** Two hubs whose clocks agree sign what all have. */
  async function awaitFinal(): Promise<void> {
    const clocks = slots.map(({ clock }) => clock.offsetMs).sort((a, b) => a - b)
    if (Math.min(clocks[1]! - clocks[0]!, clocks[2]! - clocks[1]!) > CLOCKS_APART_MS_MAX) return
    const isFinal = () => slots.every(({ disk, process }) => {
      const final = finalOn(disk.image)
      return final !== undefined && process?.ledger !== undefined && hasAll(final, process.ledger.heads())
    })
    if (await runFor(FINAL_MS_MAX, isFinal)) return
    world.violation('no final checkpoint', slots.map(({ disk, process }) => `${JSON.stringify([...finalOn(disk.image)?.frames ?? []])} of ${process?.ledger === undefined ? '' : headsText(process.ledger)}`).join(' | '))
  }

  /** Everything stands still, for longer than anything waits before it is tried again. */
  async function converge(): Promise<boolean> {
    const isStill = () => isQuiet(slots) && workload.pending === 0 && workload.running === 0
    const endMs = scheduler.nowMs + CONVERGE_MS_MAX
    for (;;) {
      const still = await runFor(endMs - scheduler.nowMs, isStill)
      const before = still ? headsText(slots[0]!.process!.ledger!) : ''
      if (!still && slots.some((slot) => slot.forked && slot.process === undefined && isStandIn(slots, slot.index))) {
        count(report.sometimes, 'forked while it stood in for another hub')
        return false
      }
      checkLive()
      if (sealedTwice) {
        count(report.sometimes, 'sealed by both processes of a hub')
        return false
      }
      if (!still) {
        world.violation('no convergence', describe(slots, workload.pending))
        return false
      }
      await runFor(STILL_MS)
      await awaitFinal()
      if (isStill() && headsText(slots[0]!.process!.ledger!) === before) return true
    }
  }

  /** Two hubs are mended, the third one stays as bad as it is: the two must go on. */
  async function coreMakesProgress(): Promise<void> {
    const third = Math.floor(random.unit() * 3)
    core = [0, 1, 2].filter((hub) => hub !== third)
    // A hub's first log needs both others (docs/decisions/0012): one that neither of the two knows to have written waits for the third.
    const hasWritten = (hub: number) => core.some((other) => slots[other]!.process?.ledger?.heads().some((head) => head.hub === hub && head.frames > 0) === true)
    // Nor does one go on whose log has two histories before both others have sealed it.
    if (!core.every(hasWritten) || core.some((hub) => slots[hub]!.forked)) return
    // And one that lost its disk waits for both others to tell what it held.
    if (core.some((hub) => world.isUnrepaired(slots[hub]!))) return
    faults.healAll()
    const bad = random.unit()
    scheduler.note(`healthy core: all but hub${third + 1}`)
    for (const hub of core) {
      if (bad < 0.7) world.network.cut(hub, third, 100)
      else world.network.stall(third, hub, 1e9)
    }
    const slot = slots[third]!
    if (bad < 0.3 && slot.process !== undefined) world.crash(slot, { power: false, downMs: 1e9 })
    const before = workload.done
    const probe = () => {
      if (mended) return
      workload.probe(core[Math.floor(random.unit() * core.length)] ?? 0)
      scheduler.after(1_000, probe)
    }
    probe()
    count(report.sometimes, 'core alone')
    const goesOn = () => core.every((hub) => slots[hub]!.process?.ledger?.writable === true) && workload.done >= before + 3
    if (!await runFor(PROGRESS_MS_MAX + 60 * swarm.operationEveryMs, goesOn)) world.violation('no progress', describe(slots, workload.pending))
  }

  /** Gives the hubs that found a broken frame on their disk when they were asked. */
  async function judgeAll(): Promise<HubSlot[]> {
    const losses = {
      damaged: new Set(slots.filter((slot) => slot.damaged).map(({ index }) => index)), forked: new Set(slots.filter((slot) => slot.forked).map(({ index }) => index)),
    }
    const unreadable: HubSlot[] = []
    // All of this moment first; what takes time asks for this moment too.
    const running = slots.flatMap((slot) => slot.process?.ledger === undefined ? [] : [{ slot, process: slot.process, ledger: slot.process.ledger }])
    const heads = running[0]!.ledger.heads().filter(({ frames }) => frames > 0)
    const ends = new Map(heads.map(({ hub, epoch, frames }) => [`${hub}/${epoch}`, frames]))
    // All have the same logs, so any disk will do that has them whole.
    const entries = running.map(({ slot }) => entriesOf(slot.disk.image, ends)).find((found) => found !== undefined)
    if (entries === undefined) {
      world.violation('no whole copy', describe(slots, 0))
      return []
    }
    const naive = addUp(entries, oracle)
    const views = running.map((view) => ({ ...view, state: view.process.live!(), dump: dumpState(view.process.live!()) }))
    for (const { process } of views) {
      for (const problem of judge(oracle, process, naive, { ...losses, damages: slots.map(({ damages }) => damages), released: swarm.faults.includes('day') })) world.violation('oracle', `${process.name}: ${problem}`)
    }
    if (new Set(views.map(({ dump }) => dump)).size > 1) world.violation('states differ', differences(views.map(({ dump }) => dump)))
    countSometimes(report.sometimes, entries, naive, views[0]!.state, slots.map(({ disk }) => disk.image))

    const roots: string[] = []
    for (const { slot, process, ledger } of views) {
      try {
        // Reads may take simulated time: they go on while the events run.
        for (const problem of await whileRunning(judgeReceipts(oracle, ledger, losses))) world.violation('oracle', `${process.name}: ${problem}`)
        const audit = await whileRunning(ledger.audit({ heads }))
        for (const problem of audit.problems) world.violation('audit', `${process.name}: ${problem}`)
        const final = finalOn(slot.disk.image)
        if (final !== undefined && hasAll(final, heads) && final.root !== toHex(audit.root)) world.violation('audit', `${process.name}: the final checkpoint says ${final.root}, the audit ${toHex(audit.root)}`)
        roots.push(`${toHex(audit.root)} ${JSON.stringify(audit.totals, (_, value: unknown) => typeof value === 'bigint' ? String(value) : value)}`)
      } catch (error) {
        if (toTriforceError(error).code !== 'LOG_DAMAGED' || !slot.damaged) throw error
        unreadable.push(slot)
      }
    }
    if (new Set(roots).size > 1) world.violation('roots differ', roots.join(' | '))
    if (unreadable.length > 0) count(report.sometimes, 'broken frame found at read')
    return unreadable
  }

  async function whileRunning<Value>(promise: Promise<Value>): Promise<Value> {
    let result: { readonly value: Value } | undefined
    let failed: { readonly error: unknown } | undefined
    promise.then((value) => { result = { value } }, (error: unknown) => { failed = { error } })
    await runFor(10_000, () => result !== undefined || failed !== undefined)
    if (result === undefined) throw failed?.error ?? new Error('a read of the ledger does not end')
    return result.value
  }
}

/** What the people who run a hub do when its process has ended. */
function operator(world: SimWorld, slot: HubSlot, process: SimProcess, error: TriforceError): void {
  const { scheduler } = world
  const isOurFault = String(error.cause).includes('the disk of the simulator failed')
  const isForked = error.code === 'LOG_FORKED' && slot.forked
  if (error.code !== 'LOG_DAMAGED' && !isOurFault && !isForked) world.violation('process ended', `${process.name}: ${error.code} ${error.message}${placeOf(error.cause)}`)
  if (process.name.endsWith("'")) return
  if (isForked) {
    count(world.report.sometimes, 'fork stopped a hub')
    world.stopTwin(slot)
    // It says so itself: where only the key is in use twice, it is started again at once; where its log has two histories, after a seal.
    if (!error.message.includes('in use twice')) {
      sealForked(world, slot)
      return
    }
  }
  const neverOpened = process.ledger === undefined && error.message.includes('is damaged on this disk')
  const again = () => {
    if (slot.process !== undefined || slot.retired) return
    // It says so itself: move the folder aside and start with an empty one; the others have what was replicated.
    if (neverOpened && world.mayDamage(slot)) {
      scheduler.note(`hub${slot.index + 1} is started with an empty disk`)
      count(world.report.sometimes, 'damaged log moved aside')
      putBack(world, slot, undefined)
      world.start(slot)
    } else if (neverOpened) {
      scheduler.after(1_000, again)
    } else {
      world.start(slot)
    }
  }
  scheduler.after(300, again)
}

/** It says so itself: the admins of the others seal its log, then it is started again. */
function sealForked(world: SimWorld, slot: HubSlot): void {
  const { scheduler } = world
  const others = world.slots.filter((other) => other !== slot)
  const isSealed = (state: LedgerState) => {
    const logs = [...state.logs.values()].filter(({ log }) => log.hub === slot.index).sort((a, b) => b.log.epoch - a.log.epoch)
    return logs[0]?.status.is === 'sealed'
  }
  if (slot.process !== undefined) return
  if (others.some(({ process }) => process?.ledger !== undefined && isSealed(process.live!()))) {
    scheduler.note(`hub${slot.index + 1} is sealed and started again`)
    count(world.report.sometimes, 'forked log sealed')
    world.start(slot)
    return
  }
  for (const { process } of others) {
    const given = new AbortController()
    process?.ledger?.seal(slot.index, { forced: true, signal: given.signal }).catch(() => {})
    scheduler.after(4_000, () => { given.abort(new Error('asked again')) })
  }
  scheduler.after(4_500, () => { sealForked(world, slot) })
}

/**
 * The one state from which the federation does not come back by itself: two hubs at fault at once. A hub was run twice while
 * another one's log was sealed, and it is the successor: it cannot hand back, and its own log cannot be sealed before that.
 */
function isStandIn(slots: readonly HubSlot[], hub: number): boolean {
  // The seal is signed by both others before it stands in the successor's log, which may have come to its end in between.
  const signed = new Set(slots.flatMap(({ disk }) => sealsOn(disk.image)))
  return slots.some(({ process }) => {
    const state = process?.live?.()
    if (state === undefined) return false
    const status = state.outstandingSeal === undefined ? undefined : state.logs.get(state.outstandingSeal)?.status
    if (status?.is === 'sealed') return status.successor.startsWith(`${hub}/`)
    return [...signed].some((name) => state.logs.get(name)?.status.is === 'live' && (Number(name.split('/')[0]) + 1) % slots.length === hub)
  })
}

/** Message and place of an error inside. */
function placeOf(cause: unknown): string {
  return cause instanceof Error ? ` ${(cause.stack ?? '').split('\n').slice(0, 4).map((line) => line.trim().replace(/file:.*\//, '')).join(' ')}` : ''
}

function headsText(ledger: HubLedger): string {
  return ledger.heads().filter(({ frames }) => frames > 0).map(({ hub, epoch, frames, hash }) => `${hub}/${epoch}:${frames}:${toHex(hash).slice(0, 8)}`).join(' ')
}

/** All run, all may write, and all have the same logs. */
function isQuiet(slots: readonly HubSlot[]): boolean {
  const ledgers = slots.map(({ process }) => process?.ledger)
  if (ledgers.some((ledger) => ledger?.writable !== true)) return false
  if (slots.some(({ process }) => !isFolded(process!) || process!.live!().outstandingSeal !== undefined)) return false
  const first = headsText(ledgers[0]!)
  return ledgers.every((ledger) => headsText(ledger!) === first)
}

/** Is all that is on the disk in the state, and the other way round? */
function isFolded({ ledger, live }: SimProcess): boolean {
  const heads = new Map(ledger!.heads().map(({ hub, epoch, frames }) => [`${hub}/${epoch}`, frames]))
  const { logs } = live!()
  const names = new Set([...heads.keys(), ...logs.keys()])
  return [...names].every((name) => (logs.get(name)?.frame ?? 0) === (heads.get(name) ?? 0) || logs.get(name)?.status.is === 'refused')
}

function describe(slots: readonly HubSlot[], pending: number): string {
  const hubs = slots.map(({ process, index }) => {
    const ledger = process?.ledger
    const behind = process === undefined || ledger === undefined ? '' : `${isFolded(process) ? '' : ' not all folded'}${process.live!().outstandingSeal === undefined ? '' : ` sealed ${process.live!().outstandingSeal}`}`
    return `hub${index + 1} ${process === undefined ? 'down' : ledger === undefined ? 'starting' : ledger.writable ? 'writes' : 'read-only'} [${ledger === undefined ? '' : headsText(ledger)}${behind}]`
  })
  return `${hubs.join('; ')}; ${pending} answers awaited`
}

/** Lines of the first two dumps that are not alike. */
function differences(dumps: readonly string[]): string {
  const [first, other] = [...new Set(dumps)].map((dump) => new Set(dump.split('\n')))
  const lines = [...[...first!].filter((line) => !other!.has(line)).map((line) => `- ${line}`), ...[...other!].filter((line) => !first!.has(line)).map((line) => `+ ${line}`)]
  return lines.slice(0, 6).map((line) => line.slice(0, 500)).join('\n')
}
