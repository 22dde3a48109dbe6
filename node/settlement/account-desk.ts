/**
 * A hub's answers to what accounts ask over the control protocol: who am I, which models, which receipts, a ticket, and
 * the end of a job that a consumer streamed on its own.
 */
import type { Account, ApiKeyRecord, DeviceHardware, HubLedger, ReceiptRecord } from '../../ledger/interface.ts'
import { bytesEqual } from '../../protocol/bytes.ts'
import { decode, encode } from '../../protocol/codec.ts'
import { TriforceError } from '../../protocol/errors.ts'
import { accountActions, MODELS_LISTED_MAX, RECEIPTS_LISTED_MAX, STATEMENT_FILE_CHARS_MAX, type ControlAsk } from '../../protocol/messages/control.ts'
import { receiptIdOf } from '../../protocol/messages/receipt.ts'
import { ROUTE_HOSTS_MAX } from '../../protocol/messages/route.ts'
import { ticketSchema } from '../../protocol/messages/ticket.ts'
import { peerIdOf } from '../../protocol/peer-key.ts'
import type { Clock, Log, Signer } from '../../protocol/ports.ts'
import { openDocument } from '../../protocol/signed.ts'
import type { CapacityTable } from '../capacity/table.ts'
import { listModels, listResting, modelToWire } from '../capacity/model-list.ts'
import type { JobWatch } from '../honesty/job-watch.ts'
import type { CloudMarket } from '../jobs/candidates.ts'
import type { Dispatcher } from '../jobs/dispatcher.ts'
import { routeView } from '../jobs/route-view.ts'
import type { RelayRights } from '../jobs/relay-rights.ts'
import type { Traffic } from '../net/traffic.ts'
import type { AccountGate } from './account-gate.ts'
import { creditsToWire, lineToWire, noStatementYet, readCredits } from './credits.ts'
import { summarize } from './receipt-summary.ts'
import { settleJob } from './settle.ts'
import type { KeyDesk } from './key-desk.ts'
import { checkModel, jobTermsOf } from './key-rights.ts'
import { keyToWire, usageToWire } from './key-wire.ts'

export interface AccountDeskComponents {
  readonly gate: AccountGate
  readonly ledger: HubLedger
  readonly table: CapacityTable
  readonly clouds: CloudMarket
  readonly dispatcher: Pick<Dispatcher, 'place' | 'explain'>
  /** Whoever gets a ticket may also reach its contributor through this hub. */
  readonly relayRights: Pick<RelayRights, 'grant'>
  /** True where a circuit between the two goes through this hub, or did until a moment ago. */
  readonly hasRelayed: (peer: string, contributor: string) => boolean
  readonly traffic: Pick<Traffic, 'job'>
  readonly keys: KeyDesk
  /** What a connected host said of itself, for one whose provider record has not arrived yet. */
  readonly addressesOf: (peer: string) => Promise<readonly string[]>
  /** `by`, a peer, says that another does not answer. */
  readonly reported: (peer: string, by: string) => void
  /** What a contributor announced to compute with; it may have left since. */
  readonly devicesOf: (contributor: Uint8Array) => readonly DeviceHardware[] | undefined
  /** Absent: nobody checks machines. */
  readonly checks?: Pick<JobWatch, 'pays' | 'cleared'>
  readonly signer: Signer
  readonly clock: Clock
  readonly log: Log
}

export interface AccountDesk {
  /** The body of the answer; throws what becomes an error answer. */
  answer(peer: string, question: Extract<ControlAsk, { t: 'account' }>): Promise<Uint8Array>
}

