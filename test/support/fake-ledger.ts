/** A ledger in memory: admits receipts as the real one does, keeps what it is given, and holds or refuses an append where the test says so. */
import type {
  Account, AccountMoney, AppendResult, DeviceHardware, HubLedger, LendingRecord, PresenceFact, ReceiptRecord, StatementLine,
} from '../../ledger/interface.ts'
import { admitReceipt } from '../../ledger/admission.ts'
import { accountIdOf } from '../../protocol/api-key.ts'
import { bytesEqual, toHex } from '../../protocol/bytes.ts'
import { decode } from '../../protocol/codec.ts'
import { TriforceError } from '../../protocol/errors.ts'
import { receiptIdOf, type Receipt } from '../../protocol/messages/receipt.ts'
import { ticketSchema } from '../../protocol/messages/ticket.ts'

export interface FakeLedger extends Pick<
  HubLedger, 'appendReceipt' | 'account' | 'accounts' | 'apiKey' | 'ownedBy' | 'receipt' | 'receiptFile' | 'receipts' | 'openAccount' | 'addKey' | 'revokeKey' | 'grant'
  | 'money' | 'statement' | 'statementFile' | 'presence' | 'earningRate' | 'lending' | 'price' | 'hold' | 'extend' | 'progress' | 'settle' | 'expire'
> {
  readonly appended: Receipt[]
  /** Devices that came with each receipt. */
  readonly devices: (readonly DeviceHardware[] | undefined)[]
  readonly presences: PresenceFact[]
  /** What `statement` lists, newest first, and what `money` and `statementFile` say of every account. */
  lines: StatementLine[]
  moneyOf: AccountMoney
  lendingOf: LendingRecord
  /** Keys that were revoked: they never come back. */
  readonly revoked: Set<string>
  file: string | undefined
  /** µcr that every account has for holds, and what happened to them in order: `hold 12`, `extend 34`, `settle 3+4`, `expire`. */
  credits: bigint
  readonly spending: string[]
  /** Called before an append is taken; a throw refuses it, a pending promise holds it. */
  onAppend: (receipt: Receipt) => Promise<void> | void
  /** Opens an account whose own key is an API key too. */
  addAccount(publicKey: Uint8Array, part?: Partial<Account>): Account
}

export function fakeLedger(): FakeLedger {
  const accounts = new Map<string, Account>()
  const keys = new Map<string, Account>()
  const records: ReceiptRecord[] = []
  const done: AppendResult = { hub: 0, epoch: 0, seq: 0, durability: 'replicated', known: false }
  const ledger: FakeLedger = {
    appended: [],
    devices: [],
    presences: [],
    lines: [],
    moneyOf: {
      balance: { available: 0n, held: 0n, inflight: 0n, frozen: 0n, back: 0n, debt: 0n }, quota: { day: 20_000, tokensPerDay: 10_000, usedTokens: 0 },
      earnedUnpaid: 0n, earnedPaid: 0n,
    },
    lendingOf: { devices: [], probation: { active: true, receipts: 0, receiptsMin: 50, firstAt: undefined, ageMsMin: 604_800_000 } },
    revoked: new Set(),
    file: undefined,
    credits: 1_000_000_000n,
    spending: [],
    onAppend: () => {},
    addAccount(publicKey, part = {}) {
      const account: Account = { id: accountIdOf(publicKey), publicKey, name: 'someone', tier: 'free', balanceMicroCredits: 0n, ...part }
      accounts.set(toHex(account.id), account)
      keys.set(toHex(publicKey), account)
      return account
    },
    openAccount: ({ publicKey, name, tier }) => {
      ledger.addAccount(publicKey, { name, tier })
      return Promise.resolve(done)
    },
    addKey: ({ publicKey, account }) => {
      const [key, owner] = [toHex(publicKey), accounts.get(toHex(account))]
      if (ledger.revoked.has(key) || owner === undefined) return Promise.reject(new TriforceError('ENTRY_INVALID'))
      if (keys.has(key) && keys.get(key) !== owner) return Promise.reject(new TriforceError('ENTRY_CONFLICT'))
      keys.set(key, owner)
      return Promise.resolve(done)
    },
    revokeKey: ({ publicKey }) => {
      ledger.revoked.add(toHex(publicKey))
      keys.delete(toHex(publicKey))
      return Promise.resolve(done)
    },
    grant: () => Promise.resolve(done),
    async appendReceipt(receipt, devices) {
      await ledger.onAppend(receipt)
      const { network, hub, jobId, account, contributor } = decode(ticketSchema, receipt.ticket)
      admitReceipt(receipt, { network, hubKey: hub })
      ledger.appended.push(receipt)
      ledger.devices.push(devices)
      records.push({ id: receiptIdOf(jobId), receipt, account, contributor, hub: 0, epoch: 0, seq: records.length, loggedAt: records.length })
      return done
    },
    account: (id) => accounts.get(toHex(id)),
    accounts: () => [...accounts.values()],
    ownedBy: (owner) => (publicKey) => {
      const account = keys.get(publicKey)
      return account !== undefined && bytesEqual(account.id, owner)
    },
    apiKey: (publicKey) => {
      const account = keys.get(toHex(publicKey))
      return account === undefined ? undefined : { publicKey, account: account.id, name: 'key', createdAt: 0 }
    },
    receipt: (id) => Promise.resolve(records.find((record) => toHex(record.id) === toHex(id))),
    receiptFile: (id) => Promise.resolve(`file of ${toHex(id)}`),
    receipts: ({ limit }) => Promise.resolve(records.slice(-limit).reverse()),
    money: (id) => accounts.has(toHex(id)) ? ledger.moneyOf : undefined,
    statement: ({ from = 0, to = Infinity, after, limit }) => {
      const start = after === undefined ? 0 : ledger.lines.findIndex(({ id }) => toHex(id) === toHex(after.id)) + 1
      return Promise.resolve(ledger.lines.slice(start).filter(({ at }) => at >= from && at < to).slice(0, limit))
    },
    // The plan's rates of two classes; an Unlimited account earns twice.
    earningRate: (hardware, tier) => {
      const busy = BigInt(/4090/.test(hardware?.name ?? '') ? 40_000_000 : 1_000_000) * (tier === 'unlimited' ? 2n : 1n)
      return { class: hardware === undefined ? 'cpu' : 'rtx-4090', busyMicroCreditsPerHour: busy, standbyMicroCreditsPerHour: busy * 3n / 10n }
    },
    lending: (id) => accounts.has(toHex(id)) ? ledger.lendingOf : undefined,
    statementFile: () => Promise.resolve(ledger.file),
    presence: (fact) => void ledger.presences.push(fact),
    ...fakeSpending(() => ledger),
  }
  return ledger
}

