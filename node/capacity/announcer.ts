/**
 * Tells the hubs what this node can do: on change (collected for a moment), every CAPACITY_BEAT_MS with jitter, and once
 * more with `draining` when it leaves.
 */
import { toTriforceError } from '../../protocol/errors.ts'
import { CAPACITY_BEAT_MS, CAPACITY_BYTES_MAX, CAPACITY_GPUS_MAX, CAPACITY_MODELS_MAX, CAPACITY_VALID_MS } from '../../protocol/limits.ts'
import { offeredModelSchema, writeAnnouncement, type Capacity, type OfferedModel } from '../../protocol/messages/capacity.ts'
import type { Clock, Log, Random, Signer } from '../../protocol/ports.ts'
import type { Host } from '../net/host.ts'

export interface AnnouncerComponents {
  readonly host: Pick<Host, 'publish' | 'onSubscriber'>
  /** The node's key. */
  readonly signer: Signer
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
}

/** What is announced, measured anew each time. */
export type CapacityNow = Omit<Capacity, 'v' | 'seq' | 'sentAt' | 'validUntil' | 'draining' | 'pause'>

export interface AnnouncerOptions {
  readonly topic: string
  readonly measure: () => CapacityNow
  /** While this machine does not lend. */
  readonly pause?: () => Capacity['pause']
  /** Also told to this node itself, where it is a hub. */
  readonly onAnnounced?: (capacity: Capacity) => void
}

/** Changes within this time leave as one announcement: a burst of jobs must not become a burst of gossip. */
const CHANGE_WAIT_MS = 150

export interface Announcer {
  start(): void
  /** Something of `measure` has changed. */
  changed(): void
  /** It changed in a way that nobody should wait for. */
  changedNow(): void
  /** Announces that this node takes no more work, then stays quiet. */
  leave(): Promise<void>
  stop(): void
}

export function createAnnouncer(components: AnnouncerComponents, options: AnnouncerOptions): Announcer {
  const { host, signer, clock, random } = components
  const log = components.log.child('capacity')
  let seq = clock.now()
  let draining = false
  let running = false
  let cancelBeat = () => {}
  let cancelChange: (() => void) | undefined

  function announcement(): Capacity {
    // Grows over restarts too, as long as the clock does not run backwards by more than the announcements sent.
    seq = Math.max(seq + 1, clock.now())
    const now = options.measure()
    const pause = options.pause?.()
    return {
      v: 1, ...now, gpus: now.gpus.slice(0, CAPACITY_GPUS_MAX), models: now.models.filter(isWellFormed).slice(0, CAPACITY_MODELS_MAX), seq,
      draining: draining || pause !== undefined, ...(pause === undefined ? {} : { pause }), sentAt: clock.now(),
      validUntil: clock.now() + CAPACITY_VALID_MS,
    }
  }

  /** Models are dropped from the end until the rest fits one gossip message. */
  function fit(capacity: Capacity): { capacity: Capacity; bytes: Uint8Array } {
    let fitting = capacity
    let bytes = writeAnnouncement(signer, fitting)
    while (bytes.byteLength > CAPACITY_BYTES_MAX && fitting.models.length > 0) {
      fitting = { ...fitting, models: fitting.models.slice(0, -1) }
      bytes = writeAnnouncement(signer, fitting)
    }
    if (fitting.models.length < capacity.models.length) {
      log.warn('too many models for one announcement', { offered: capacity.models.length, announced: fitting.models.length })
    }
    return { capacity: fitting, bytes }
  }

  async function announce(): Promise<void> {
    try {
      const { capacity, bytes } = fit(announcement())
      options.onAnnounced?.(capacity)
      await host.publish(options.topic, bytes)
    } catch (error) {
      const { code } = toTriforceError(error)
      // Without a hub nobody listens yet; anything else is ours.
      if (code === 'NO_HUB') log.debug('not announced', { code })
      else log.error('capacity cannot be announced', { code, cause: error instanceof Error ? error.message : '' })
    }
  }

  function beat(): void {
    cancelBeat()
    cancelBeat = clock.after(CAPACITY_BEAT_MS * (0.8 + 0.4 * random.unit()), () => {
      void announce()
      beat()
    })
  }

  function changed(): void {
    if (!running || cancelChange !== undefined) return
    cancelChange = clock.after(CHANGE_WAIT_MS, () => {
      cancelChange = undefined
      void announce()
    })
  }

  function changedNow(): void {
    if (!running) return
    cancelChange?.()
    cancelChange = undefined
    void announce()
  }

  host.onSubscriber(options.topic, changed)

  return {
    start() {
      running = true
      changed()
      beat()
    },
    changed,
    changedNow,
    async leave() {
      if (!running) return
      draining = true
      running = false
      cancelBeat()
      cancelChange?.()
      cancelChange = undefined
      await announce()
    },
    stop() {
      running = false
      cancelBeat()
      cancelChange?.()
      cancelChange = undefined
    },
  }
}

/** A hub refuses a whole announcement for one field that does not fit, so a model with an odd name must not hide the others. */
function isWellFormed(model: OfferedModel): boolean {
  return offeredModelSchema.safeParse(model).success
}
