/**
 * What surrounds a spend outside the pure core: a hold is given out when another hub has it on its disk, or when the
 * island rule allows it (hub/island.ts). Where neither comes in time it is let go again and refused with HUB_ISOLATED, so
 * nobody spends what a single lost disk could forget beyond the cap.
 */
import { toHex } from '../protocol/bytes.ts'
import { toTriforceError, TriforceError } from '../protocol/errors.ts'
import type { LogId } from '../protocol/messages/ledger.ts'
import { holdEidOf } from './entries/entry.ts'
import type { HoldState } from './fold/state.ts'
import { slotOf } from './fold/slots.ts'
import { completionTokensCovered, decideHold, type HoldAsk } from './hub/decide/hold.ts'
import {
  decideExpire, decideExtend, decideProgress, decideRefund, decideSettle, type ExtendAsk, type RefundAsk, type Usage,
} from './hub/decide/running.ts'
import type { Intent } from './hub/events.ts'
import { nameOfLog, type HubState } from './hub/hub-state.ts'
import { giveOut } from './hub/island.ts'
import type { AppendResult, Durability } from './interface.ts'

export interface SpendingComponents {
  readonly hub: HubState
  /** Logs it. Resolves when it is on this disk, and `replicated` or `local` is known. Throws what the decision refuses with. */
  readonly submit: (intent: Intent, options?: { readonly lazy?: boolean }) => Promise<AppendResult & { readonly frame: number }>
  /** Waits for another hub to have this frame; throws HUB_ISOLATED where none has it in time. */
  readonly whenReplicated: (log: LogId, frame: number) => Promise<void>
}

export interface HoldResult {
  /** Id of the hold, 16 bytes. */
  readonly hold: Uint8Array
  readonly hub: number
  readonly epoch: number
  readonly priceRow: string
  readonly priceRev: number
  readonly creditsMicroCredits: bigint
  readonly quotaTokens: number
  /** Tokens of the answer that are covered, at most those that were asked for. */
  readonly completionTokensMax: number
  /** Unix milliseconds. */
  readonly expiresAt: number
  readonly durability: Durability
  /** The same request was held before. */
  readonly known: boolean
  /** Where it was settled before: what for. */
  readonly settled: Settlement | undefined
}

export interface Settlement extends Usage {
  readonly chargeMicroCredits: bigint
  readonly quotaTokens: number
}

export interface Spending {
  /** Throws QUOTA_EXCEEDED, INSUFFICIENT_CREDITS, RIGHTS_UNREACHABLE, ACCOUNT_IN_DEBT, HOLD_DONE, HOLD_OVER, HUB_ISOLATED, ENTRY_CONFLICT. */
  hold(ask: HoldAsk): Promise<HoldResult>
  /** As `hold`; also HOLD_UNKNOWN. What was held before stays held where this fails. */
  extend(ask: ExtendAsk): Promise<HoldResult>
  /** Nobody waits for it: it is for a hub that dies. */
  progress(note: { readonly hold: Uint8Array; readonly step: number } & Usage): Promise<void>
  /** Charges for the use, at most what is held. Throws HOLD_OVER where it was settled for another use or has expired. */
  settle(ask: { readonly hold: Uint8Array; readonly receipt?: Uint8Array } & Usage): Promise<Settlement>
  /** Nothing was delivered: all goes back. */
  expire(hold: Uint8Array): Promise<void>
  refund(ask: RefundAsk): Promise<AppendResult>
}

/** Far more than a hub has open; then those that are over are forgotten. */
const GIVEN_OUT_SWEEP = 65_536

