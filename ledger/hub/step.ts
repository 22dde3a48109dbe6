/**
 * The pure core of a hub: takes what happens, gives what the hub wants. It changes the state it is given, does no I/O and
 * reads no clock, so equal histories give equal effects; test/sim runs the same code under a seed.
 *
 * Parts: machines given in the options (seals, checkpoints), then rights (rights.ts, spread.ts), then duties (duties.ts). Each sees
 * every event. What is money is decided in decide/ at the moment of logging, never here.
 */
import { createDuties } from './duties-state.ts'
import { stepDuties } from './duties.ts'
import type { HubEffect, HubEvent } from './events.ts'
import { hubDefaults, nameOfLog, type HubOptions, type HubState } from './hub-state.ts'
import { createIsland, islandFolded, islandOf, islandReplicated } from './island.ts'
import { createRights } from './rights-state.ts'
import { stepRights } from './rights.ts'
import { createSpread, stepSpread } from './spread.ts'

export function createHub(options: HubOptions): HubState {
  const { network, me, state, machines = [] } = options
  return {
    network, me, state, machines,
    settings: {
      holdBack: options.holdBack ?? hubDefaults.holdBack,
      vestEveryMs: options.vestEveryMs ?? hubDefaults.vestEveryMs,
      spread: options.spread ?? hubDefaults.spread,
      rightsWaitMsMax: options.rightsWaitMsMax ?? hubDefaults.rightsWaitMsMax,
      rightsResendMs: options.rightsResendMs ?? hubDefaults.rightsResendMs,
    },
    writing: undefined, connected: new Set(), rights: createRights(), spread: createSpread(), island: createIsland(), duties: createDuties(), final: undefined, mayPay: () => true,
  }
}

/** `nowMs`: Unix milliseconds, the same clock that frames are timed by. */
export function step(hub: HubState, event: HubEvent, nowMs: number): readonly HubEffect[] {
  note(hub, event)
  const effects: HubEffect[] = []
  for (const machine of [...hub.machines, stepRights, stepSpread, stepDuties]) effects.push(...machine(hub, event, nowMs))
  return effects
}

/** What several parts need to know. */
function note(hub: HubState, event: HubEvent): void {
  if (event.type === 'connected') hub.connected.add(event.hub)
  else if (event.type === 'disconnected') hub.connected.delete(event.hub)
  else if (event.type === 'refolded') hub.state = event.state
  else if (event.type === 'replicated') islandReplicated(hub.island, nameOfLog(event.log), event.frame)
  else if (event.type === 'folded' && nameOfLog(event.log) === hub.island.log) islandFolded(hub.island, hub.state, event.frame, event.entries)
  else if (event.type === 'writing') {
    hub.writing = event.log
    if (event.log !== undefined) islandOf(hub.island, nameOfLog(event.log), hub.state.logs.get(nameOfLog(event.log))?.frame ?? 0)
  }
}
