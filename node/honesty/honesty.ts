/**
 * The checks of a hub: watches the jobs that go through it, asks machines questions that look like any job, compares, and
 * keeps how each machine stands. What follows from it: who gets jobs, who is paid, what is told.
 */
import type { HubLedger } from '../../ledger/interface.ts'
import { fromHex, toHex } from '../../protocol/bytes.ts'
import { TriforceError } from '../../protocol/errors.ts'
import type { CheckLabel } from '../../protocol/messages/capacity.ts'
import type { CheckEnd } from '../../protocol/messages/checks.ts'
import type { CheckState } from '../../protocol/messages/contributor.ts'
import { peerIdOf, publicKeyOf } from '../../protocol/peer-key.ts'
import type { Clock, Log, Random } from '../../protocol/ports.ts'
import type { CapacityRow, CapacityTable } from '../capacity/table.ts'
import { devicesOf } from '../capacity/devices.ts'
import { mayBeSeenBy } from '../jobs/router.ts'
import { createCheckSchedule, type ScheduleOptions } from './check-schedule.ts'
import { runCheck, type CheckOrder, type CheckRunComponents, type WitnessHost } from './check-run.ts'
import type { DrawBook } from './draw-book.ts'
import type { Outcome } from './evidence.ts'
import { createHouse } from './house.ts'
import type { Incidents, IncidentsOptions } from './incidents.ts'
import { watchAnswers, type EndedJob, type JobWatch, type WatchedHost, type WatchedOrder } from './job-watch.ts'
import { hasSpeedToShow, outcomesOf, timingOf } from './job-outcomes.ts'
import { createOwnPrompts } from './own-prompts.ts'
import { isComparable, probeRequest } from './prompts.ts'
import { createQuietTurns, type QuietTurnsOptions } from './quiet-turns.ts'
import { createReplays } from './replays.ts'
import { createShapes } from './shapes.ts'
import { againFrom, BASE_RATE, checkRateOf, isReference, type Standing } from './standing.ts'
import type { Standings } from './standings.ts'
import { createTimedQuestions } from './timed-questions.ts'
import { checkStateOf } from './words.ts'

export interface HonestyComponents {
  readonly standings: Standings
  readonly book: DrawBook
  readonly incidents: Incidents
  readonly table: Pick<CapacityTable, 'fresh' | 'get' | 'onChange'>
  readonly ledger: Pick<HubLedger, 'apiKey' | 'earningRate' | 'lending'>
  readonly isConnected: (peer: string) => boolean
  readonly isSelf: (peer: string) => boolean
  /** No other hub can be reached. */
  readonly isAlone: () => boolean
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
}

export interface HonestyOptions extends ScheduleOptions, QuietTurnsOptions {
  /** Asks questions of its own; else it only watches. */
  readonly asks: boolean
  /** Checks at once. Default 4. */
  readonly checksMax?: number
  /** How often it is looked what is due. Default 1 s. */
  readonly lookMs?: number
  /** Slow answers of a machine that was quick before count once in this time. Default 2 minutes. */
  readonly spellMs?: number
  /** A machine is paid only once it has passed. Default: where checks are made, but in a local federation. */
  readonly mustPass?: boolean
  /** When this hub is not well itself. */
  readonly incidents?: IncidentsOptions
}

/** For who administers the hub. */
export interface ChecksAdmin {
  machines(): readonly CheckedMachine[]
  totals(): { readonly ends: Readonly<Record<CheckEnd, number>>; readonly incidents: Incidents['counts'] }
  /** Has one that failed checked again. Throws NOT_FOUND where it has not failed, FORBIDDEN where it must wait; an admin's `force` waits for nothing. */
  again(node: Uint8Array, options: { readonly force: boolean }): void
}

export interface CheckedMachine {
  readonly peer: string
  readonly standing: Standing
  readonly elsewhere: 'failed' | 'passed' | undefined
  readonly text: string
}

export interface Honesty extends JobWatch, ChecksAdmin {
  checkOf(node: Uint8Array): CheckState
  /** True where this account's jobs do not go to that peer. Checks themselves do; without an account: those of nobody else. */
  distrusts(peer: string, account?: Uint8Array): boolean
  /** Of `total` places of a peer those that ordinary jobs of this hub may take: fewer while a question is timed there, or is yet to be. */
  placesAt(peer: string, total: number): number
  /** Begins to ask. */
  start(run: CheckRunComponents['run']): void
  stop(): void
}

