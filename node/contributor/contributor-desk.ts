/**
 * A hub's answers about lending: takes orders that nodes and accounts signed, binds a node to the account that agreed, and
 * says what a machine earns and what is missing. Who brings an order does not matter, only who signed it.
 */
import type { Account, HubLedger } from '../../ledger/interface.ts'
import { bytesEqual } from '../../protocol/bytes.ts'
import { encode } from '../../protocol/codec.ts'
import { TriforceError } from '../../protocol/errors.ts'
import { CLOCK_SKEW_MS_MAX } from '../../protocol/limits.ts'
import {
  contributorOrderSchema, lendingConsentSchema, type ContributorOrder, type LendingStatus, type RegistrationInfo,
} from '../../protocol/messages/contributor.ts'
import type { ControlQuestion } from '../../protocol/messages/control.ts'
import { peerIdOf } from '../../protocol/peer-key.ts'
import type { Clock, Log } from '../../protocol/ports.ts'
import { openDocument, type Signed } from '../../protocol/signed.ts'
import { createMinuteBudget } from './minute-budget.ts'
import type { PassedByTable } from './passed-by.ts'
import { viewOf, type RegistrationViewComponents } from './registration-view.ts'
import { registrationIdOf, type Claims, type Registration, type Registry } from './registry.ts'

export interface ContributorDeskComponents extends RegistrationViewComponents {
  readonly ledger: Pick<HubLedger, 'account' | 'apiKey' | 'addKey' | 'revokeKey' | 'earningRate' | 'lending' | 'money'>
  readonly registry: Registry
  readonly passedBy: Pick<PassedByTable, 'of'>
  /** Tells the other hubs of an order that came from elsewhere; nobody waits for it. */
  readonly passOn: (order: Signed) => void
  /** Begins the checks of a machine that failed them again; throws NOT_FOUND or FORBIDDEN where it does not. */
  readonly recheck: (node: Uint8Array) => void
  readonly isHub: (peer: string) => boolean
  readonly clock: Clock
  readonly log: Log
}

export interface ContributorDeskOptions {
  readonly network: string
  readonly hubName: string
  /** Orders a minute from one peer, and from all. Default 60 and 6,000. */
  readonly ordersPerMinute?: number
  readonly allOrdersPerMinute?: number
}

type Question = Extract<ControlQuestion, { t: 'contributor' }>

export interface ContributorDesk {
  /** The body of the answer (contributorTells); throws what becomes an error answer. `peer`: who brings it. */
  answer(peer: string, question: Question): Promise<Uint8Array>
}