export function createAccountDesk(components: AccountDeskComponents): AccountDesk {
  const { gate, ledger, table, clouds, dispatcher, keys, signer, clock } = components

  async function models(body: Uint8Array): Promise<Uint8Array> {
    const { resting = false } = decode(accountActions.models.ask, body)
    return encode({ models: (resting ? listResting(table) : listModels(table, clouds)).slice(0, MODELS_LISTED_MAX).map(modelToWire) })
  }

  async function receipts(account: Account, body: Uint8Array): Promise<Uint8Array> {
    const { limit, before, after } = decode(accountActions.receipts.ask, body)
    const records = await ledger.receipts({
      account: account.id, limit, ...(before === undefined ? {} : { before }), ...(after === undefined ? {} : { after }),
    })
    // With a time for a cursor receipts of one frame come together; more than an answer carries are left to the other kind of cursor.
    return encode({ receipts: records.slice(0, RECEIPTS_LISTED_MAX).map(summarize) })
  }

  async function statement(account: Account, body: Uint8Array): Promise<Uint8Array> {
    const { limit, from, to, after } = decode(accountActions.statement.ask, body)
    const lines = await ledger.statement({
      account: account.id, limit, ...(from === undefined ? {} : { from }), ...(to === undefined ? {} : { to }), ...(after === undefined ? {} : { after }),
    })
    return encode({ lines: lines.map(lineToWire) })
  }

  async function statementFile(account: Account): Promise<Uint8Array> {
    const file = await ledger.statementFile(account.id)
    if (file === undefined) throw noStatementYet()
    if (file.length > STATEMENT_FILE_CHARS_MAX) {
      throw new TriforceError('FORBIDDEN', { chars: file.length }, { detail: 'the statement is too long to pass on; ask a hub for it with --api' })
    }
    return encode({ file })
  }

  async function receipt(account: Account, body: Uint8Array): Promise<Uint8Array> {
    const { id } = decode(accountActions.receipt.ask, body)
    const record = await ledger.receipt(id)
    if (record === undefined || !belongsTo(record, account)) throw new TriforceError('RECEIPT_NOT_FOUND')
    return encode({ file: await ledger.receiptFile(id) })
  }

  async function route(account: Account, key: ApiKeyRecord, body: Uint8Array): Promise<Uint8Array> {
    const { model, needs, routing } = decode(accountActions.route.ask, body)
    checkModel(key.terms, model)
    const { privacy } = jobTermsOf(key)
    return encode(routeView(await dispatcher.explain({ account: account.id, model, needs, routing, privacy, wanted: ROUTE_HOSTS_MAX })))
  }

  async function ticket(peer: string, account: Account, key: ApiKeyRecord, body: Uint8Array): Promise<Uint8Array> {
    const ask = decode(accountActions.ticket.ask, body)
    for (const model of [ask.model, ...ask.routing?.fallbackModels ?? []]) checkModel(key.terms, model)
    for (const lost of ask.unanswered ?? []) components.reported(peerIdOf(lost), peer)
    const { apiKey, privacy, friends } = jobTermsOf(key)
    const placed = await dispatcher.place({
      account: account.id, model: ask.model, requestHash: ask.requestHash, tier: account.tier, apiKey,
      ...(privacy === undefined ? {} : { privacy }), ...(friends === undefined ? {} : { friends }),
      exclude: ask.exclude.map(peerIdOf), needs: ask.needs, ...(ask.tokensMax === 0 ? {} : { tokensMax: ask.tokensMax }),
      ...(ask.routing === undefined ? {} : { routing: ask.routing }), ...(ask.affine === undefined ? {} : { affine: peerIdOf(ask.affine) }),
    })
    if (placed === undefined) return encode({ hostName: '', addresses: [] })
    const { issued, host, labels } = placed
    components.relayRights.grant(peer, host.row.peer)
    const addresses = host.addresses.length > 0 ? host.addresses : await components.addressesOf(host.row.peer)
    return encode({ ticket: issued.signed, hostName: host.row.capacity.name, addresses: addresses.filter((address) => address.length <= 256).slice(0, 16), ...labels })
  }

  async function settle(peer: string, account: Account, body: Uint8Array): Promise<Uint8Array> {
    const ask = decode(accountActions.settle.ask, body)
    const opened = openDocument('ticket', ticketSchema, ask.ticket)
    if (!bytesEqual(opened.hub, signer.publicKey) || !bytesEqual(ask.ticket.key, signer.publicKey)) {
      throw new TriforceError('TICKET_INVALID', {}, { detail: 'the ticket was issued by another hub' })
    }
    if (!bytesEqual(opened.account, account.id)) throw new TriforceError('FORBIDDEN')
    // A consumer that did not get the answer asks again; the job is settled once.
    const receiptId = receiptIdOf(opened.jobId)
    if (await ledger.receipt(receiptId) !== undefined) return encode({ receiptId, durability: 'replicated', costMicroCredits: '0' })
    // Its word, and it is paid for: never more than can have passed since the ticket.
    const observedMs = Math.min(ask.observedMs, opened.msMax, Math.max(0, clock.now() - opened.issuedAt))
    // Its word too, but a circuit that this hub never saw is none.
    const isRelayed = ask.path === 'relay' && components.hasRelayed(peer, peerIdOf(opened.contributor))
    const settled = await settleJob(components, {
      issued: { ticket: opened, signed: ask.ticket },
      seen: { usage: ask.observedUsage, finish: ask.finish, outputHash: ask.outputHash, observedMs, half: ask.half },
      path: isRelayed ? 'relay' : 'direct', devices: components.checks?.pays(opened.contributor) === false ? undefined : components.devicesOf(opened.contributor),
    })
    components.traffic.job(isRelayed ? 'relayed' : 'direct')
    components.checks?.cleared(opened.jobId, opened.contributor)
    return encode({ receiptId: settled.receiptId, durability: settled.durability, costMicroCredits: settled.costMicroCredits.toString() })
  }

  return {
    async answer(peer, question) {
      const { action, account, key } = gate.admit(question.authorization, question.body)
      switch (action) {
        case 'account':
          return encode({ account: account.id, name: account.name, tier: account.tier, balance: account.balanceMicroCredits.toString(), ...(key.terms === undefined ? {} : { terms: key.terms }) })
        case 'keys': return encode({ keys: keys.list(account.id).map(keyToWire) })
        case 'addKey': {
          const { terms, ...asked } = decode(accountActions.addKey.ask, question.body)
          await keys.add(key, { ...asked, ...(terms === undefined ? {} : { terms }) })
          return encode({})
        }
        case 'revokeKey': {
          await keys.revoke(key, decode(accountActions.revokeKey.ask, question.body).publicKey)
          return encode({})
        }
        case 'usage': return encode(usageToWire(await keys.usage(account.id, decode(accountActions.usage.ask, question.body))))
        case 'models': return models(question.body)
        case 'route': return route(account, key, question.body)
        case 'receipts': return receipts(account, question.body)
        case 'receipt': return receipt(account, question.body)
        case 'credits': return encode(creditsToWire(await readCredits(ledger, account, clock.now())))
        case 'statement': return statement(account, question.body)
        case 'statementFile': return statementFile(account)
        case 'ticket': return ticket(peer, account, key, question.body)
        case 'settle': return settle(peer, account, question.body)
        case 'relay': throw new TriforceError('PROTOCOL_VIOLATION', { action }, { detail: 'a relayed job is asked for on the job protocol' })
      }
    },
  }
}

/** Payer and contributor may see a receipt. */
export function belongsTo(record: ReceiptRecord, account: Account): boolean {
  return bytesEqual(record.account, account.id) || bytesEqual(record.contributor, account.publicKey)
}
