import { createKeyDesk } from '../../../node/settlement/key-desk.ts'
import { createTraffic } from '../../../node/net/traffic.ts'
import { expect } from 'chai'
import { createCapacityTable } from '../../../node/capacity/table.ts'
import { createAdminGateway, createHubGateway } from '../../../node/hub-gateway.ts'
import type { Dispatcher } from '../../../node/jobs/dispatcher.ts'
import type { JobOrder } from '../../../node/jobs/job-order.ts'
import type { CompleteOptions, NodeStatus } from '../../../node/gateway.ts'
import { createRemoteGateway } from '../../../node/remote-gateway.ts'
import { createStatus } from '../../../node/status.ts'
import type { AccountClient } from '../../../node/settlement/account-client.ts'
import type { HubLedger } from '../../../ledger/interface.ts'
import { apiKeyFromSeed } from '../../../protocol/api-key.ts'
import type { KeyTerms } from '../../../protocol/key-terms.ts'
import type { RoutingWishes } from '../../../protocol/routing.ts'
import { noClouds } from '../../support/cloud-market.ts'
import { codeOf } from '../../support/code-of.ts'
import { aCapacity, aRequest } from '../../support/completions.ts'
import { fakeClock } from '../../support/fake-clock.ts'
import { fakeLedger } from '../../support/fake-ledger.ts'
import { testFederation, testKey } from '../../support/federation.ts'

const noStatus = () => ({}) as NodeStatus

describe('node/hub-gateway', () => {
  function setUp() {
    const clock = fakeClock()
    const fake = fakeLedger()
    const ledger = fake as unknown as HubLedger
    const table = createCapacityTable({ clock }, { demoAllowed: true })
    table.put(aCapacity({ peer: testKey().signer.publicKey }, clock.now()))
    const orders: JobOrder[] = []
    const dispatcher = { run: (order: JobOrder) => { orders.push(order); return (async function* () { yield* [] })() } } as unknown as Dispatcher
    return { fake, orders, gateway: createHubGateway({ ledger, table, clouds: noClouds, dispatcher, keys: createKeyDesk({ ledger }), clock, status: noStatus }), admin: createAdminGateway({ ledger }, { hubNames: ['a', 'b', 'c'], hubIndex: 0 }) }
  }

  it('knows a key by its public half, and refuses others', async () => {
    const { fake, gateway } = setUp()
    const key = testKey()
    const account = fake.addAccount(key.signer.publicKey, { name: 'me', tier: 'unlimited' })
    const principal = await gateway.authenticate(apiKeyFromSeed(key.seed))
    expect(principal).to.deep.include({ account: account.id, accountName: 'me', tier: 'unlimited' })
    for (const text of ['', 'tf-', 'sk-123', apiKeyFromSeed(testKey().seed)]) expect(await codeOf(gateway.authenticate(text)), text).to.equal('INVALID_API_KEY')
    await fake.revokeKey({ publicKey: key.signer.publicKey })
    expect(await codeOf(gateway.authenticate(apiKeyFromSeed(key.seed)))).to.equal('INVALID_API_KEY')
  })

  it('takes no key of a machine that is lent for an API key', async () => {
    const { fake } = setUp()
    const [key, machine] = [testKey(), testKey()]
    const account = fake.addAccount(key.signer.publicKey)
    await fake.addKey({ publicKey: machine.signer.publicKey, account: account.id, name: 'box' })
    const gateway = createHubGateway({
      ledger: fake as unknown as HubLedger, table: createCapacityTable({ clock: fakeClock() }, { demoAllowed: true }), clouds: noClouds, dispatcher: {} as Dispatcher, keys: createKeyDesk({ ledger: fake as unknown as HubLedger }),
      clock: fakeClock(), status: noStatus, isNodeKey: (publicKey) => Buffer.compare(publicKey, machine.signer.publicKey) === 0,
    })
    expect(await codeOf(gateway.authenticate(apiKeyFromSeed(machine.seed)))).to.equal('INVALID_API_KEY')
    expect(await codeOf(gateway.authenticate(apiKeyFromSeed(key.seed)))).to.equal('none')
  })

  it('runs a job for the account with its tier', async () => {
    const { fake, gateway, orders } = setUp()
    const key = testKey()
    fake.addAccount(key.signer.publicKey, { tier: 'unlimited' })
    const principal = await gateway.authenticate(apiKeyFromSeed(key.seed))
    gateway.complete(principal, aRequest(), { signal: new AbortController().signal })
    expect(orders[0]).to.deep.include({ tier: 'unlimited', account: principal.account })
    expect((await gateway.models(principal)).map((model) => model.id)).to.deep.equal(['tiny'])
    expect(await codeOf(gateway.receiptFile(principal, new Uint8Array(16)))).to.equal('RECEIPT_NOT_FOUND')
  })

  it('tells an account its credits, its statement and the file of it', async () => {
    const { fake, gateway } = setUp()
    const key = testKey()
    fake.addAccount(key.signer.publicKey, { name: 'me' })
    const principal = await gateway.authenticate(apiKeyFromSeed(key.seed))
    fake.moneyOf = { ...fake.moneyOf, earnedUnpaid: 12n }
    expect(await gateway.credits(principal)).to.deep.include({ name: 'me', earnedUnpaid: 12n, earnedToday: 0n })
    expect(await gateway.statement(principal, { limit: 5 })).to.deep.equal([])
    expect(await codeOf(gateway.statementFile(principal))).to.equal('NOT_FOUND')
    fake.file = 'signed'
    expect(await gateway.statementFile(principal)).to.equal('signed')
  })

  it('opens accounts for an admin and shows them', async () => {
    const { admin } = setUp()
    const opened = await admin.openAccount({ publicKey: testKey().signer.publicKey, name: 'new', tier: 'free' })
    expect(opened).to.include({ name: 'new', tier: 'free', balanceMicroCredits: 0n })
    expect(admin.accounts()).to.deep.equal([opened])
  })
})

