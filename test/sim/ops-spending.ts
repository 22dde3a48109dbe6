/**
 * A client that spends: it holds, notes its use, reserves more, is charged or lets go. When it hears nothing it asks
 * another hub and says what it supersedes; it repeats itself; it goes away.
 */
import { holdEidOf } from '../../ledger/entries/entry.ts'
import type { HoldResult } from '../../ledger/spending.ts'
import { toHex } from '../../protocol/bytes.ts'
import type { Caller } from './caller.ts'
import { told, untold, type OracleAccount, type OracleHold } from './oracle.ts'
import { count } from './sim-report.ts'

interface Request {
  readonly account: OracleAccount
  readonly requestHash: Uint8Array
  readonly model: readonly [provider: string, model: string]
  readonly promptTokens: number
  readonly completionTokensMax: number
  readonly completionTokensMin: number
  readonly holdMs: number
  /** Request ids by hub, in the order in which hubs were asked. */
  readonly asked: Map<number, Uint8Array>
}

const MODELS = [['groq', 'llama'], ['mistral', 'mistral-large-2'], ['anthropic', 'claude-opus-4'], ['openai', 'gpt-4o'], ['ollama', 'llama'], ['somebody', 'something']] as const
/** A hold is refused: nothing will be charged for it. */
const REFUSALS = ['QUOTA_EXCEEDED', 'INSUFFICIENT_CREDITS', 'RIGHTS_UNREACHABLE', 'ACCOUNT_IN_DEBT', 'HOLD_DONE', 'ENTRY_INVALID', 'ENTRY_CONFLICT']
const AFTER_HOLD = ['HOLD_OVER', 'HOLD_UNKNOWN', 'ENTRY_INVALID', 'ENTRY_CONFLICT']
/** How long a client waits for an answer, at most. */
const PATIENCE_MS_MAX = 3_000