export function createSpending({ hub, submit, whenReplicated }: SpendingComponents): Spending {
  /** Requests that are being held, so that a client's repetition gets the same answer and is counted once. */
  const holding = new Map<string, Promise<HoldResult>>()
  /** µcr of open holds that were given out: another hub has them, or the island rule allowed them. */
  const givenOut = new Map<string, bigint>()

  function stateOf(id: string, log: LogId): HoldState {
    const slotted = hub.state.holds.get(slotOf(id, nameOfLog(log)))
    const hold = slotted ?? hub.state.holds.get(id)
    // It was logged, and then the other hubs sealed this log before it.
    if (hold === undefined) throw cutOff(id)
    return hold
  }

  /** Gives what is new of the hold out, or throws HUB_ISOLATED. */
  async function release(id: string, result: AppendResult & { readonly frame: number }): Promise<Durability> {
    const log: LogId = { hub: result.hub, epoch: result.epoch }
    const hold = stateOf(id, log)
    const before = givenOut.get(id) ?? 0n
    const amount = hold.credits - before
    if (result.durability === 'replicated' || amount === 0n && result.known) {
      givenOut.set(id, hold.credits)
      return result.durability
    }
    // Counted at once, so that nothing else takes the same room meanwhile.
    // Of a repeated request nobody knows in which frame the last of it stands.
    const frame = result.known ? hub.state.logs.get(nameOfLog(log))?.frame ?? result.frame : result.frame
    if (giveOut(hub.island, hub.state, { hold: id, account: hold.account, amount, frame })) {
      givenOut.set(id, hold.credits)
      return 'local'
    }
    await whenReplicated(log, result.frame)
    givenOut.set(id, hold.credits)
    return 'replicated'
  }

  function resultOf(id: Uint8Array, result: AppendResult, durability: Durability, promptTokens: number, completionTokensMax: number): HoldResult {
    const { hub: author, epoch, known } = result
    const hold = stateOf(toHex(id), { hub: author, epoch })
    const { outcome, priceRow, priceRev, credits, quotaTokens, expiresAt } = hold
    if (outcome?.settled === false) throw new TriforceError('HOLD_OVER', { hold: toHex(id), expired: true })
    return {
      hold: id, hub: author, epoch, priceRow, priceRev, creditsMicroCredits: credits, quotaTokens, expiresAt, durability, known,
      completionTokensMax: completionTokensCovered(hub, hold, promptTokens, completionTokensMax),
      settled: outcome === undefined ? undefined : settlementOf(outcome),
    }
  }

  async function takeHold(ask: HoldAsk): Promise<HoldResult> {
    const id = holdEidOf(hub.me, ask.request)
    const result = await submit(decideHold(hub, ask))
    let durability = result.durability
    try {
      if (stateOf(toHex(id), result).outcome === undefined) durability = await release(toHex(id), result)
    } catch (cause) {
      const error = toTriforceError(cause)
      // Whoever repeats the request later takes a new id: this hold is spent on nothing. Where it cannot be let go now, it expires.
      if (error.code === 'HUB_ISOLATED') await submit(decideExpire(hub, { hold: id })).catch(() => {})
      throw error
    }
    return resultOf(id, result, durability, ask.promptTokens, ask.completionTokensMax)
  }

  /** Holds that a duty let go. */
  function forgetOver(): void {
    if (givenOut.size < GIVEN_OUT_SWEEP) return
    for (const id of givenOut.keys()) if (!hub.state.openHolds.has(id)) givenOut.delete(id)
  }

  return {
    hold: (ask) => {
      forgetOver()
      const name = `${toHex(ask.request)}/${toHex(ask.requestHash)}/${toHex(ask.account)}`
      const running = holding.get(name)
      if (running !== undefined) return running
      const result = takeHold(ask).finally(() => { holding.delete(name) })
      holding.set(name, result)
      return result
    },

    extend: async (ask) => {
      const result = await submit(decideExtend(hub, ask))
      const durability = await release(toHex(ask.hold), result)
      return resultOf(ask.hold, result, durability, ask.promptTokens, ask.completionTokensMax)
    },

    progress: async (note) => { await submit(decideProgress(hub, note), { lazy: true }) },

    settle: async (ask) => {
      const result = await submit(decideSettle(hub, ask))
      givenOut.delete(toHex(ask.hold))
      const { outcome } = stateOf(toHex(ask.hold), result)
      if (outcome === undefined) throw cutOff(toHex(ask.hold))
      return settlementOf(outcome)
    },

    expire: async (hold) => {
      await submit(decideExpire(hub, { hold }))
      givenOut.delete(toHex(hold))
    },

    refund: async (ask) => await submit(decideRefund(hub, ask)),
  }
}

function cutOff(hold: string): TriforceError {
  return new TriforceError('HUB_ISOLATED', { hold }, { detail: "the other hubs sealed this hub's log meanwhile, so it is not known what became of the entry; ask again" })
}

function settlementOf({ charge, quotaTokens, promptTokens, completionTokens }: NonNullable<HoldState['outcome']>): Settlement {
  return { chargeMicroCredits: charge, quotaTokens, promptTokens, completionTokens }
}