describe('node/remote-gateway', () => {
  it('asks a hub in the name of the key, and never sends the key', async () => {
    const key = testKey()
    const asked: string[] = []
    const client = {
      ask: (signer: unknown, action: string, body: unknown) => {
        asked.push(`${action} ${JSON.stringify(body)}`)
        return Promise.resolve({ answer: { account: new Uint8Array(16), name: 'me', tier: 'free', balance: '5', models: [], receipts: [], lines: [], file: 'f' } })
      },
    } as unknown as AccountClient
    const gateway = createRemoteGateway({ client, jobs: { run: () => (async function* () { yield* [] })(), counts: { running: 0, served: 0, failed: 0 } }, status: noStatus })
    expect(await codeOf(gateway.authenticate('nonsense'))).to.equal('INVALID_API_KEY')
    const text = apiKeyFromSeed(key.seed)
    const principal = await gateway.authenticate(text)
    expect(Buffer.from(principal.signer.publicKey)).to.deep.equal(Buffer.from(key.signer.publicKey))
    expect((await gateway.account(principal)).balanceMicroCredits).to.equal(5n)
    await gateway.receipts(principal, { limit: 3, before: 9 })
    const id = new Uint8Array(16).fill(7)
    await gateway.statement(principal, { limit: 3, from: 9, after: { at: 5, id } })
    expect(asked[3]).to.match(/^statement \{"limit":3,"from":9,"after":\{"at":5,"id":/)
    expect(await gateway.statementFile(principal)).to.equal('f')
    expect(await gateway.receiptFile(principal, new Uint8Array(16))).to.equal('f')
    expect(asked[0]).to.equal('account {}')
    expect(asked[2]).to.equal('receipts {"limit":3,"before":9}')
    expect(asked.join()).to.not.contain(text)
  })

  it('keeps every job within the privacy class of the key, before anything leaves this node', async () => {
    const routings: (RoutingWishes | undefined)[] = []
    const jobs = {
      run: (_signer: unknown, _request: unknown, { routing }: CompleteOptions) => {
        routings.push(routing)
        return (async function* () { yield* [] })()
      },
      counts: { running: 0, served: 0, failed: 0 },
    }
    const gateway = createRemoteGateway({ client: {} as AccountClient, jobs, status: noStatus })
    const { signal } = new AbortController()
    async function asked(terms: KeyTerms | undefined, routing: RoutingWishes | undefined): Promise<(RoutingWishes | undefined)[]> {
      const principal = { account: new Uint8Array(16), accountName: '', tier: '', signer: testKey().signer, ...(terms === undefined ? {} : { terms }) }
      const options = { signal, ...(routing === undefined ? {} : { routing }) }
      routings.length = 0
      for await (const _event of gateway.complete(principal, aRequest(), options));
      await gateway.embed(principal, { kind: 'embedding', model: 'm', inputs: ['x'] }, options).catch(() => undefined)
      return [...routings]
    }
    const both = (routing: RoutingWishes | undefined) => [routing, routing]
    expect(await asked(undefined, undefined)).to.deep.equal(both(undefined))
    expect(await asked(undefined, { privacy: 'any' })).to.deep.equal(both({ privacy: 'any' }))
    expect(await asked({ dayBudget: 5n }, undefined)).to.deep.equal(both(undefined))
    for (const [key, wished, kept] of [
      ['own', undefined, 'own'], ['own', 'cloud', 'own'], ['friends', 'verified', 'friends'], ['verified', 'own', 'own'], ['cloud', 'any', 'any'], ['any', undefined, 'any'],
    ] as const) {
      const routing = wished === undefined ? undefined : { privacy: wished, sort: 'price' as const }
      expect(await asked({ privacy: key }, routing), `${key}, ${wished}`).to.deep.equal(both(routing === undefined ? { privacy: kept } : { privacy: kept, sort: 'price' }))
    }
  })
})

describe('node/status', () => {
  const { federation } = testFederation()
  function statusOf(part: { connected?: readonly string[]; writable?: boolean; offered?: readonly string[]; mode?: 'hub' | 'contributor' | 'consumer' }) {
    const clock = fakeClock()
    return createStatus({
      host: { peerId: 'me', isConnected: (peer) => (part.connected ?? []).includes(peer), connectionCount: () => 3, traffic: createTraffic(), reservedAt: () => [...part.connected ?? []] }, clock,
      jobs: () => ({ running: 0, queued: 0, served: 0, failed: 0 }), offered: () => part.offered ?? [],
      ...(part.writable === undefined ? {} : { ledger: { writable: part.writable, heads: () => [{ hub: 0, epoch: 1, frames: 2, entries: 3, hash: Uint8Array.of(0xab) }] } }),
    }, { name: 'n', mode: part.mode ?? 'consumer', federation, version: '1' })()
  }
  const hub = federation.hubs[1]!.peerId

  it('is ready with a hub, a caught-up ledger where it is a hub, and an engine where it lends', () => {
    expect(statusOf({ connected: [hub] })).to.include({ ready: true, connections: 3 })
    expect(statusOf({}).waitingFor).to.deep.equal(['a connection to a hub'])
    expect(statusOf({ connected: [hub], mode: 'hub', writable: false }).waitingFor).to.deep.equal(['the ledger to be checked and caught up'])
    expect(statusOf({ connected: [hub], mode: 'contributor' }).waitingFor).to.deep.equal(['an engine with a model'])
    expect(statusOf({ connected: [hub], mode: 'contributor', offered: ['tiny'] })).to.deep.include({ ready: true, models: [{ id: 'tiny', hosts: 1 }] })
  })

  it('shows hubs by name and the heads of a hub', () => {
    const status = statusOf({ connected: [hub], mode: 'hub', writable: true })
    expect(status.hubs.map((one) => one.connected)).to.deep.equal([false, true, false])
    expect(status.logs).to.deep.equal([{ hub: federation.hubs[0]!.name, epoch: 1, frames: 2, entries: 3, hash: 'ab' }])
  })
})