export function spendingOperations(caller: Caller) {
  const { oracle, random, world } = caller
  const { report, scheduler } = world
  const chance = (share: number) => random.unit() < share

  function begin(hub: number, request: Request): void {
    const { account, requestHash, model: [provider, model], promptTokens, completionTokensMax, completionTokensMin, holdMs, asked } = request
    // Whoever comes back to a hub repeats what it asked there.
    const repeated = asked.get(hub)
    const id = repeated ?? random.bytes(16)
    asked.set(hub, id)
    const [first] = [...asked].map(([at, known]) => ({ hub: at, hold: holdEidOf(at, known) }))
    const hold = holdEidOf(hub, id)
    const record: OracleHold = oracle.holds.get(toHex(hold)) ?? {
      id: toHex(hold), first: toHex(first!.hold), account: toHex(account.id), hub, refused: false, acknowledged: false, uses: [], charged: undefined, extended: false, refunds: 0n, paidBack: [],
    }
    oracle.holds.set(record.id, record)
    let answered = false
    const attempt = (isNew: boolean) => {
      const inDebt = debtAt(hub, account)
      caller.call(hub, 'hold', async (ledger) => await ledger.hold({
        request: id, requestHash, account: account.id, provider, model, promptTokens, completionTokensMax, completionTokensMin, holdMs,
        ...(first!.hub === hub ? {} : { supersedes: first! }),
      }), (result) => {
        if (isNew && inDebt()) world.violation('oracle', `hub${hub + 1} held ${record.id.slice(0, 8)} for an account in debt`)
        // A hub that was slow to answer serves all the same, for nobody.
        if (!answered || chance(0.5)) held(record, hold, request, result)
        answered = true
      }, {
        expected: [...REFUSALS, 'HOLD_OVER'],
        failed: (error) => {
          if (REFUSALS.includes(error.code)) {
            count(report.sometimes, error.code === 'QUOTA_EXCEEDED' ? 'quota refused' : error.code === 'ACCOUNT_IN_DEBT' ? 'debt refused' : `hold refused: ${error.code}`)
            // Repeats and their originals answer alike, so one refusal is the refusal.
            if (!record.acknowledged) record.refused = true
          }
          answered = true
        },
      })
    }
    attempt(repeated === undefined)
    if (chance(0.1)) caller.after(caller.between(1, 400), () => { attempt(false) })
    caller.after(caller.between(150, PATIENCE_MS_MAX), () => {
      if (answered) return
      answered = true
      retryElsewhere(hub, request)
    })
  }

  /** Says later whether the account was in debt at this hub all the time since now. Debt comes by chargebacks only. */
  function debtAt(hub: number, { id }: OracleAccount): () => boolean {
    const ledger = world.slots[hub]!.process?.ledger
    const debtNow = () => ledger?.money(id)?.balance.debt ?? 0n
    const [before, chargebacks] = [debtNow(), oracle.chargebacks]
    return () => before > 0n && debtNow() === before && oracle.chargebacks === chargebacks
  }

  function retryElsewhere(hub: number, request: Request): void {
    const other = caller.pick(caller.hubs.filter((each) => each !== hub))
    if (other === undefined || chance(0.2)) return
    count(report.sometimes, 'asked another hub')
    begin(other, request)
  }

  function held(record: OracleHold, hold: Uint8Array, request: Request, result: HoldResult): void {
    const { hub } = record
    record.acknowledged = true
    record.refused = false
    scheduler.note(`hub${hub + 1} hold ${record.id.slice(0, 8)}: ${result.durability} ${result.creditsMicroCredits} µcr ${result.quotaTokens} tokens`)
    if (result.durability === 'local') count(report.sometimes, 'island spend given out')
    if (result.quotaTokens > 0) count(report.sometimes, 'quota used')
    const { promptTokens } = request
    let covered = result.completionTokensMax
    let used = 0
    let step = 0
    let extension = 0
    let mayExtend = true
    let complaints = 0

    const goOn = () => {
      used = Math.min(covered, used + caller.between(0, Math.max(1, covered)))
      const use = { promptTokens, completionTokens: used }
      const what = random.unit()
      if (what < 0.25) {
        step += 1
        record.uses.push(use)
        caller.call(hub, 'progress', async (ledger) => { await ledger.progress({ hold, step, ...use }) }, () => {}, { expected: AFTER_HOLD })
        next()
      } else if (what < 0.4 && mayExtend) {
        extension += 1
        mayExtend = extension < 3
        const step = extension
        const more = covered + caller.between(1, 500)
        record.extended = true
        caller.call(hub, 'extend', async (ledger) => await ledger.extend({ hold, step, promptTokens, completionTokensMax: more }), (extended) => {
          covered = Math.max(covered, Math.min(more, extended.completionTokensMax))
        }, { expected: [...REFUSALS, ...AFTER_HOLD], failed: () => { mayExtend = false } })
        next()
      } else if (what < 0.5) {
        caller.call(hub, 'expire', async (ledger) => { await ledger.expire(hold) }, () => {}, { expected: AFTER_HOLD })
        // Somebody else may settle it all the same.
        if (chance(0.3)) settle(use)
      } else if (what < 0.6) {
        // Goes away: the hold expires, or is settled at what was noted.
      } else {
        settle(use)
        if (chance(0.15)) caller.after(caller.between(0, 500), () => { settle(chance(0.5) ? use : { ...use, completionTokens: used + 1 }) })
      }
    }
    const next = () => { caller.after(caller.between(1, 1_500), goOn) }

    const settle = (use: { readonly promptTokens: number; readonly completionTokens: number }, tries = 0): void => {
      record.uses.push(use)
      let answered = false
      caller.call(hub, 'settle', async (ledger) => await ledger.settle({ hold, ...use }), ({ chargeMicroCredits }) => {
        answered = true
        scheduler.note(`hub${hub + 1} settled ${record.id.slice(0, 8)}: ${chargeMicroCredits}`)
        if (record.charged !== undefined && record.charged !== chargeMicroCredits) world.violation('settled twice', `hold ${record.id} ${record.charged} and ${chargeMicroCredits}`)
        record.charged = chargeMicroCredits
        if (chance(0.2)) refund()
      }, { expected: AFTER_HOLD, failed: (error) => { answered = error.code !== 'LEDGER_READ_ONLY' } })
      caller.after(PATIENCE_MS_MAX, () => {
        if (answered) return
        if (tries < 2 && chance(0.7)) settle(use, tries + 1)
        // The client never learned that it was served, and has it done again.
        else retryElsewhere(hub, request)
      })
    }
    const refund = () => {
      const amountMicroCredits: bigint | 'all' = chance(0.5) ? 'all' : BigInt(caller.between(1, 2_000_000))
      record.refunds += amountMicroCredits === 'all' ? record.charged ?? 0n : amountMicroCredits
      complaints += 1
      // Half of the time the same complaint again, else another one about the same hold.
      const reason = `complaint ${chance(0.5) ? 1 : complaints}`
      caller.call(hub, 'refund', async (ledger) => await ledger.refund({ hold, amountMicroCredits, reason }), ({ known, hub: at, durability }) => {
        count(report.sometimes, 'paid back')
        if (known) return
        const paid = { ...untold(), amount: amountMicroCredits }
        told(paid, at, durability)
        record.paidBack.push(paid)
      }, { expected: [...AFTER_HOLD] })
      if (complaints < 3 && chance(0.4)) caller.after(caller.between(1, 1_500), refund)
      if (chance(0.5)) {
        caller.call(hub, 'refund', async (ledger) => await ledger.refund({ hold, amountMicroCredits, reason }), () => {}, { expected: [...AFTER_HOLD] })
      }
    }
    next()
  }

  function spend(hub: number, promptTokens: number, completionTokensMax: number): void {
    const account = caller.someAccount()
    if (account === undefined) return
    begin(hub, {
      account, requestHash: random.bytes(32), model: caller.pick(MODELS)!, promptTokens, completionTokensMax,
      completionTokensMin: chance(0.5) ? completionTokensMax : Math.floor(completionTokensMax / 4),
      holdMs: chance(0.7) ? 600_000 : caller.between(500, 10_000), asked: new Map(),
    })
  }

  return {
    spend(hub: number) { spend(hub, caller.between(1, 400), caller.between(1, 1_500)) },
    'spend-much'(hub: number) { spend(hub, caller.between(1, 2_000), caller.between(1_000, 8_000)) },
    /** Several hubs at once, for the same account's last credits. */
    'spend-everywhere'() {
      const account = caller.someAccount()
      if (account === undefined) return
      const tokens = caller.between(500, 20_000)
      for (const hub of caller.hubs) {
        begin(hub, {
          account, requestHash: random.bytes(32), model: MODELS[2], promptTokens: 10, completionTokensMax: tokens, completionTokensMin: chance(0.5) ? tokens : 1, holdMs: 600_000, asked: new Map(),
        })
      }
    },
  }
}