/** Ordinary jobs that wait to be asked again elsewhere. */
const JOBS_WAITING_MAX = 64
/** Part of the checks that ask what somebody really asked, where somebody has allowed it. */
const OWN_PART = 0.5
/** Jobs that may be asked again cost the machine nothing when they are checked, so more of them are. */
const AGAIN_RATE_TIMES = 2

export function createHonesty(components: HonestyComponents, options: HonestyOptions): Honesty {
  const { standings, book, incidents, table, ledger, isConnected, isSelf, clock, random } = components
  const log = components.log.child('checks')
  const { asks, checksMax = 4, lookMs = 1_000 } = options
  const house = createHouse({ random })
  const shapes = createShapes({ random })
  const own = createOwnPrompts({ clock, random })
  const replays = createReplays()
  const schedule = createCheckSchedule({ clock, random }, options)
  const turns = createQuietTurns({ table, clock }, options)
  const timed = createTimedQuestions({ standings, schedule, turns, clock })
  const waiting: EndedJob[] = []
  /** Machines that a check asks now: a second one would slow down the first. */
  const asked = new Set<string>()
  /** Peers that failed: nearly always none, and looked at for each host of each placement. */
  const barred = new Set(standings.known().filter((contributor) => isBarred(standings.of(contributor))).map(peerOf))
  const counts: Record<CheckEnd, number> = { good: 0, bad: 0, unknown: 0, void: 0, left: 0 }
  let running = 0
  let run: CheckRunComponents['run'] | undefined
  let cancel = (): void => {}

  const begin = watchAnswers({ clock }, {
    keepsText: (request, order) => asks && (house.has(order.account) || (allowsChecks(order) && isComparable(request))),
    onEnded,
  })

  function onEnded(job: EndedJob): void {
    const contributor = toHex(job.host.capacity.peer)
    const isHouse = house.has(job.order.account)
    const sight = { classes: classesOf(job.host), streams: isHouse ? turns.streams(job.host.peer) : undefined }
    const outcomes = outcomesOf(job, sight)
    const speed = outcomes.find(({ kind }) => kind === 'speed')
    if (speed !== undefined) incidents.checked(contributor, speed.bad && wasQuick(standings.of(contributor)))
    const timing = timingOf(job, sight)
    // A witness was asked without waiting for a quiet moment.
    if (!incidents.touches(job.beganMs)) timed.judge(contributor, outcomes, timing === 'busy' && !asked.has(contributor) ? undefined : timing)
    if (isHouse) {
      // Other hubs cannot tell these from ordinary jobs.
      if (book.draw(job.jobId, job.host.capacity.peer, 1)) book.ended(job.jobId, 'good')
      return
    }
    if (!asks) return
    shapes.saw(job.request, job.order.tier)
    const mayAsk = job.text !== undefined
    if (mayAsk) own.add(job.request)
    const rate = Math.max(BASE_RATE, rateOf(contributor))
    if (!book.draw(job.jobId, job.host.capacity.peer, mayAsk ? Math.min(1, rate * AGAIN_RATE_TIMES) : rate)) return
    if (isBarred(standings.of(contributor))) return
    if (mayAsk && waiting.length < JOBS_WAITING_MAX) waiting.push(job)
    else schedule.drawn(contributor, job.jobId)
  }

  /** What another hub found makes this one look as if it had found it itself. */
  function rateOf(contributor: string): number {
    const rate = checkRateOf(standings.of(contributor))
    return rate > 0 && standings.othersSay(contributor) === 'failed' ? 1 : rate
  }

  function classesOf({ capacity }: Pick<WatchedHost, 'capacity'>): readonly string[] {
    return devicesOf(capacity.gpus).flatMap(({ name, vramBytes }) => ledger.earningRate(vramBytes === 0 ? undefined : { name, vramBytes }, ANY_TIER)?.class ?? [])
  }

  const stateOf = (contributor: string): CheckState => checkStateOf(standings.of(contributor), { elsewhere: standings.othersSay(contributor), nowMs: clock.now(), asks })

  const ownerOf = (node: Uint8Array): string => {
    const account = ledger.apiKey(node)?.account
    return account === undefined ? `nobody ${toHex(node)}` : toHex(account)
  }

  function isTrusted(node: Uint8Array): boolean {
    const account = ledger.apiKey(node)?.account
    return account !== undefined && isReference(standings.of(toHex(node))) && ledger.lending(account)?.probation.active === false
  }

  function look(): void {
    cancel = clock.after(lookMs, look)
    incidents.alone(components.isAlone())
    const present = new Map<string, CapacityRow>()
    for (const row of table.fresh()) {
      if (row.capacity.mode === 'hub' || row.capacity.draining || !isConnected(row.peer) || modelsOf(row).length === 0) continue
      const contributor = toHex(row.capacity.peer)
      present.set(contributor, row)
      if (!asked.has(contributor)) schedule.present(contributor, standings.of(contributor))
    }
    while (running < checksMax && waiting.length > 0) start(checkAgain(waiting.shift()!))
    for (const { contributor, jobIds } of schedule.due(checksMax - running, (key) => present.has(key) && !asked.has(key) && turns.ready(present.get(key)!.peer))) start(checkNow(present.get(contributor)!, contributor, jobIds))
  }

  function start(check: Promise<void>): void {
    running += 1
    check.catch((reason: unknown) => log.warn('a check broke', { cause: String(reason) })).finally(() => {
      running -= 1
    })
  }

  async function checkNow(row: CapacityRow, contributor: string, jobIds: readonly Uint8Array[]): Promise<void> {
    const models = modelsOf(row)
    const model = models[Math.floor(random.unit() * models.length)]!
    const shape = shapes.next()
    const request = (random.unit() < OWN_PART ? own.next(model.id) : undefined) ?? probeRequest(model.id, shape, random)
    await check(contributor, { ...orderFor(row, model), request, tier: shape.tier, comparable: isComparable(request) }, jobIds)
  }

  async function checkAgain({ host, model, request, order, jobId, text, tokens }: EndedJob): Promise<void> {
    const contributor = toHex(host.capacity.peer)
    await check(contributor, { ...orderFor(host, model), request, tier: order.tier, comparable: true, answered: { text: text ?? '', tokens } }, [jobId])
  }

  function orderFor({ peer, capacity }: Pick<WatchedHost, 'peer' | 'capacity'>, model: { readonly id: string; readonly digest: string }): Pick<CheckOrder, 'peer' | 'trusted' | 'account' | 'witnesses'> {
    const account = ownerOf(capacity.peer)
    const witnesses = table.fresh().filter((row) => row.peer !== peer && !row.capacity.draining && (isSelf(row.peer) || isConnected(row.peer))
      && row.capacity.models.some(({ id, digest }) => id === model.id && digest === model.digest)).flatMap((row): (WitnessHost & { readonly order: number })[] => {
      const isOwn = isSelf(row.peer)
      const trusted = isOwn || isTrusted(row.capacity.peer)
      const witness = { peer: row.peer, own: isOwn, trusted, account: ownerOf(row.capacity.peer), order: (isOwn ? 2 : trusted ? 1 : 0) + random.unit() }
      const { state } = standings.of(toHex(row.capacity.peer))
      return isOwn || (witness.account !== account && state !== 'failed' && state !== 'again') ? [witness] : []
    })
    return { peer, account, trusted: isTrusted(capacity.peer), witnesses: witnesses.sort((a, b) => b.order - a.order).slice(0, WITNESSES_MAX) }
  }

  async function check(contributor: string, order: CheckOrder, jobIds: readonly Uint8Array[]): Promise<void> {
    const beganMs = clock.monotonicMs()
    asked.add(contributor)
    if (order.answered === undefined) turns.hold(order.peer)
    const result = await runCheck({ run: run!, house, turns, clock, log }, order).finally(() => asked.delete(contributor))
    const isVoid = incidents.touches(beganMs)
    // One that takes no question shows no speed either.
    if (!isVoid && result.said === undefined && isConnected(order.peer) && mustShow(contributor)) timed.judge(contributor, [], 'busy')
    const end = isVoid ? 'void' : result.said === undefined ? 'left' : judge(contributor, order, result)
    counts[end] += 1
    for (const jobId of jobIds) book.ended(jobId, end)
    if (!isVoid) for (const peer of result.agreed) if (!isSelf(peer)) standings.judge(toHex(publicKeyOf(peer)!), [{ kind: 'answer', bad: false }], { isCheck: false })
  }

  function judge(contributor: string, { request }: CheckOrder, { answer, count, said }: Awaited<ReturnType<typeof runCheck>>): CheckEnd {
    const replay = said === undefined ? 'unknown' : replays.look(contributor, request.messages, said.text)
    const isReplayed = replay === 'replayed' && answer !== 'good'
    const outcomes: Outcome[] = replay === 'unknown' ? [] : [{ kind: 'replay', bad: isReplayed }]
    if (answer !== 'unknown' && !isReplayed) outcomes.push({ kind: 'answer', bad: answer === 'bad' })
    if (count !== 'unknown') outcomes.push({ kind: 'count', bad: count === 'bad' })
    standings.judge(contributor, outcomes, { isCheck: true, mustShow: mustShow(contributor) })
    return outcomes.some(({ bad }) => bad) ? 'bad' : outcomes.length === 0 ? 'unknown' : 'good'
  }

  function mustShow(contributor: string): boolean {
    const row = table.get(peerOf(contributor))
    return row === undefined || hasSpeedToShow(row, modelsOf(row), classesOf(row))
  }

  standings.onDecided((contributor, standing) => {
    if (isBarred(standing)) barred.add(peerOf(contributor))
    else barred.delete(peerOf(contributor))
  })

  return {
    begin,
    totals: () => ({ ends: { ...counts }, incidents: { ...incidents.counts } }),
    machines: () => standings.known().map((contributor) => ({
      peer: peerOf(contributor), standing: standings.of(contributor), elsewhere: standings.othersSay(contributor), text: stateOf(contributor).text,
    })),
    cleared(jobId, node) {
      const contributor = toHex(node)
      if (asks && book.draw(jobId, node, Math.max(BASE_RATE, rateOf(contributor))) && !isBarred(standings.of(contributor))) schedule.drawn(contributor, jobId)
    },
    pays: (contributor) => !isBarred(standings.of(toHex(contributor))),
    labelOf: ({ capacity, isHub }): CheckLabel => isHub ? 'hub' : labels[standings.of(toHex(capacity.peer)).state],
    checkOf: (node) => stateOf(toHex(node)),
    distrusts: (peer, account) => barred.size > 0 && barred.has(peer) && (account === undefined || !house.has(account)),
    placesAt: timed.placesAt,
    again(node, { force }) {
      const standing = standings.of(toHex(node))
      if (standing.state !== 'failed') throw new TriforceError('NOT_FOUND', {}, { detail: 'this machine has not failed its checks at this hub' })
      const waitMs = againFrom(standing) - clock.now()
      if (!force && waitMs > 0) throw new TriforceError('FORBIDDEN', {}, { retryAfterMs: waitMs, detail: `it can be checked again in ${Math.ceil(waitMs / 60_000)} minutes; a hub's admin can have it done at once` })
      standings.again(toHex(node))
      log.info('a machine is checked again', { peer: peerIdOf(node), forced: force })
    },
    start(given) {
      run = given
      if (asks) cancel = clock.after(lookMs, look)
    },
    stop() {
      cancel()
      incidents.stop()
    },
  }
}

const WITNESSES_MAX = 4
/** Classes are the same in every tier. */
const ANY_TIER = 'free'

const labels = { new: 'claimed', passed: 'passed', failed: 'failed', again: 'running' } as const satisfies Record<Standing['state'], CheckLabel>

const peerOf = (contributor: string): string => peerIdOf(fromHex(contributor)!)

function isBarred({ state }: Standing): boolean {
  return state === 'failed' || state === 'again'
}

/** It reached its floor before, mostly. */
function wasQuick({ tallies: { speed } }: Standing): boolean {
  return speed.good > speed.bad
}

/** Models that can be asked something; those that are loaded, where there are some. */
function modelsOf({ capacity }: CapacityRow) {
  const chat = capacity.models.filter(({ capabilities }) => capabilities.includes('chat'))
  const loaded = chat.filter((model) => model.loaded)
  return loaded.length > 0 ? loaded : chat
}

/** Whoever may see it at most is anybody. */
function allowsChecks({ routing, privacy = 'cloud' }: WatchedOrder): boolean {
  return routing?.checks === true && mayBeSeenBy('any', privacy) && mayBeSeenBy('any', routing.privacy ?? 'cloud')
}
