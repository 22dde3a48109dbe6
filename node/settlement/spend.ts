/**
 * One paid answer and the money for it: reserves before the first byte, reserves more while the answer grows, notes the
 * use so that a hub that dies is still paid for what it delivered, and settles the exact use at the end.
 *
 * Takes an order and the ledger of this hub; gives a `Spend`. What is reserved at once is a part of the most that the
 * answer may cost: a request with a huge limit must not lock all credits of its account.
 */
import type { HubLedger } from '../../ledger/interface.ts'
import type { Usage } from '../../protocol/completion.ts'
import { toTriforceError } from '../../protocol/errors.ts'
import { JOB_MS_MAX, PROGRESS_MS } from '../../protocol/limits.ts'
import type { Clock, Log } from '../../protocol/ports.ts'
import { promptTokensMargin } from '../../protocol/token-estimate.ts'

type HoldAsk = Parameters<HubLedger['hold']>[0]
export type Settlement = Awaited<ReturnType<HubLedger['settle']>>

export interface SpendComponents {
  readonly ledger: Pick<HubLedger, 'hold' | 'extend' | 'progress' | 'settle' | 'expire'>
  readonly clock: Clock
  readonly log: Log
}

/** `completionTokensMax` is the request's own limit; `request` (16 bytes) is chosen by who asks, so a repetition is the same hold. */
export type SpendOrder = Omit<HoldAsk, 'completionTokensMin' | 'holdMs'>

export interface SpendOptions {
  /** Tokens of the answer that are reserved at first. Default 2,048: most answers are shorter. */
  readonly firstTokens?: number
  /** A shorter answer is not worth a hold. Default 256, or the request's limit where that is less. */
  readonly leastTokens?: number
  /** More is reserved when fewer tokens than this are left. Default 512: some seconds of a fast model. */
  readonly aheadTokens?: number
  /** Use is noted after so many tokens, or after PROGRESS_MS. Default 512. */
  readonly noteTokens?: number
  /** A settlement that fails for the moment is tried again so often. Default 6: about 13 s. */
  readonly settleTriesMax?: number
}

export const spendDefaults = Object.freeze({ firstTokens: 2_048, leastTokens: 256, aheadTokens: 512, noteTokens: 512, settleTriesMax: 6 })

/** A job ends before its hold does, queueing and settling included. */
const HOLD_MS = JOB_MS_MAX + 10 * 60_000

/** A smaller extension is not worth an entry in the log. */
const STEP_TOKENS_MIN = 32
const RETRY_MS_MIN = 200

export interface Spend {
  /** Id of the hold, 16 bytes. */
  readonly hold: Uint8Array
  /** The same request was settled before: it is answered from there, and nothing may be asked of a provider. */
  readonly settled: Settlement | undefined
  readonly priceRow: string
  readonly priceRev: number
  /** Tokens of the answer that are paid for by what is held. */
  readonly coveredTokens: number
  /**
   * So many tokens of the answer are there (cumulative). True: go on. A promise: wait for it, what is held is used up.
   * False: the account cannot pay for more, so the answer ends here (`length`).
   */
  used(completionTokens: number): boolean | Promise<boolean>
  /** Charges for the use and lets the rest go. Throws HOLD_OVER, or what the ledger refuses with after all tries. */
  settle(usage: Usage, receipt?: Uint8Array): Promise<Settlement>
  /** Nothing was delivered: all goes back. */
  cancel(): Promise<void>
}

