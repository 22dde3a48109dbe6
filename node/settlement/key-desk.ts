/** What an account may ask a hub about its own API keys: list, make, revoke, and how much was used, by day, model and key. */
import type { ApiKeyRecord, HubLedger, ListCursor } from '../../ledger/interface.ts'
import { keyIdOf } from '../../protocol/api-key.ts'
import { bytesEqual, toHex } from '../../protocol/bytes.ts'
import { decode } from '../../protocol/codec.ts'
import { TriforceError } from '../../protocol/errors.ts'
import type { KeyTerms } from '../../protocol/key-terms.ts'
import { ticketSchema } from '../../protocol/messages/ticket.ts'

export interface OwnKey extends ApiKeyRecord {
  /** µcr that its holds have taken, where it has a budget. */
  readonly use?: { readonly today: bigint; readonly total: bigint }
}

export interface UsageRow {
  /** UTC day, days since 1970. */
  readonly day: number
  readonly model: string
  /** Name of the key; empty where the key is not known any more. */
  readonly key: string
  readonly requests: number
  readonly promptTokens: number
  readonly completionTokens: number
  readonly costMicroCredits: bigint
}

export interface Usage {
  readonly rows: readonly UsageRow[]
  /** False: there is more than was read; ask for a shorter time. */
  readonly complete: boolean
}

export interface KeyDesk {
  list(account: Uint8Array): readonly OwnKey[]
  /** `by` is the key that asks. Throws FORBIDDEN where it may not give away what it lacks itself. */
  add(by: ApiKeyRecord, key: { readonly publicKey: Uint8Array; readonly name: string; readonly terms?: KeyTerms }): Promise<void>
  /** Throws NOT_FOUND where it is no API key of the account. */
  revoke(by: ApiKeyRecord, publicKey: Uint8Array): Promise<void>
  /** `from` inclusive, `to` exclusive, Unix ms. */
  usage(account: Uint8Array, time: { readonly from: number; readonly to: number }): Promise<Usage>
}

export interface KeyDeskOptions {
  /** API keys of one account. Default 1,000. */
  readonly keysMax?: number
  /** Receipts read for one answer. Default 20,000: below a second. */
  readonly receiptsMax?: number
  readonly isNodeKey?: (publicKey: Uint8Array) => boolean
}

const MS_PER_DAY = 86_400_000
const PAGE = 100

type DeskLedger = Pick<HubLedger, 'apiKeys' | 'addKey' | 'revokeKey' | 'keyUse' | 'receipts' | 'statement'>

