import { expect } from 'chai'
import { CPU_DEVICE } from '../../../../node/capacity/devices.ts'
import { createCapacityTable } from '../../../../node/capacity/table.ts'
import type { Dispatcher } from '../../../../node/jobs/dispatcher.ts'
import { createRelayRights } from '../../../../node/jobs/relay-rights.ts'
import { createTraffic } from '../../../../node/net/traffic.ts'
import { createAccountDesk } from '../../../../node/settlement/account-desk.ts'
import { createKeyDesk } from '../../../../node/settlement/key-desk.ts'
import { createAccountGate } from '../../../../node/settlement/account-gate.ts'
import { creditsFromWire, lineFromWire } from '../../../../node/settlement/credits.ts'
import type { HubLedger, StatementLine } from '../../../../ledger/interface.ts'
import { decode, encode } from '../../../../protocol/codec.ts'
import { sha256 } from '../../../../protocol/crypto.ts'
import { accountActions, type AccountAction } from '../../../../protocol/messages/control.ts'
import { TICKET_VALID_MS } from '../../../../protocol/limits.ts'
import { receiptIdOf } from '../../../../protocol/messages/receipt.ts'
import { signDocument } from '../../../../protocol/signed.ts'
import { codeOf } from '../../../support/code-of.ts'
import { aCapacity } from '../../../support/completions.ts'
import { fakeClock } from '../../../support/fake-clock.ts'
import { fakeLedger } from '../../../support/fake-ledger.ts'
import { testKey, type TestKey } from '../../../support/federation.ts'
import { noClouds } from '../../../support/cloud-market.ts'
import { quietLog } from '../../../support/quiet-log.ts'
import { seededRandom } from '../../../support/seeded-random.ts'
import { issuedNow } from '../../../support/issued-ticket.ts'

const hub = testKey()
const payer = testKey()
const other = testKey()
const contributor = testKey()

function setUp({ relayed = false } = {}) {
  const clock = fakeClock()
  const random = seededRandom(8)
  const ledger = fakeLedger()
  const account = ledger.addAccount(payer.signer.publicKey, { name: 'payer', tier: 'pro', balanceMicroCredits: 12_345_678_901_234_567_890n })
  ledger.addAccount(other.signer.publicKey)
  const table = createCapacityTable({ clock }, { demoAllowed: true })
  const capacity = aCapacity({ peer: contributor.signer.publicKey, name: 'c' }, clock.now())
  table.put(capacity)
  const relayRights = createRelayRights({ clock })
  const traffic = createTraffic()
  const placed: Parameters<Dispatcher['place']>[0][] = []
  const reports: { peer: string; by: string }[] = []
  const issue = (signer = hub.signer, forAccount = account.id) => issuedNow({ signer, clock, random }, 'net', {
    contributor: contributor.signer.publicKey, account: forAccount, model: 'tiny', requestHash: new Uint8Array(32), priority: 1,
  })
  const desk = createAccountDesk({
    ledger: ledger as unknown as HubLedger, table, clouds: noClouds, signer: hub.signer, clock, log: quietLog(),
    reported: (peer, by) => void reports.push({ peer, by }),
    addressesOf: (peer) => Promise.resolve([`/of/${peer}`]), devicesOf: () => [CPU_DEVICE], keys: createKeyDesk({ ledger: ledger as unknown as HubLedger }),
    relayRights, hasRelayed: (peer, host) => peer === 'peer' && host === contributor.peerId && relayed, traffic,
    gate: createAccountGate({ ledger, clock }, { network: 'net', hub: hub.signer.publicKey }),
    dispatcher: {
      explain: (order) => Promise.resolve({ steps: [], leftOut: [{ model: order.model, peer: 'p', name: order.needs.join(), reason: 'draining' }], offers: 1 }),
      place(order) {
        placed.push(order)
        return Promise.resolve({ labels: {}, issued: issue(), host: { row: { peer: contributor.peerId, contributor: '', capacity, receivedAt: 0 }, addresses: order.model === 'unrecorded' ? [] : ['/a', 'x'.repeat(300)] } })
      },
    },
  })
  async function answerTo(action: AccountAction | 'relay', body: unknown, as: TestKey): Promise<Uint8Array> {
    const bytes = encode(body)
    const authorization = signDocument(as.signer, 'accountRequest', {
      v: 1, network: 'net', hub: hub.signer.publicKey, action, bodyHash: sha256(bytes), nonce: random.bytes(16), sentAt: clock.now(),
    })
    return desk.answer('peer', { t: 'account', authorization, body: bytes })
  }
  const ask = {
    account: async (as = payer) => decode(accountActions.account.tell, await answerTo('account', {}, as)),
    models: async () => decode(accountActions.models.tell, await answerTo('models', {}, payer)),
    credits: async (as = payer) => creditsFromWire(decode(accountActions.credits.tell, await answerTo('credits', {}, as))),
    statement: async (body: unknown) => decode(accountActions.statement.tell, await answerTo('statement', body, payer)).lines.map(lineFromWire),
    statementFile: async () => decode(accountActions.statementFile.tell, await answerTo('statementFile', {}, payer)).file,
    receipts: async (limit: number) => decode(accountActions.receipts.tell, await answerTo('receipts', { limit }, payer)),
    receipt: async (id: Uint8Array, as = payer) => decode(accountActions.receipt.tell, await answerTo('receipt', { id }, as)),
    ticket: async (body: unknown) => decode(accountActions.ticket.tell, await answerTo('ticket', body, payer)),
    settle: async (body: unknown, as = payer) => decode(accountActions.settle.tell, await answerTo('settle', body, as)),
    relay: () => answerTo('relay', {}, payer),
  }
  const settleBody = (ticket = issue().signed) => ({
    ticket, observedMs: 5, observedUsage: { promptTokens: 1, completionTokens: 2 }, outputHash: new Uint8Array(32), finish: 'stop',
  })
  return { relayRights, traffic, clock, ledger, account, placed, reports, issue, ask, settleBody }
}

