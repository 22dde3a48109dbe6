/**
 * Feeds events to the pure core (hub/step.ts) and carries its effects out, in their order. Decides nothing.
 *
 * Effects may cause events again (a fold causes `folded`); these are dealt with when the effects of the first event are
 * through, so the core never runs inside itself.
 */
import { TriforceError } from '../protocol/errors.ts'
import type { LogId } from '../protocol/messages/ledger.ts'
import type { Clock, Log } from '../protocol/ports.ts'
import type { AccountProof } from './checkpoint/account-proof.ts'
import type { AccountId } from './fold/state.ts'
import type { HubEffect, HubEvent, HubMessage, Intent } from './hub/events.ts'
import type { HubState } from './hub/hub-state.ts'
import { step } from './hub/step.ts'

export interface CoreRunnerComponents {
  readonly clock: Clock
  readonly log: Log
  readonly hub: HubState
  readonly send: (hub: number, message: HubMessage) => void
  readonly append: (intent: Intent) => void
  readonly keep: (key: string, value: Uint8Array) => void
  readonly putBlob: (key: string, value: Uint8Array | undefined) => void
  readonly retry: () => void
  readonly truncate: (log: LogId, frame: number) => void
  /** Reads stored frames, then runs `loaded`. */
  readonly load: (log: LogId, from: number, to: number, bytesMax: number) => void
  readonly loadOrphans: (log: LogId, from: number) => void
  readonly compare: (hub: number, log: LogId, no: number) => void
  readonly heard: () => void
  readonly proved: (account: AccountId, proof: AccountProof | undefined) => void
}

export interface CoreRunner {
  run(event: HubEvent): void
  /** Ticks from now on. */
  start(): void
  stop(): void
}

/** How often the core looks at the clock: a donor that is silent must be given up early enough to ask another one. */
const TICK_MS = 250
/** Events of one cause; more can only be a circle. */
const EVENTS_MAX = 100_000

export function createCoreRunner({ clock, log, hub, ...shell }: CoreRunnerComponents): CoreRunner {
  const events: HubEvent[] = []
  let running = false
  let cancelTick: (() => void) | undefined
  let stopped = false

  function perform(effect: HubEffect): void {
    switch (effect.type) {
      case 'send':
        shell.send(effect.hub, effect.message)
        return
      case 'append':
        shell.append(effect.intent)
        return
      case 'persist':
        shell.keep(effect.key, effect.value)
        return
      case 'blob':
        shell.putBlob(effect.key, effect.value)
        return
      case 'retry':
        shell.retry()
        return
      case 'truncate':
        shell.truncate(effect.log, effect.frame)
        return
      case 'load':
        shell.load(effect.log, effect.from, effect.to, effect.bytesMax)
        return
      case 'proved':
        shell.proved(effect.account, effect.proof)
        return
      case 'loadOrphans':
        shell.loadOrphans(effect.log, effect.from)
        return
      case 'compare':
        shell.compare(effect.hub, effect.log, effect.no)
        return
      case 'heard':
        shell.heard()
        return
      case 'warn':
        log.warn(effect.text)
    }
  }

  function run(event: HubEvent): void {
    if (stopped) return
    events.push(event)
    if (running) return
    running = true
    try {
      let count = 0
      for (let next = events.shift(); next !== undefined; next = events.shift()) {
        if ((count += 1) > EVENTS_MAX) throw new TriforceError('INTERNAL', {}, { detail: 'the core of the ledger goes round in a circle' })
        for (const effect of step(hub, next, clock.now())) perform(effect)
      }
    } finally {
      running = false
    }
  }

  function tick(): void {
    cancelTick = clock.after(TICK_MS, () => {
      run({ type: 'tick' })
      tick()
    })
  }

  return {
    run,
    start: () => { if (cancelTick === undefined && !stopped) tick() },
    stop: () => {
      stopped = true
      cancelTick?.()
    },
  }
}