/** Throws what `ledger.hold` throws: QUOTA_EXCEEDED, INSUFFICIENT_CREDITS, RIGHTS_UNREACHABLE, ACCOUNT_IN_DEBT, HOLD_DONE, HUB_ISOLATED. */
export async function startSpend(components: SpendComponents, order: SpendOrder, options: SpendOptions = {}): Promise<Spend> {
  const { ledger, clock, log } = components
  const { firstTokens, leastTokens, aheadTokens, noteTokens, settleTriesMax } = { ...spendDefaults, ...options }
  const { promptTokens, completionTokensMax } = order
  // A hold that is too small by one token costs an entry on two disks before the answer can be charged; who has less holds less.
  const first = Math.min(completionTokensMax, firstTokens)
  const held = await ledger.hold({
    ...order, completionTokensMax: first + promptTokensMargin(promptTokens), completionTokensMin: Math.min(completionTokensMax, leastTokens), holdMs: HOLD_MS,
  })

  let covered = Math.min(held.completionTokensMax, first)
  let used = 0
  let step = 0
  let growTokens = Math.max(firstTokens, STEP_TOKENS_MIN)
  let growing: Promise<void> | undefined
  let exhausted = false
  let over = held.settled !== undefined
  let noted = { tokens: 0, atMs: clock.monotonicMs(), step: 0 }

  /** Reserves more, less where the account has less; never throws. */
  async function grow(): Promise<void> {
    for (;;) {
      // The answer may have ended while an extension was tried.
      if (over || covered >= completionTokensMax) return
      const target = Math.min(completionTokensMax, covered + growTokens)
      try {
        const extended = await ledger.extend({ hold: held.hold, step: step + 1, promptTokens, completionTokensMax: target, holdMs: HOLD_MS })
        step += 1
        covered = Math.max(covered, extended.completionTokensMax)
        // An answer that grows on is reserved for in larger steps.
        growTokens *= 2
        return
      } catch (reason) {
        const { code, spec } = toTriforceError(reason)
        if (spec.retry && used < covered) return
        const least = Math.min(STEP_TOKENS_MIN, completionTokensMax - covered)
        if ((code !== 'INSUFFICIENT_CREDITS' && code !== 'RIGHTS_UNREACHABLE') || growTokens <= least) {
          log.info('no more can be reserved', { code, covered })
          exhausted = true
          return
        }
        growTokens = Math.max(least, Math.floor(growTokens / 4))
      }
    }
  }

  function startGrowing(): Promise<void> {
    growing ??= grow().finally(() => { growing = undefined })
    return growing
  }

  function note(): void {
    const nowMs = clock.monotonicMs()
    if (used - noted.tokens < noteTokens && (nowMs - noted.atMs < PROGRESS_MS || used === noted.tokens)) return
    noted = { tokens: used, atMs: nowMs, step: noted.step + 1 }
    ledger.progress({ hold: held.hold, step: noted.step, promptTokens, completionTokens: used }).catch((reason: unknown) => {
      log.debug('use not noted', { code: toTriforceError(reason).code })
    })
  }

  async function waitForMore(): Promise<boolean> {
    await startGrowing()
    return used < covered
  }

  function pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      clock.after(ms, resolve)
    })
  }

  /** The prompt was longer than it seemed, or the vendor counts what nobody saw: the exact use is reserved before it is charged. */
  async function coverExactly(usage: Usage): Promise<void> {
    if (held.settled !== undefined || (usage.promptTokens <= promptTokens && usage.completionTokens <= covered)) return
    try {
      await ledger.extend({ hold: held.hold, step: step + 1, promptTokens: usage.promptTokens, completionTokensMax: usage.completionTokens, holdMs: HOLD_MS, exact: true })
    } catch (reason) {
      // The account cannot pay for all of it; it pays what is held.
      log.warn('the use is above what can be reserved', { code: toTriforceError(reason).code, promptTokens: usage.promptTokens, completionTokens: usage.completionTokens })
    }
  }

  async function settle(usage: Usage, receipt: Uint8Array | undefined): Promise<Settlement> {
    over = true
    await growing
    const covering = coverExactly(usage)
    // What was held beside the answer most likely pays for it. The ledger decides in this order, and the charge then leaves with the receipt.
    if (usage.promptTokens + usage.completionTokens > promptTokens + Math.max(held.completionTokensMax, covered)) await covering
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await ledger.settle({ hold: held.hold, promptTokens: usage.promptTokens, completionTokens: usage.completionTokens, ...(receipt === undefined ? {} : { receipt }) })
      } catch (reason) {
        const error = toTriforceError(reason)
        if (!error.spec.retry || attempt >= settleTriesMax) throw error
        log.warn('settlement is tried again', { code: error.code, attempt })
        await pause(RETRY_MS_MIN * 2 ** attempt)
      }
    }
  }

  return {
    hold: held.hold,
    settled: held.settled,
    priceRow: held.priceRow,
    priceRev: held.priceRev,
    get coveredTokens() { return covered },
    used(completionTokens) {
      used = Math.max(used, completionTokens)
      if (over) return false
      note()
      const mayGrow = !exhausted && covered < completionTokensMax
      if (used < covered) {
        if (mayGrow && covered - used < aheadTokens) void startGrowing()
        return true
      }
      return mayGrow ? waitForMore() : false
    },
    settle,
    async cancel() {
      over = true
      await growing
      await ledger.expire(held.hold)
    },
  }
}