export function createContributorDesk(components: ContributorDeskComponents, options: ContributorDeskOptions): ContributorDesk {
  const { ledger, registry, table, passedBy, passOn, isHub, clock } = components
  const log = components.log.child('lending')
  const { network, hubName, ordersPerMinute = 60, allOrdersPerMinute = 6_000 } = options
  const budget = createMinuteBudget({ clock }, { perPeer: ordersPerMinute, all: allOrdersPerMinute, what: 'orders about machines' })

  function open(document: Signed): ContributorOrder {
    const order = openDocument('contributorOrder', contributorOrderSchema, document)
    checkFresh(order)
    return order
  }

  function checkFresh(document: { readonly network: string; readonly sentAt: number }): void {
    if (document.network !== network) throw new TriforceError('FORBIDDEN', {}, { detail: 'the order is for another federation' })
    if (Math.abs(clock.now() - document.sentAt) > CLOCK_SKEW_MS_MAX) {
      throw new TriforceError('FORBIDDEN', {}, { detail: 'the clocks of this machine and of the hub differ by over a minute, or the order is old; set the clock' })
    }
  }

  /** The account behind an API key. A node's key is none: it lends and may not decide for the account. */
  function accountOf(key: Uint8Array): Account {
    const record = registry.isNodeKey(key) ? undefined : ledger.apiKey(key)
    const account = record === undefined ? undefined : ledger.account(record.account)
    if (account === undefined) throw new TriforceError('INVALID_API_KEY')
    return account
  }

  /** Binds the node's key to the account that agreed; gives the account it earns for. */
  async function bind(node: Uint8Array, name: string, consent: Signed | undefined): Promise<Account> {
    const agreed = consent === undefined ? undefined : agreedBy(consent, node)
    const bound = ledger.apiKey(node)
    if (bound === undefined) {
      if (agreed === undefined) {
        throw new TriforceError('FORBIDDEN', { missing: 'consent' }, { detail: 'this machine earns for no account yet; start it with the API key of one: triforce start --mode contributor --key tf-…' })
      }
      await ledger.addKey({ publicKey: node, account: agreed.id, name }).catch((reason: unknown) => {
        // Another hub may have bound it in the same moment.
        if (!isBoundTo(agreed.id)) throw reason
      })
      return agreed
    }
    const account = ledger.account(bound.account)
    if (account === undefined) throw new TriforceError('INVALID_API_KEY')
    if (bytesEqual(account.publicKey, node)) throw new TriforceError('FORBIDDEN', {}, { detail: 'this is the key of an account, not of a machine; use the node\'s own key' })
    if (agreed !== undefined && !bytesEqual(agreed.id, account.id)) {
      throw new TriforceError('FORBIDDEN', { bound: account.name }, { detail: 'this machine\'s key earns for another account, and that cannot be changed; start it with a new --dir to earn for this one' })
    }
    return account

    function isBoundTo(id: Uint8Array): boolean {
      const known = ledger.apiKey(node)
      return known !== undefined && bytesEqual(known.account, id)
    }
  }

  function agreedBy(consent: Signed, node: Uint8Array): Account {
    const opened = openDocument('lendingConsent', lendingConsentSchema, consent)
    checkFresh(opened)
    if (!bytesEqual(opened.node, node)) throw new TriforceError('FORBIDDEN', {}, { detail: 'the account has agreed to another machine' })
    return accountOf(consent.key)
  }

  /** Keeps what is newer than what is known; the same document again is the same answer. */
  function keep(document: Signed, claims: Claims, account: Account): Registration {
    const id = registrationIdOf(document, claims, account.id)
    const known = registry.get(id)
    if (known !== undefined && known.claims.sentAt >= claims.sentAt) {
      if (known.leftAt === undefined && bytesEqual(known.order.signature, document.signature)) return known
      throw new TriforceError('FORBIDDEN', {}, { detail: 'a newer order about this machine is known; this one is old or was sent before' })
    }
    const decidedAt = claims.do === 'register' ? claims.startedAt : claims.sentAt
    if (known?.leftAt !== undefined && decidedAt <= known.leftAt) {
      throw new TriforceError('UNREGISTERED')
    }
    const registration: Registration = {
      id, account: account.id, node: claims.do === 'register' ? document.key : undefined, claims, order: document,
      registeredAt: known === undefined || known.leftAt !== undefined ? clock.now() : known.registeredAt, leftAt: undefined,
    }
    registry.put(registration)
    return registration
  }

  async function register(document: Signed, claims: Extract<Claims, { do: 'register' }>, consent: Signed | undefined): Promise<RegistrationInfo> {
    const account = await bind(document.key, claims.name || 'contributor', consent)
    const registration = keep(document, claims, account)
    // What was announced for this machine has come true.
    for (const other of registry.ofAccount(account.id)) if (other.node === undefined && isSameHardware(other.claims, claims)) registry.remove(other.id)
    log.debug('machine registered', { peer: peerIdOf(document.key), gpus: claims.hardware.gpus.length })
    return viewOf(components, registration)
  }

  /** For the machine itself, and for its account. */
  function machineFor(document: Signed, id: Uint8Array): Registration {
    const known = registry.get(id)
    const isItself = known?.node !== undefined && bytesEqual(known.node, document.key)
    if (known === undefined || (!isItself && !bytesEqual(accountOf(document.key).id, known.account))) {
      throw new TriforceError('NOT_FOUND', {}, { detail: 'no machine with this id is registered for the account here' })
    }
    return known
  }

  function recheck(document: Signed, id: Uint8Array): RegistrationInfo {
    const known = machineFor(document, id)
    if (known.node === undefined) throw new TriforceError('NOT_FOUND', {}, { detail: 'no node runs on this machine yet, so nobody has checked it' })
    try {
      components.recheck(known.node)
    } catch (reason) {
      // It is another hub that found it bad; that one got the order too.
      if (components.checkOf(known.node).state !== 'suspected') throw reason
    }
    return viewOf(components, known)
  }

  async function unregister(document: Signed, order: Extract<ContributorOrder, { do: 'unregister' }>): Promise<void> {
    const known = machineFor(document, order.id)
    if (order.revoke && known.node !== undefined) await ledger.revokeKey({ publicKey: known.node })
    if (known.node === undefined) registry.remove(known.id)
    else if (known.leftAt === undefined || known.leftAt < order.sentAt) registry.put({ ...known, leftAt: order.sentAt })
    log.info('machine unregistered', { revoked: order.revoke })
  }

  function machinesFor(key: Uint8Array): readonly Registration[] {
    const own = registry.ofNode(key)
    if (own === undefined) return registry.ofAccount(accountOf(key).id)
    if (own.leftAt !== undefined) throw new TriforceError('UNREGISTERED')
    return [own]
  }

  function status(key: Uint8Array): LendingStatus {
    const machines = machinesFor(key)
    const account = machines[0]?.account ?? accountOf(key).id
    const money = ledger.money(account)
    const devices = ledger.lending(account)?.devices ?? []
    if (money === undefined) throw new TriforceError('INVALID_API_KEY')
    return {
      hub: hubName,
      machines: machines.map((registration) => {
        const { node } = registration
        const earned = devices.filter(({ contributor }) => node !== undefined && bytesEqual(contributor, node)).slice(0, 64)
        const peer = node === undefined ? undefined : peerIdOf(node)
        return {
          registration: viewOf(components, registration),
          ...(peer === undefined ? {} : { passedBy: passedBy.of(peer, table.get(peer)?.capacity.models.map(({ id }) => id) ?? []) }),
          earned: earned.map((record) => ({
            device: record.device, receipts: record.receipts, firstAt: record.firstAt, earned: record.earned.toString(), paid: record.paid.toString(),
            time: record.time.slice(0, 64).map(({ microCreditsPerHour, ms }) => ({ microCreditsPerHour: microCreditsPerHour.toString(), ms: Math.floor(ms) })),
          })),
        }
      }),
      money: {
        unpaid: money.earnedUnpaid.toString(), paid: money.earnedPaid.toString(), heldBack: money.balance.back.toString(),
        available: (money.balance.available + money.balance.inflight).toString(),
      },
    }
  }

  return {
    async answer(peer, { order: document, consent }) {
      // What hubs pass on was counted where it came from.
      if (!isHub(peer)) budget.take(peer, 1)
      const order = open(document)
      switch (order.do) {
        case 'register': return encode(await register(document, order, consent))
        case 'announce': {
          const info = viewOf(components, keep(document, order, accountOf(document.key)))
          if (!isHub(peer)) passOn(document)
          return encode(info)
        }
        case 'unregister':
          await unregister(document, order)
          if (!isHub(peer)) passOn(document)
          return encode({ id: order.id })
        case 'recheck': {
          if (!isHub(peer)) passOn(document)
          return encode(recheck(document, order.id))
        }
        case 'list': return encode({ registrations: machinesFor(document.key).map((registration) => viewOf(components, registration)) })
        case 'status': return encode(status(document.key))
      }
    },
  }
}

/** True where the machine has a GPU like each that was announced: `RTX 4090` is `NVIDIA GeForce RTX 4090`. */
function isSameHardware(announced: Claims, found: Claims): boolean {
  const names = found.hardware.gpus.map(({ name }) => name.toLowerCase())
  if (announced.hardware.gpus.length === 0) return names.length === 0
  return announced.hardware.gpus.every(({ name }) => names.some((known) => known.includes(name.toLowerCase())))
}