/** 1 µcr a token, whoever asks; a hold covers what the credits pay for. */
function fakeSpending(ledger: () => FakeLedger): Pick<FakeLedger, 'price' | 'hold' | 'extend' | 'progress' | 'settle' | 'expire'> {
  const holds = new Map<string, { tokens: bigint }>()

  function cover(hold: Uint8Array, promptTokens: number, most: number, least: number, known: bigint): Awaited<ReturnType<HubLedger['hold']>> {
    const room = ledger().credits + known - BigInt(promptTokens)
    const completionTokensMax = Number(room < BigInt(most) ? room : BigInt(most))
    if (completionTokensMax < least) throw new TriforceError('INSUFFICIENT_CREDITS')
    const tokens = BigInt(promptTokens + completionTokensMax)
    ledger().credits += known - tokens
    holds.set(toHex(hold), { tokens })
    return {
      hold, hub: 0, epoch: 0, priceRow: 'row', priceRev: 3, creditsMicroCredits: tokens, quotaTokens: 0, completionTokensMax, expiresAt: 0,
      durability: 'replicated', known: false, settled: undefined,
    }
  }

  return {
    price: () => ({ row: 'row', rev: 3, promptMicroCredits: 1_000n, completionMicroCredits: 1_000n }),
    async hold({ request, promptTokens, completionTokensMax, completionTokensMin = completionTokensMax }) {
      const held = cover(request, promptTokens, completionTokensMax, completionTokensMin, 0n)
      ledger().spending.push(`hold ${promptTokens}+${held.completionTokensMax}`)
      return held
    },
    async extend({ hold, promptTokens, completionTokensMax }) {
      const held = cover(hold, promptTokens, completionTokensMax, completionTokensMax, holds.get(toHex(hold))!.tokens)
      ledger().spending.push(`extend ${promptTokens}+${completionTokensMax}`)
      return held
    },
    progress: () => Promise.resolve(),
    async settle({ hold, promptTokens, completionTokens }) {
      const { tokens } = holds.get(toHex(hold))!
      const used = BigInt(promptTokens + completionTokens)
      const chargeMicroCredits = used < tokens ? used : tokens
      holds.delete(toHex(hold))
      ledger().credits += tokens - chargeMicroCredits
      ledger().spending.push(`settle ${promptTokens}+${completionTokens}`)
      return { promptTokens, completionTokens, chargeMicroCredits, quotaTokens: 0 }
    },
    async expire(hold) {
      ledger().credits += holds.get(toHex(hold))!.tokens
      holds.delete(toHex(hold))
      ledger().spending.push('expire')
    },
  }
}
