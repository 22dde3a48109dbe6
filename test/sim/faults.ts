/** What goes wrong: one fault at a time is drawn from those that are on in this run, and most of them end by themselves. */
import type { Random } from '../../protocol/ports.ts'
import { copyImage, type DiskImage } from './sim-disk.ts'
import { count } from './sim-report.ts'
import { damageRow, putBack, type HubSlot, type SimWorld } from './sim-world.ts'
import type { FaultKind } from './swarm.ts'

export interface Faults {
  /** One fault, now; only against hubs for which `may` is true. */
  inject(may: (hub: number) => boolean): void
  /** Ends everything that goes on, starts every hub, mends the network. */
  healAll(): void
}

const pairs = [[0, 1], [0, 2], [1, 2]] as const

export function createFaults(world: SimWorld): Faults {
  const { scheduler, network, slots, swarm, report } = world
  const random: Random = world.random('faults')
  const between = (min: number, max: number) => min + random.unit() * (max - min)
  const pick = <Item>(items: readonly Item[]): Item => items[Math.floor(random.unit() * items.length)]!
  /** Short most of the time, long now and then. */
  const duration = () => random.unit() < 0.75 ? between(20, 1_500) : between(1_500, 9_000)
  /** Older images of the disks, to be put back. */
  const images = new Map<number, DiskImage[]>()
  const kinds = swarm.faults
  const putsBack = kinds.some((kind) => kind === 'rollback' || kind === 'fork')
  /** What was begun against a hub is not ended where it became healthy for good meanwhile. */
  let allowed: (hub: number) => boolean = () => true

  function keepImage(slot: HubSlot): void {
    const kept = images.get(slot.index) ?? []
    kept.push(copyImage(slot.disk.image))
    if (kept.length > 4) kept.splice(Math.floor(random.unit() * 4), 1)
    images.set(slot.index, kept)
  }

  /** The disk changes while the process is down. */
  function atRest(slot: HubSlot, name: string, change: () => void, { all = false, downMs = duration() } = {}): boolean {
    if (!world.mayDamage(slot, all)) return false
    scheduler.note(`${name} of hub${slot.index + 1}`)
    const running = slot.process !== undefined
    if (running) world.crash(slot, { power: false, downMs })
    change()
    return true
  }

  function cutPair(a: number, b: number): void {
    network.cut(a, b, random.unit() < 0.5 ? 50 : between(50, 5_000))
    scheduler.after(duration() * 2, () => { network.mend(a, b) })
  }

  const inject: Record<FaultKind, (slot: HubSlot) => boolean> = {
    kill(slot) {
      world.crash(slot, { power: false, downMs: duration() })
      return true
    },
    power(slot) {
      world.crash(slot, { power: true, downMs: duration() })
      return true
    },
    'power-all'() {
      for (const slot of slots) world.crash(slot, { power: true, downMs: duration() })
      return true
    },
    pause(slot) {
      const { process } = slot
      if (process === undefined || process.life.paused) return false
      scheduler.note(`${process.name} is paused`)
      process.life.pause()
      scheduler.after(duration(), () => { process.life.resume() })
      return true
    },
    cut() {
      const [a, b] = pick(pairs)
      scheduler.note(`cut hub${a + 1} hub${b + 1}`)
      cutPair(a, b)
      return true
    },
    isolate({ index }) {
      scheduler.note(`isolate hub${index + 1}`)
      for (const [a, b] of pairs) if (a === index || b === index) cutPair(a, b)
      return true
    },
    drop() {
      const [a, b] = pick(pairs)
      network.drop(a, b)
      return true
    },
    stall({ index }) {
      const to = pick(slots.filter((slot) => slot.index !== index)).index
      scheduler.note(`stall hub${index + 1} > hub${to + 1}`)
      network.stall(index, to, duration())
      return true
    },
    'slow-net'() {
      network.slowness = between(2, 30)
      scheduler.after(duration(), () => { network.slowness = 1 })
      return true
    },
    'slow-disk'({ disk }) {
      disk.slowness = between(5, 100)
      scheduler.after(duration(), () => { disk.slowness = 1 })
      return true
    },
    'write-error'(slot) {
      if (slot.process === undefined) return false
      slot.disk.failNextWrite = true
      return true
    },
    flip(slot) {
      if (!world.mayDamage(slot)) return false
      // While it runs, too.
      const what = damageRow(world, slot, random, 'flip')
      if (what !== undefined) scheduler.note(`hub${slot.index + 1}: ${what}`)
      return what !== undefined
    },
    tear: (slot) => atRest(slot, 'torn row', () => { damageRow(world, slot, random, 'tear') }),
    remove: (slot) => atRest(slot, 'missing row', () => { damageRow(world, slot, random, 'remove') }),
    rollback(slot) {
      const image = images.get(slot.index)?.[0]
      if (image === undefined) return false
      return atRest(slot, 'rollback', () => {
        putBack(world, slot, image)
        count(report.sometimes, 'disk rolled back')
      }, { all: true })
    },
    'lose-tail': (slot) => atRest(slot, 'loss of the last batches', () => {
      if (slot.disk.loseTail(1 + Math.floor(random.unit() * 6)) > 0) world.noteDamage(slot)
    }),
    /** It spends alone for a while, and then all that it alone knew is gone. */
    'island-loss'(slot) {
      const pairsOf = pairs.filter((pair) => pair.some((hub) => hub === slot.index))
      for (const [a, b] of pairsOf) network.cut(a, b, 50)
      scheduler.after(between(500, 4_000), () => {
        if (allowed(slot.index)) atRest(slot, 'loss of an island', () => { putBack(world, slot, undefined) })
        for (const [a, b] of pairsOf) network.mend(a, b)
      })
      return true
    },
    /** It spends alone for a while, its log is sealed meanwhile, and it comes back with what it spent. */
    island(slot) {
      // One at a time, or there is nobody to seal it; and it has something to spend.
      if (world.favourite !== undefined || !world.hasBegun()) return false
      const pairsOf = pairs.filter((pair) => pair.some((hub) => hub === slot.index))
      for (const [a, b] of pairsOf) network.cut(a, b, 50)
      scheduler.note(`island hub${slot.index + 1}`)
      world.favourite = slot.index
      const given = new AbortController()
      scheduler.after(between(500, 3_000), () => {
        const other = pick(slots.filter((each) => each !== slot)).process?.ledger
        other?.seal(slot.index, { forced: false, signal: given.signal }).catch(() => {})
      })
      scheduler.after(between(3_000, 7_000), () => {
        given.abort(new Error('the island is connected again'))
        world.favourite = undefined
        for (const [a, b] of pairsOf) network.mend(a, b)
      })
      return true
    },
    /** Its disk is lost when it has promised another hub's end, and that is the first hub that it meets then. */
    forget(slot) {
      const sealed = pick(slots.filter((each) => each !== slot))
      const third = slots.find((each) => each !== slot && each !== sealed)!
      scheduler.note(`hub${slot.index + 1} forgets that hub${sealed.index + 1} is sealed`)
      const given = new AbortController()
      network.cut(sealed.index, slot.index, 50)
      network.cut(sealed.index, third.index, 50)
      scheduler.after(200, () => { third.process?.ledger?.seal(sealed.index, { forced: false, signal: given.signal }).catch(() => {}) })
      scheduler.after(between(300, 2_000), () => {
        network.cut(slot.index, third.index, 50)
        if (allowed(slot.index)) atRest(slot, 'loss of a promise', () => { putBack(world, slot, undefined) }, { downMs: 50 })
        network.mend(sealed.index, slot.index)
      })
      scheduler.after(between(4_000, 8_000), () => {
        given.abort(new Error('the network is mended'))
        for (const [a, b] of pairs) network.mend(a, b)
      })
      return true
    },
    /** Its disk loses frames that one of the others has, and it meets the one that has not. */
    short(slot) {
      if (world.favourite !== undefined || !world.hasBegun()) return false
      const [behind, ahead] = slots.filter((each) => each !== slot).map(({ index }) => index).sort(() => random.unit() - 0.5)
      scheduler.note(`hub${slot.index + 1} is to lose what hub${ahead! + 1} has`)
      network.cut(slot.index, behind!, 50)
      network.cut(ahead!, behind!, 50)
      world.favourite = slot.index
      scheduler.after(between(500, 2_500), () => {
        network.cut(slot.index, ahead!, 50)
        const lose = () => { if (slot.disk.loseTail(3 + Math.floor(random.unit() * 6)) > 0) world.noteDamage(slot) }
        if (allowed(slot.index)) atRest(slot, 'loss of what one other hub has', lose, { downMs: 50 })
        network.mend(slot.index, behind!)
      })
      scheduler.after(between(3_000, 7_000), () => {
        world.favourite = undefined
        for (const [a, b] of pairs) network.mend(a, b)
      })
      return true
    },
    wipe: (slot) => atRest(slot, 'loss of the disk', () => { putBack(world, slot, undefined) }),
    files: (slot) => atRest(slot, 'loss of a file', () => {
      slot.disk.image.files.delete(random.unit() < 0.5 ? 'anchor' : 'epochKey')
      world.noteDamage(slot)
    }),
    clock(slot) {
      slot.clock.offsetMs += random.unit() < 0.8 ? between(-60_000, 60_000) : between(-3_600_000, 3_600_000)
      scheduler.note(`clock of hub${slot.index + 1} jumps`)
      return true
    },
    day() {
      const forward = between(3_600_000, 30 * 3_600_000)
      for (const slot of slots) slot.clock.offsetMs += forward
      scheduler.note('all clocks jump ahead')
      return true
    },
    swizzle() {
      const stopped = pairs.filter(() => random.unit() < 0.7)
      for (const [place, [a, b]] of stopped.entries()) {
        scheduler.after(place * between(10, 500), () => { network.cut(a, b, 50) })
        scheduler.after(between(1_000, 6_000), () => { network.mend(a, b) })
      }
      return true
    },
    fork(slot) {
      if (slot.twin !== undefined || slots.some(({ forked }) => forked) || !world.hasBegun()) return false
      // A copy of today, which nobody can tell from the first one, or one of yesterday.
      const image = random.unit() < 0.6 ? slot.disk.image : images.get(slot.index)?.[0]
      if (image === undefined) return false
      world.startTwin(slot, image)
      world.favourite ??= slot.index
      // Most of the time each of the two meets another hub first, and both write.
      if (random.unit() < 0.7) {
        const [first, second] = slots.filter((each) => each !== slot).map(({ index }) => index).sort(() => random.unit() - 0.5)
        const names = [[`hub${slot.index + 1}`, first!], [`hub${slot.index + 1}'`, second!]] as const
        for (const [name, hub] of names) network.part(name, hub)
        scheduler.after(between(500, 5_000), () => { for (const [name, hub] of names) network.meet(name, hub) })
      }
      scheduler.after(between(1_000, 9_000), () => {
        world.stopTwin(slot)
        world.favourite = undefined
      })
      return true
    },
  }

  return {
    inject(may) {
      allowed = may
      const candidates = slots.filter(({ index }) => may(index))
      if (kinds.length === 0 || candidates.length === 0) return
      if (putsBack && random.unit() < 0.7) keepImage(pick(slots))
      const kind = pick(kinds)
      if (inject[kind](pick(candidates))) count(report.faults, kind)
    },
    healAll() {
      network.mendAll()
      for (const slot of slots) {
        world.stopTwin(slot)
        slot.disk.slowness = 1
        slot.disk.failNextWrite = false
        slot.process?.life.resume()
        world.start(slot)
      }
    },
  }
}
