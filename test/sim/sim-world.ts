/**
 * Three hubs with their disks, clocks and the network between them, and what can be done to them: start, kill, pause,
 * damage, put back. It also keeps the fault atlas: of everything that two disks have held, damage always leaves one whole
 * copy on another hub, so a loss of it is a bug and never bad luck.
 */
import type { LedgerOptions } from '../../ledger/ledger.ts'
import { framePositionOf } from '../../ledger/store/buckets.ts'
import type { TriforceError } from '../../protocol/errors.ts'
import type { Random } from '../../protocol/ports.ts'
import type { TestFederation } from '../support/federation.ts'
import { seededRandom } from '../support/seeded-random.ts'
import { sentTooEarly } from './author-first.ts'
import { copyImage, createSimDisk, emptyImage, keyBytes, placeOf, putRow, spoiltValues, type DiskImage, type SimDisk } from './sim-disk.ts'
import { startProcess, type SimClock, type SimProcess } from './sim-hub.ts'
import { createSimNetwork, type SimNetwork } from './sim-network.ts'
import { count, type SeedReport } from './sim-report.ts'
import { createScheduler, type Scheduler } from './sim-scheduler.ts'
import type { Swarm } from './swarm.ts'
import { simFederation } from './sim-federation.ts'

export interface HubSlot {
  readonly index: number
  disk: SimDisk
  readonly clock: SimClock
  process: SimProcess | undefined
  /** A second process with this hub's key, on an older copy of its disk. */
  twin: SimProcess | undefined
  starts: number
  /** The operator keeps it down. */
  retired: boolean
  /** Its disk lost something in this run: what only this hub had acknowledged may be gone. */
  damaged: boolean
  /** ... so often. */
  damages: number
  /** Two processes have written with its key. */
  forked: boolean
  /** Its disk lost something and has not got it back. */
  unrepaired: boolean
}

export interface SimWorld {
  readonly seed: number
  readonly swarm: Swarm
  readonly federation: TestFederation
  readonly scheduler: Scheduler
  readonly network: SimNetwork
  readonly slots: readonly HubSlot[]
  readonly report: SeedReport
  /** Clients prefer this hub, whatever its network. */
  favourite: number | undefined
  /** A stream of random numbers of its own for each purpose, so that one more draw here changes nothing there. */
  random(purpose: string): Random
  violation(check: string, detail: string): void
  /** Nobody caught this. */
  thrown(error: unknown): void
  start(slot: HubSlot): void
  /** `power`: what was not synced may be gone too. */
  crash(slot: HubSlot, options: { readonly power: boolean; readonly downMs: number }): void
  /** Stops it for good, for the operator. */
  stop(process: SimProcess): void
  startTwin(slot: HubSlot, image: DiskImage): void
  stopTwin(slot: HubSlot): void
  /** May this hub's disk lose something now? `all`: both others must have all of it, not only one of them. */
  mayDamage(slot: HubSlot, all?: boolean): boolean
  /** Has every disk heard of a log of every hub? Before that nobody could tell a hub's first log from another one. */
  hasBegun(): boolean
  noteDamage(slot: HubSlot, key?: string): void
  /** Has its disk lost something and not got all of it back yet? */
  isUnrepaired(slot: HubSlot): boolean
  /** Ended by an error, by hub. Set by the run. */
  onEnded: (slot: HubSlot, process: SimProcess, error: TriforceError) => void
  onOpen: (process: SimProcess) => void
}

function hashText(seed: number, text: string): number {
  let hash = seed ^ 0x5bd1e995
  for (let place = 0; place < text.length; place += 1) hash = Math.imul(hash ^ text.charCodeAt(place), 0x01000193)
  return (hash ^ (hash >>> 15)) >>> 0
}