describe('node/settlement/account-desk', () => {
  it('tells an account who it is, and every digit of its balance', async () => {
    const { ask, account } = setUp()
    expect(await ask.account()).to.deep.equal({ account: account.id, name: 'payer', tier: 'pro', balance: '12345678901234567890' })
  })

  it('tells every digit of where the money is, and what was earned today', async () => {
    const { ask, ledger, account, clock } = setUp()
    const huge = 2n ** 66n
    ledger.moneyOf = {
      balance: { available: huge, held: 1n, inflight: 2n, frozen: 3n, back: 4n, debt: 5n }, quota: { day: 20_833, tokensPerDay: null, usedTokens: 7 },
      earnedUnpaid: 8n, earnedPaid: huge,
    }
    const line = (index: number, part: Partial<StatementLine>): StatementLine => ({
      id: new Uint8Array(16).fill(index), kind: 'Vest', at: clock.now(), hub: 0, epoch: 1, seq: index, amount: 3n, held: 0n, quotaTokens: 0, why: 'cpu', hold: undefined,
      receipt: undefined, ...part,
    })
    // Midnight (UTC) parts today's pay from yesterday's.
    const midnight = Math.floor(clock.now() / 86_400_000) * 86_400_000
    ledger.lines = [
      ...Array.from({ length: 150 }, (_, index) => line(index + 1, {})), line(151, { kind: 'Settle', amount: -9n }), line(152, { at: midnight }), line(153, { at: midnight - 1 }),
    ]
    expect(await ask.credits()).to.deep.equal({
      account: account.id, name: 'payer', tier: 'pro', ...ledger.moneyOf, earnedToday: 151n * 3n,
    })
  })

  it('tells the statement page by page, and gives the file as it is', async () => {
    const { ask, ledger } = setUp()
    ledger.lines = [1, 2, 3].map((index) => ({
      id: new Uint8Array(16).fill(index), kind: 'Settle', at: 9, hub: 0, epoch: 1, seq: index, amount: -(2n ** 62n), held: -5n, quotaTokens: index - 2, why: 'gpt-4o',
      hold: new Uint8Array(16).fill(9), receipt: index === 1 ? undefined : new Uint8Array(16).fill(8),
    }))
    const first = await ask.statement({ limit: 2 })
    expect(first).to.deep.equal(ledger.lines.slice(0, 2))
    expect(await ask.statement({ limit: 2, after: { at: first[1]!.at, id: first[1]!.id } })).to.deep.equal(ledger.lines.slice(2))
    expect(await ask.statement({ limit: 2, from: 10 })).to.deep.equal([])
    expect(await codeOf(ask.statement({ limit: 101 }))).to.equal('FRAME_MALFORMED')
    expect(await codeOf(ask.statementFile())).to.equal('NOT_FOUND')
    ledger.file = '{ "as": "it is" }'
    expect(await ask.statementFile()).to.equal('{ "as": "it is" }')
    ledger.file = 'x'.repeat(3 * 1024 * 1024 + 1)
    expect(await codeOf(ask.statementFile())).to.equal('FORBIDDEN')
  })

  it('lists the models that are there', async () => {
    const { ask } = setUp()
    expect((await ask.models()).models.map((model) => model.id)).to.deep.equal(['tiny'])
  })

  it('gives a ticket, with the tier and the needs of the request', async () => {
    const { ask, placed, relayRights, clock, reports } = setUp()
    expect(relayRights.has('peer', contributor.peerId)).to.equal(false)
    const answer = await ask.ticket({
      model: 'tiny', requestHash: new Uint8Array(32), tokensMax: 0, exclude: [other.signer.publicKey], unanswered: [other.signer.publicKey], needs: ['chat', 'json'],
    })
    expect(reports, 'who did not answer is looked at').to.deep.equal([{ peer: other.peerId, by: 'peer' }])
    expect(answer.hostName).to.equal('c')
    expect(answer.addresses, 'an address that no message can carry is left out').to.deep.equal(['/a'])
    expect(placed[0]).to.deep.include({ tier: 'pro', exclude: [other.peerId], needs: ['chat', 'json'] })
    expect(placed[0]).to.not.have.property('tokensMax')
    expect(relayRights.has('peer', contributor.peerId), 'with the ticket comes the right to a circuit').to.equal(true)
    expect(relayRights.has('another', contributor.peerId)).to.equal(false)
    clock.advance(TICKET_VALID_MS)
    expect(relayRights.has('peer', contributor.peerId)).to.equal(false)
  })

  it('names the addresses that a host gave of itself where there is no provider record yet', async () => {
    const { ask } = setUp()
    const answer = await ask.ticket({ model: 'unrecorded', requestHash: new Uint8Array(32), tokensMax: 0, exclude: [], needs: [] })
    expect(answer.addresses).to.have.lengthOf(1).and.satisfy(([address]: string[]) => address!.startsWith('/of/12D3Koo'))
  })

  it('settles a job of the account, and shows its receipt to it and to nobody else', async () => {
    const { ask, issue, settleBody } = setUp()
    const issued = issue()
    const settled = await ask.settle(settleBody(issued.signed))
    const id = receiptIdOf(issued.ticket.jobId)
    expect(Buffer.from(settled.receiptId)).to.deep.equal(Buffer.from(id))
    expect((await ask.receipt(id)).file).to.contain('file of')
    expect(await codeOf(ask.receipt(id, other))).to.equal('RECEIPT_NOT_FOUND')
    expect(await codeOf(ask.receipt(new Uint8Array(16)))).to.equal('RECEIPT_NOT_FOUND')
    const { receipts } = await ask.receipts(10)
    expect(receipts[0]).to.deep.include({ model: 'tiny', contributor: contributor.peerId, hub: hub.peerId, completionTokens: 2, signedBy: ['hub'] })
  })

  it('writes into the receipt on which path the stream went, and believes no circuit that it did not carry', async () => {
    for (const [relayed, said, path, counted] of [[true, 'relay', 'relay', 'relayed'], [false, 'relay', 'direct', 'direct'], [true, 'direct', 'direct', 'direct'], [true, undefined, 'direct', 'direct']] as const) {
      const { ask, issue, settleBody, ledger, traffic } = setUp({ relayed })
      const issued = issue()
      const { receiptId } = await ask.settle({ ...settleBody(issued.signed), ...(said === undefined ? {} : { path: said }) })
      const { receipt } = (await ledger.receipt(receiptId))!
      expect(receipt.observation.path).to.equal(path)
      expect(traffic.byPath[counted].jobs).to.equal(1)
    }
  })

  it('takes no longer time of a job than has gone by since its ticket', async () => {
    const { ask, issue, settleBody, clock } = setUp()
    const issued = issue()
    clock.advance(2_000)
    await ask.settle({ ...settleBody(issued.signed), observedMs: 600_000 })
    const { receipts } = await ask.receipts(10)
    expect(receipts[0]!.observedMs).to.equal(2_000)
  })

  it('refuses to settle what another hub issued, what is forged, and what another account asked for', async () => {
    const { ask, issue, settleBody, ledger } = setUp()
    expect(await codeOf(ask.settle(settleBody(issue(other.signer).signed)))).to.equal('TICKET_INVALID')
    const { signed } = issue()
    expect(await codeOf(ask.settle(settleBody({ ...signed, signature: new Uint8Array(64) })))).to.equal('SIGNATURE_INVALID')
    expect(await codeOf(ask.settle(settleBody(signed), other))).to.equal('FORBIDDEN')
    expect(ledger.appended).to.have.length(0)
  })

  it('refuses a body that does not fit, a stranger, and a job to relay', async () => {
    const { ask } = setUp()
    expect(await codeOf(ask.receipts(101))).to.equal('FRAME_MALFORMED')
    expect(await codeOf(ask.account(testKey()))).to.equal('INVALID_API_KEY')
    expect(await codeOf(ask.relay())).to.equal('PROTOCOL_VIOLATION')
  })
})
