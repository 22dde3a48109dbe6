/**
 * When contributors were there: connected to this hub, with a model on offer, not draining. Takes capacity
 * announcements and ends of connections; gives facts for the ledger, every few minutes and when somebody leaves.
 *
 * A fact spans announcements that came one after the other, from the first to the last: what nobody announced is not
 * claimed. The tracker is plain data and functions of time; `startPresence` wires it to the node.
 */
import type { DeviceHardware, LedgerMoney, PresenceFact } from '../../ledger/interface.ts'
import { bytesEqual } from '../../protocol/bytes.ts'
import { CAPACITY_VALID_MS } from '../../protocol/limits.ts'
import type { Capacity } from '../../protocol/messages/capacity.ts'
import { peerIdOf } from '../../protocol/peer-key.ts'
import type { Clock, Log } from '../../protocol/ports.ts'
import { devicesOf } from '../capacity/devices.ts'

export interface PresenceTrackerOptions {
  /** Contributors that are followed at once; more earn no standby here until others leave. Default 20,000. */
  readonly contributorsMax?: number
  /** A longer silence ends a presence. Default CAPACITY_VALID_MS: two lost announcements do not. */
  readonly gapMsMax?: number
  /** A presence is told of at least this often. Default 5 minutes: what a hub that dies has not logged yet. */
  readonly tellMs?: number
}

export const presenceDefaults = Object.freeze({ contributorsMax: 20_000, gapMsMax: CAPACITY_VALID_MS, tellMs: 5 * 60_000 })

export interface PresenceTracker {
  /** A connected contributor has announced itself. `nowMs`: Unix milliseconds of this hub. */
  announced(capacity: Capacity, nowMs: number): readonly PresenceFact[]
  /** Its connection has ended. */
  left(peer: string): readonly PresenceFact[]
  /** To be called now and then: what is due, and what has fallen silent. */
  due(nowMs: number): readonly PresenceFact[]
  /** Everything that is not told yet; nothing is followed any more. */
  end(): readonly PresenceFact[]
  readonly size: number
}

/** Someone who is there. Times are of the part that is not told yet. */
interface Present extends PresenceFact {
  readonly deviceToMs: number
  readonly wallToMs: number
}

export function createPresenceTracker(options: PresenceTrackerOptions = {}): PresenceTracker {
  const { contributorsMax, gapMsMax, tellMs } = { ...presenceDefaults, ...options }
  const present = new Map<string, Present>()

  function close(peer: string): readonly PresenceFact[] {
    const known = present.get(peer)
    present.delete(peer)
    return known === undefined ? [] : factOf(known)
  }

  /** Tells what there is, and goes on from its end. */
  function tell(peer: string, known: Present): readonly PresenceFact[] {
    present.set(peer, { ...known, deviceFromMs: known.deviceToMs, wallFromMs: known.wallToMs })
    return factOf(known)
  }

  return {
    announced(capacity, nowMs) {
      const { clock } = capacity
      const peer = peerIdOf(capacity.peer)
      const devices = devicesOf(capacity.gpus)
      const known = present.get(peer)
      const goesOn = known !== undefined && clock !== undefined && bytesEqual(known.boot, clock.boot) && clock.ms >= known.deviceToMs
        && nowMs >= known.wallToMs && nowMs - known.wallToMs <= gapMsMax
      // Until it said otherwise it was there as it had announced: also when it says that it leaves.
      if (goesOn) present.set(peer, { ...known, deviceToMs: clock.ms, wallToMs: nowMs })
      if (goesOn && isOffering(capacity) && isSame(known.devices, devices)) {
        const grown = present.get(peer)!
        return grown.wallToMs - grown.wallFromMs >= tellMs ? tell(peer, grown) : []
      }
      const facts = close(peer)
      if (clock !== undefined && isOffering(capacity) && present.size < contributorsMax) {
        present.set(peer, {
          contributor: capacity.peer, boot: clock.boot, devices, deviceFromMs: clock.ms, deviceToMs: clock.ms, wallFromMs: nowMs, wallToMs: nowMs,
        })
      }
      return facts
    },
    left: close,
    due(nowMs) {
      const facts: PresenceFact[] = []
      for (const [peer, known] of present) {
        const silent = nowMs - known.wallToMs > gapMsMax || nowMs < known.wallFromMs
        if (silent) facts.push(...close(peer))
        else if (known.wallToMs - known.wallFromMs >= tellMs) facts.push(...tell(peer, known))
      }
      return facts
    },
    end: () => [...present.keys()].flatMap(close),
    get size() { return present.size },
  }
}

/** Nothing where no time has passed on one of the two clocks. */
function factOf(known: Present): readonly PresenceFact[] {
  return known.deviceToMs > known.deviceFromMs && known.wallToMs > known.wallFromMs ? [known] : []
}

function isOffering(capacity: Capacity): boolean {
  return !capacity.draining && capacity.models.length > 0 && capacity.mode !== 'consumer'
}

function isSame(before: readonly DeviceHardware[], now: readonly DeviceHardware[]): boolean {
  return before.length === now.length && before.every((one, index) => one.device === now[index]!.device && one.vramBytes === now[index]!.vramBytes)
}

export interface PresenceComponents {
  readonly ledger: Pick<LedgerMoney, 'presence'>
  readonly isConnected: (peer: string) => boolean
  readonly clock: Clock
  readonly log: Log
}

export interface Presence {
  /** An announcement that was taken, wherever it came from. */
  heard(capacity: Capacity): void
  left(peer: string): void
  /** Devices that a contributor announced last, also some time after it left. */
  devicesOf(contributor: Uint8Array): readonly DeviceHardware[] | undefined
  /** Tells what is left, for the ledger to log before it closes. */
  stop(): void
}

/** How often it is looked who fell silent. */
const LOOK_MS = 15_000

export function startPresence({ ledger, isConnected, clock, log }: PresenceComponents, options: PresenceTrackerOptions = {}): Presence {
  const tracker = createPresenceTracker(options)
  const { contributorsMax } = { ...presenceDefaults, ...options }
  const lastDevices = new Map<string, readonly DeviceHardware[]>()
  let cancel = (): void => {}

  function tell(facts: readonly PresenceFact[]): void {
    for (const fact of facts) {
      ledger.presence(fact)
      log.debug('presence', { peer: peerIdOf(fact.contributor), ms: fact.wallToMs - fact.wallFromMs })
    }
  }

  function look(): void {
    tell(tracker.due(clock.now()))
    cancel = clock.after(LOOK_MS, look)
  }
  cancel = clock.after(LOOK_MS, look)

  return {
    heard(capacity) {
      const peer = peerIdOf(capacity.peer)
      // Deleting first keeps the map in order of arrival, so its first one is the oldest.
      lastDevices.delete(peer)
      if (lastDevices.size >= contributorsMax) lastDevices.delete(lastDevices.keys().next().value!)
      lastDevices.set(peer, devicesOf(capacity.gpus))
      if (isConnected(peer)) tell(tracker.announced(capacity, clock.now()))
    },
    left: (peer) => tell(tracker.left(peer)),
    devicesOf: (contributor) => lastDevices.get(peerIdOf(contributor)),
    stop() {
      cancel()
      tell(tracker.end())
    },
  }
}