export function createWorld(seed: number, swarm: Swarm, report: SeedReport, keepNotes: number): SimWorld {
  const scheduler = createScheduler({ keepNotes, onThrown: (error) => { world.thrown(error) } })
  const federation = simFederation()
  const random = (purpose: string) => seededRandom(hashText(seed, purpose))
  const network = createSimNetwork({
    scheduler, random: random('network'),
    onBlamed: (at, from, error) => {
      if (!swarm.faults.includes('fork')) world.violation('honest peer blamed', `${at.name} says of hub${from + 1}: ${String(error)} ${JSON.stringify((error as TriforceError).context)}`)
    },
  }, swarm.network)
  const newDisk = (name: string) => createSimDisk({ scheduler, random: random(`disk ${name}`) }, swarm.disk)
  const slots: HubSlot[] = [0, 1, 2].map((index) => ({
    index, disk: newDisk(`hub${index + 1}`), clock: { offsetMs: swarm.skewMs[index]! }, process: undefined, twin: undefined, starts: 0, retired: false, damaged: false, damages: 0, unrepaired: false, forked: false,
  }))
  /** Frames of each log that two disks have held at once, and stored frames that damage has broken. */
  const owed = new Map<string, number>()
  const broken = new Map<number, Map<string, Uint8Array | undefined>>()

  const options: Partial<LedgerOptions> = swarm.ledger

  function launch(slot: HubSlot, name: string, disk: SimDisk): SimProcess {
    slot.starts += 1
    return startProcess({
      world: federation, startMs: swarm.startMs, scheduler, random: random(`${name} ${slot.starts}`), clock: slot.clock, disk, hub: slot.index, name, options,
      onOpen: (process) => {
        network.up(process)
        world.onOpen(process)
      },
      onLogged: (text) => {
        if (text.includes('it is fetched again')) count(report.sometimes, 'damaged copy fetched again')
        if (text.includes('was broken on this disk; it is taken')) count(report.sometimes, 'broken frame repaired while running')
        if (text.includes('disk has lost; writing stops')) count(report.sometimes, 'old disk noticed while running')
      },
      onEnded: (process, error) => {
        scheduler.note(`${process.name} ended: ${error.code}`)
        end(process, 500, false)
        world.onEnded(slot, process, error)
      },
    })
  }

  function end(process: SimProcess, noticedMs: number, power: boolean): void {
    const slot = slots[process.hub]!
    if (slot.twin === process) noteOwed()
    process.life.end()
    process.ledger = undefined
    process.live = undefined
    process.disk.crashed(power)
    network.down(process, noticedMs)
    if (slot.process === process) slot.process = undefined
    if (slot.twin === process) slot.twin = undefined
  }

  /** Whole frames of each log on a disk, from the first one on. */
  function headsOf({ disk, index }: Pick<HubSlot, 'disk' | 'index'>): Map<string, number> {
    const heads = new Map<string, number>()
    const bad = broken.get(index)
    const { keys, rows } = disk.image
    for (let place = placeOf(keys, '\u0002'); place < keys.length && keys[place]!.startsWith('\u0002'); place += 1) {
      const key = keys[place]!
      if (bad?.has(key) === true && bad.get(key) === rows.get(key)) continue
      const { log, no } = framePositionOf(keyBytes(key))
      const name = `${log.hub}/${log.epoch}`
      if ((heads.get(name) ?? 0) === no - 1) heads.set(name, no)
    }
    return heads
  }

  /** What two disks have held stays owed. So does what one of them was the disk of a second process with a hub's key, which is thrown away with that process. */
  function noteOwed(): Map<string, number>[] {
    const heads = slots.map(headsOf)
    // Of that hub's own logs there are two histories then, and its number says nothing of which.
    const copies = slots.flatMap(({ index, twin }) => twin === undefined ? [] : [new Map([...headsOf({ index, disk: twin.disk })].filter(([name]) => !name.startsWith(`${index}/`)))])
    const all = [...heads, ...copies]
    for (const name of new Set(all.flatMap((head) => [...head.keys()]))) {
      const second = all.map((head) => head.get(name) ?? 0).sort((a, b) => b - a)[1]!
      owed.set(name, Math.max(owed.get(name) ?? 0, second))
    }
    return heads
  }

  const knowsAll = (heads: ReadonlyMap<string, number>) => new Set([...heads.keys()].map((name) => name.split('/')[0])).size === 3

  const world: SimWorld = {
    seed, swarm, federation, scheduler, network, slots, report, random, favourite: undefined,
    onEnded: () => {},
    onOpen: () => {},
    violation(check, detail) {
      if (report.violations.length < 10) report.violations.push({ check, detail })
      scheduler.note(`VIOLATION ${check}: ${detail}`)
    },
    thrown(error) {
      world.violation('uncaught', error instanceof Error ? (error.stack ?? error.message).replace(/file:\S*\//g, '').split('\n').slice(0, 12).join(' ') : String(error))
    },
    start(slot) {
      if (slot.process !== undefined || slot.retired) return
      if (!slot.damaged && !slot.forked) for (const problem of sentTooEarly(slots, slot)) world.violation('sent before it was synced', problem)
      slot.process = launch(slot, `hub${slot.index + 1}`, slot.disk)
    },
    crash(slot, { power, downMs }) {
      const { process } = slot
      if (process === undefined) return
      scheduler.note(`${process.name} ${power ? 'loses power' : 'is killed'} for ${downMs.toFixed(0)} ms`)
      end(process, power ? 10_000 : 50, power)
      scheduler.after(downMs, () => { world.start(slot) })
    },
    stop(process) {
      scheduler.note(`${process.name} is stopped`)
      end(process, 50, false)
    },
    startTwin(slot, image) {
      if (slot.twin !== undefined) return
      slot.forked = true
      const disk = newDisk(`twin${slot.index + 1}`)
      disk.image = copyImage(image)
      slot.twin = launch(slot, `hub${slot.index + 1}'`, disk)
    },
    stopTwin(slot) {
      if (slot.twin !== undefined) world.stop(slot.twin)
    },
    isUnrepaired(slot) {
      // As a side effect it looks again.
      world.mayDamage(slot)
      return slot.unrepaired
    },
    mayDamage(slot, all = false) {
      const heads = noteOwed()
      // The federation begins with whole disks.
      if (!heads.every(knowsAll)) return false
      const isWhole = (index: number) => [...owed].every(([name, no]) => (heads[index]!.get(name) ?? 0) >= no)
      const others = slots.filter((other) => other !== slot)
      // One disk at a time: the next one breaks only when the last one is whole again.
      for (const other of slots) if (other.unrepaired && other.process?.ledger?.writable === true && isWhole(other.index)) other.unrepaired = false
      if (others.some(({ unrepaired }) => unrepaired)) return false
      return all ? others.every(({ index }) => isWhole(index)) : others.some(({ index }) => isWhole(index))
    },
    hasBegun: () => slots.map(headsOf).every(knowsAll),
    noteDamage(slot, key) {
      slot.damaged = true
      slot.damages += 1
      slot.unrepaired = true
      if (key === undefined) return
      const bad = broken.get(slot.index) ?? new Map<string, Uint8Array | undefined>()
      bad.set(key, slot.disk.image.rows.get(key))
      broken.set(slot.index, bad)
    },
  }
  return world
}

/** Damages of a disk at rest. Each gives a few words on what it did, undefined where there is nothing to damage. */
export function damageRow(world: SimWorld, slot: HubSlot, random: Random, how: 'flip' | 'tear' | 'remove'): string | undefined {
  const { image } = slot.disk
  const from = placeOf(image.keys, '\u0002')
  if (from >= image.keys.length) return undefined
  // Half of the time a frame, else any row.
  const to = random.unit() < 0.5 ? placeOf(image.keys, '\u0003') : image.keys.length
  const key = image.keys[from + Math.floor(random.unit() * (to - from))]
  const value = key === undefined ? undefined : image.rows.get(key)
  if (key === undefined || value === undefined || value.byteLength === 0) return undefined
  if (how === 'remove') putRow(image, key, undefined)
  if (how === 'tear') putRow(image, key, value.slice(0, Math.floor(random.unit() * value.byteLength)))
  if (how === 'flip') {
    const flipped = value.slice()
    const place = Math.floor(random.unit() * flipped.byteLength)
    flipped[place] = flipped[place]! ^ (1 << Math.floor(random.unit() * 8))
    spoiltValues.add(flipped)
    putRow(image, key, flipped)
  }
  world.noteDamage(slot, key)
  count(world.report.faults, `row ${how}`)
  return `${how} of a row of kind ${key.charCodeAt(0)}`
}

export function putBack(world: SimWorld, slot: HubSlot, image: DiskImage | undefined): void {
  slot.disk.loseTail(0)
  slot.disk.image = image === undefined ? emptyImage() : copyImage(image)
  world.noteDamage(slot)
}
