/** The gateway of a hub: answers from its own ledger, table and dispatcher. */
import type { Account, ApiKeyRecord, HubLedger } from '../ledger/interface.ts'
import { apiKeySigner } from '../protocol/api-key.ts'
import type { JobRequest } from '../protocol/completion.ts'
import { mayUseModel } from '../protocol/key-terms.ts'
import { TriforceError } from '../protocol/errors.ts'
import type { CapacityTable } from './capacity/table.ts'
import { listModels, listResting } from './capacity/model-list.ts'
import type { AccountInfo, AdminGateway, CompleteOptions, Gateway, NodeStatus, Principal } from './gateway.ts'
import type { CloudMarket } from './jobs/candidates.ts'
import { ROUTE_HOSTS_MAX } from '../protocol/messages/route.ts'
import type { Dispatcher } from './jobs/dispatcher.ts'
import { routeView } from './jobs/route-view.ts'
import type { JobOrder } from './jobs/job-order.ts'
import type { RemoteJobs } from './jobs/remote-job.ts'
import { collectEmbeddings } from './jobs/vectors.ts'
import type { Clock } from '../protocol/ports.ts'
import { belongsTo } from './settlement/account-desk.ts'
import { noStatementYet, readCredits } from './settlement/credits.ts'
import { summarize } from './settlement/receipt-summary.ts'
import type { KeyDesk } from './settlement/key-desk.ts'
import { checkExpiry, checkModel, jobTermsOf } from './settlement/key-rights.ts'

export interface HubGatewayComponents {
  readonly ledger: HubLedger
  readonly table: CapacityTable
  readonly clouds: CloudMarket
  readonly dispatcher: Dispatcher
  readonly keys: KeyDesk
  /** Jobs that another hub runs for a key of an account; undefined for this hub, and where that one is not connected. */
  readonly jobsAt?: (hub: number) => Pick<RemoteJobs, 'run'> | undefined
  readonly clock: Clock
  readonly status: () => NodeStatus
  /** True for the key of a machine that is lent, which is no API key. */
  readonly isNodeKey?: (publicKey: Uint8Array) => boolean
}

export function createHubGateway({ ledger, table, clouds, dispatcher, keys, jobsAt = () => undefined, clock, status, isNodeKey = () => false }: HubGatewayComponents): Gateway {
  function accountOf(principal: Principal): Account {
    const account = ledger.account(principal.account)
    if (account === undefined) throw new TriforceError('INVALID_API_KEY')
    return account
  }

  /** Throws INVALID_API_KEY where it was revoked meanwhile. */
  function keyOf({ signer }: Principal): ApiKeyRecord {
    const key = ledger.apiKey(signer.publicKey)
    if (key === undefined) throw new TriforceError('INVALID_API_KEY')
    return key
  }

  /** Throws FORBIDDEN for a model that the key may not use. */
  function orderOf<Request extends JobRequest>(principal: Principal, request: Request, { signal, routing }: CompleteOptions): JobOrder<Request> {
    for (const model of [request.model, ...routing?.fallbackModels ?? []]) checkModel(principal.terms, model)
    return {
      account: principal.account, request, tier: principal.tier, signal, ...(routing === undefined ? {} : { routing }), ...jobTermsOf(keyOf(principal)),
    }
  }

  return {
    async authenticate(apiKey) {
      const signer = apiKeySigner(apiKey)
      const key = signer === undefined || isNodeKey(signer.publicKey) ? undefined : ledger.apiKey(signer.publicKey)
      const account = key === undefined ? undefined : ledger.account(key.account)
      if (signer === undefined || key === undefined || account === undefined) throw new TriforceError('INVALID_API_KEY')
      const { terms } = key
      checkExpiry(terms, clock.now())
      return { account: account.id, accountName: account.name, tier: account.tier, signer, ...(terms === undefined ? {} : { terms }) }
    },
    models: ({ terms }, { resting = false } = {}) => Promise.resolve((resting ? listResting(table) : listModels(table, clouds)).filter(({ id }) => terms === undefined || mayUseModel(terms, id))),
    async route({ account, terms }, { model, needs, routing }) {
      checkModel(terms, model)
      return routeView(await dispatcher.explain({ account, model, needs, routing, privacy: terms?.privacy, wanted: ROUTE_HOSTS_MAX }))
    },
    complete(principal, request, options) {
      const order = orderOf(principal, request, options)
      // One log counts a budget. Where its hub is away, what is free is served here all the same.
      const home = order.key === undefined ? undefined : ledger.clearingHub(principal.account)
      const atHome = home === undefined ? undefined : jobsAt(home)
      return atHome === undefined ? dispatcher.run(order) : atHome.run(principal.signer, request, options)
    },
    embed: (principal, request, options) => collectEmbeddings(dispatcher.run(orderOf(principal, request, options)), request.inputs.length, options),
    account: async (principal) => accountInfo(accountOf(principal)),
    async receipts(principal, options) {
      return (await ledger.receipts({ account: principal.account, ...options })).map(summarize)
    },
    async receiptFile(principal, id) {
      const record = await ledger.receipt(id)
      const file = record === undefined || !belongsTo(record, accountOf(principal)) ? undefined : await ledger.receiptFile(id)
      if (file === undefined) throw new TriforceError('RECEIPT_NOT_FOUND')
      return file
    },
    credits: async (principal) => await readCredits(ledger, accountOf(principal), clock.now()),
    statement: async (principal, query) => await ledger.statement({ account: principal.account, ...query }),
    async statementFile(principal) {
      const file = await ledger.statementFile(principal.account)
      if (file === undefined) throw noStatementYet()
      return file
    },
    keys: async (principal) => keys.list(principal.account),
    addKey: async (principal, key) => { await keys.add(keyOf(principal), key) },
    revokeKey: async (principal, publicKey) => { await keys.revoke(keyOf(principal), publicKey) },
    usage: async (principal, time) => await keys.usage(principal.account, time),
    status,
  }
}

export interface AdminGatewayOptions {
  readonly hubNames: readonly string[]
  readonly hubIndex: number
}

export function createAdminGateway({ ledger }: { readonly ledger: HubLedger }, { hubNames, hubIndex }: AdminGatewayOptions): AdminGateway {
  return {
    hubNames,
    hubIndex,
    accounts: () => ledger.accounts().map(accountInfo),
    async openAccount(account) {
      await ledger.openAccount(account)
      const opened = ledger.accounts().find((one) => Buffer.compare(one.publicKey, account.publicKey) === 0)
      if (opened === undefined) throw new TriforceError('INTERNAL', {}, { detail: 'the account was logged but is not there' })
      return accountInfo(opened)
    },
    async addKey(key) {
      await ledger.addKey(key)
    },
    async revokeKey(key) {
      await ledger.revokeKey(key)
    },
    keys: (account) => ledger.apiKeys(account),
    grant: async (grant) => await ledger.grant(grant),
    setTier: async (change) => await ledger.setTier(change),
    audit: async (options) => await ledger.audit(options),
    seal: async (hub, options) => { await ledger.seal(hub, options) },
    propose: async (change) => await ledger.proposeChange(change),
    approve: async (id) => await ledger.approveChange(id),
    changes: () => ledger.changes(),
    table: (name) => ledger.table(name),
  }
}

function accountInfo(account: Account): AccountInfo {
  return { account: account.id, name: account.name, tier: account.tier, balanceMicroCredits: account.balanceMicroCredits }
}