export function createKeyDesk({ ledger }: { readonly ledger: DeskLedger }, options: KeyDeskOptions = {}): KeyDesk {
  const { keysMax = 1_000, receiptsMax = 20_000, isNodeKey = () => false } = options

  const keysOf = (account: Uint8Array) => ledger.apiKeys(account).filter(({ publicKey }) => !isNodeKey(publicKey))

  /** µcr by receipt id, hexadecimal: what its settlement cost, less what was paid back. */
  async function costsOf(account: Uint8Array, time: { readonly from: number; readonly to: number }): Promise<{ costs: Map<string, bigint>; complete: boolean }> {
    const costs = new Map<string, bigint>()
    const byHold = new Map<string, string>()
    const refunds: { hold: string; amount: bigint }[] = []
    const complete = await pages(receiptsMax, (after) => ledger.statement({ account, from: time.from, limit: PAGE, ...(after === undefined ? {} : { after }) }), ({ at, id }) => ({ at, id }), (line) => {
      const hold = line.hold === undefined ? undefined : toHex(line.hold)
      if (line.kind === 'Settle' && line.receipt !== undefined) {
        costs.set(toHex(line.receipt), -line.amount)
        if (hold !== undefined) byHold.set(hold, toHex(line.receipt))
      } else if (line.kind === 'Refund' && hold !== undefined) refunds.push({ hold, amount: line.amount })
      return true
    })
    for (const { hold, amount } of refunds) {
      const receipt = byHold.get(hold)
      if (receipt !== undefined) costs.set(receipt, costs.get(receipt)! - amount)
    }
    return { costs, complete }
  }

  return {
    list: (account) => keysOf(account).map((key) => key.terms?.dayBudget === undefined && key.terms?.totalBudget === undefined ? key
      : { ...key, use: ledger.keyUse(key.publicKey) }),

    async add(by, { publicKey, name, terms }) {
      checkGiving(by.terms, terms)
      if (keysOf(by.account).length >= keysMax) {
        throw new TriforceError('FORBIDDEN', { keysMax }, { detail: `the account has ${keysMax} API keys: revoke one first` })
      }
      await ledger.addKey({ publicKey, account: by.account, name, ...(terms === undefined ? {} : { terms }) })
    },

    async revoke(by, publicKey) {
      if (!keysOf(by.account).some((key) => bytesEqual(key.publicKey, publicKey))) {
        throw new TriforceError('NOT_FOUND', {}, { detail: 'the account has no such API key' })
      }
      await ledger.revokeKey({ publicKey })
    },

    async usage(account, time) {
      const names = new Map(ledger.apiKeys(account).map(({ publicKey, name }) => [toHex(keyIdOf(publicKey)), name]))
      const { costs, complete: costsComplete } = await costsOf(account, time)
      const rows = new Map<string, UsageRow>()
      const complete = await pages(receiptsMax, (after) => ledger.receipts({
        account, limit: PAGE, ...(after === undefined ? { before: time.to } : { after }),
      }), ({ loggedAt, id }) => ({ at: loggedAt, id }), (record) => {
        if (record.loggedAt < time.from) return false
        if (record.loggedAt >= time.to) return true
        const ticket = decode(ticketSchema, record.receipt.ticket)
        // A contributor sees receipts of work that it did for others; that is not its use.
        if (!bytesEqual(ticket.account, account)) return true
        const { usage } = record.receipt.observation
        const day = Math.floor(record.loggedAt / MS_PER_DAY)
        const key = ticket.apiKey === undefined ? '' : names.get(toHex(ticket.apiKey)) ?? ''
        const name = `${day}\0${ticket.model}\0${key}`
        const row = rows.get(name) ?? { day, model: ticket.model, key, requests: 0, promptTokens: 0, completionTokens: 0, costMicroCredits: 0n }
        rows.set(name, {
          ...row, requests: row.requests + 1, promptTokens: row.promptTokens + usage.promptTokens, completionTokens: row.completionTokens + usage.completionTokens,
          costMicroCredits: row.costMicroCredits + (costs.get(toHex(record.id)) ?? 0n),
        })
        return true
      })
      const sorted = [...rows.values()].sort((a, b) => b.day - a.day || compare(a.model, b.model) || compare(a.key, b.key))
      return { rows: sorted, complete: complete && costsComplete }
    },
  }
}

const compare = (a: string, b: string) => (a < b ? -1 : a > b ? 1 : 0)

/** Whoever is limited cannot make a key that is not: only scopes may be passed on by a key with terms. Throws FORBIDDEN. */
function checkGiving(own: KeyTerms | undefined, given: KeyTerms | undefined): void {
  if (own === undefined) return
  const { scopes, ...limits } = own
  if (Object.values(limits).some((limit) => limit !== undefined)) {
    throw new TriforceError('FORBIDDEN', {}, { detail: 'a key with an expiry, models, a budget or a privacy class cannot make other keys' })
  }
  const more = scopes === undefined ? undefined : (given?.scopes ?? ['inference', 'account', 'keys'] as const).find((scope) => !scopes.includes(scope))
  if (more !== undefined) throw new TriforceError('FORBIDDEN', { scope: more }, { detail: `this key lacks the scope "${more}" itself` })
}

/** Reads page after page, newest first, until `take` gives false or there is no more. False where `most` came before the end. */
async function pages<Item>(
  most: number, read: (after: ListCursor | undefined) => Promise<readonly Item[]>, cursorOf: (item: Item) => ListCursor, take: (item: Item) => boolean,
): Promise<boolean> {
  let after: ListCursor | undefined
  for (let count = 0; count < most;) {
    const page = await read(after)
    for (const item of page) if (!take(item)) return true
    const last = page.at(-1)
    if (last === undefined || page.length < PAGE) return true
    after = cursorOf(last)
    count += page.length
  }
  return false
}
