import { expect } from 'chai'
import { createTicketGate, ownTicket, type TicketGateOptions } from '../../../../node/jobs/tickets.ts'
import { encode } from '../../../../protocol/codec.ts'
import { sha256 } from '../../../../protocol/crypto.ts'
import { CLOCK_SKEW_MS_MAX, COMPLETION_TOKENS_MAX, TICKET_VALID_MS } from '../../../../protocol/limits.ts'
import type { Ticket } from '../../../../protocol/messages/ticket.ts'
import { signDocument } from '../../../../protocol/signed.ts'
import { codeOf } from '../../../support/code-of.ts'
import { aRequest } from '../../../support/completions.ts'
import { fakeClock } from '../../../support/fake-clock.ts'
import { testFederation, testKey } from '../../../support/federation.ts'
import { seededRandom } from '../../../support/seeded-random.ts'
import { issuedNow } from '../../../support/issued-ticket.ts'

const { federation, hubs } = testFederation()
const contributor = testKey()
const request = encode(aRequest())
const random = seededRandom(1)

function setUp(options: Partial<TicketGateOptions> = {}) {
  const clock = fakeClock()
  const gate = createTicketGate({ clock }, { federation, publicKey: contributor.signer.publicKey, ...options })
  const issue = (part: { tokensMax?: number } = {}, network = federation.network) => issuedNow({ signer: hubs[0]!.signer, clock, random }, network, {
    contributor: contributor.signer.publicKey, account: new Uint8Array(16), model: 'tiny', requestHash: sha256(request), priority: 2, ...part,
  })
  return { clock, gate, issue }
}

describe('node/jobs/tickets', () => {
  it('admits a good ticket once', async () => {
    const { gate, issue } = setUp()
    const { signed, ticket } = issue({ tokensMax: 7 })
    expect(gate.admit(signed, request)).to.deep.equal(ticket)
    expect(ticket).to.include({ tokensMax: 7, priority: 2 })
    expect(await codeOf(() => gate.admit(signed, request))).to.equal('TICKET_USED')
    expect(await codeOf(() => gate.admit(issue().signed, request))).to.equal('none')
  })

  it('admits a ticket of its own hub that was not signed once, and only from within the process', async () => {
    const { clock, gate } = setUp()
    const order = { contributor: contributor.signer.publicKey, account: new Uint8Array(16), model: 'tiny', requestHash: sha256(request), priority: 2 }
    const own = (part: Partial<typeof order> = {}) => ownTicket({ signer: hubs[0]!.signer, clock, random }, federation.network, { ...order, ...part })
    const { signed, ticket } = own()
    expect(await codeOf(() => gate.admit(signed, request))).to.equal('SIGNATURE_INVALID')
    expect(gate.admit(signed, request, ticket)).to.equal(ticket)
    expect(await codeOf(() => gate.admit(signed, request, ticket))).to.equal('TICKET_USED')
    const other = own({ contributor: testKey().signer.publicKey })
    expect(await codeOf(() => gate.admit(other.signed, request, other.ticket))).to.equal('TICKET_INVALID')
    const changed = own()
    expect(await codeOf(() => gate.admit(changed.signed, encode(aRequest({ seed: 1 })), changed.ticket))).to.equal('TICKET_INVALID')
  })

  it('caps the tokens', () => {
    const { issue } = setUp()
    expect(issue().ticket.tokensMax).to.equal(COMPLETION_TOKENS_MAX)
    expect(issue({ tokensMax: 1_000_000 }).ticket.tokensMax).to.equal(COMPLETION_TOKENS_MAX)
  })

  it('refuses every byte that was changed', async () => {
    const { gate, issue } = setUp()
    const { signed } = issue()
    for (const field of ['body', 'key', 'signature'] as const) {
      for (let index = 0; index < signed[field].byteLength; index += 1) {
        const bytes = signed[field].slice()
        bytes[index]! ^= 1
        expect(await codeOf(() => gate.admit({ ...signed, [field]: bytes }, request)), `${field}[${index}]`).to.equal('SIGNATURE_INVALID')
      }
    }
    expect(await codeOf(() => gate.admit(signed, request))).to.equal('none')
  })

  it('refuses each field that a hub may not choose, even where a hub has signed it', async () => {
    const { gate, issue } = setUp()
    const { ticket } = issue()
    const wrong: Readonly<Record<string, [Partial<Record<keyof Ticket, unknown>>, string]>> = {
      version: [{ v: 2 }, 'FRAME_MALFORMED'],
      'another network': [{ network: 'other' }, 'TICKET_INVALID'],
      'another contributor': [{ contributor: testKey().signer.publicKey }, 'TICKET_INVALID'],
      'another request': [{ requestHash: sha256(Uint8Array.of(1)) }, 'TICKET_INVALID'],
      'cleared by another hub': [{ hub: hubs[1]!.signer.publicKey }, 'NOT_A_HUB'],
      'a short job id': [{ jobId: new Uint8Array(15) }, 'FRAME_MALFORMED'],
      'a model id with a space': [{ model: 'a b' }, 'FRAME_MALFORMED'],
      'negative tokens': [{ tokensMax: -1 }, 'FRAME_MALFORMED'],
    }
    for (const [name, [part, code]] of Object.entries(wrong)) {
      expect(await codeOf(() => gate.admit(signDocument(hubs[0]!.signer, 'ticket', { ...ticket, ...part }), request)), name).to.equal(code)
    }
  })

  it('refuses a signer that is no hub, and a document of another kind', async () => {
    const { gate, issue } = setUp()
    const stranger = testKey().signer
    const { ticket } = issue()
    expect(await codeOf(() => gate.admit(signDocument(stranger, 'ticket', { ...ticket, hub: stranger.publicKey }), request))).to.equal('NOT_A_HUB')
    expect(await codeOf(() => gate.admit(signDocument(stranger, 'ticket', ticket), request))).to.equal('NOT_A_HUB')
    expect(await codeOf(() => gate.admit(signDocument(hubs[0]!.signer, 'receiptHalf', ticket), request))).to.equal('SIGNATURE_INVALID')
  })

  it('refuses after its time, and not one millisecond earlier; never twice at the last one', async () => {
    const { gate, issue, clock } = setUp()
    const [one, two] = [issue().signed, issue().signed]
    clock.advance(TICKET_VALID_MS + CLOCK_SKEW_MS_MAX)
    expect(await codeOf(() => gate.admit(one, request))).to.equal('none')
    expect(await codeOf(() => gate.admit(one, request))).to.equal('TICKET_USED')
    clock.advance(1)
    expect(await codeOf(() => gate.admit(two, request))).to.equal('TICKET_EXPIRED')
    expect(await codeOf(() => gate.admit(one, request))).to.equal('TICKET_EXPIRED')
  })

  it('refuses a ticket from the future beyond the skew of clocks', async () => {
    const { gate, issue, clock } = setUp()
    const { ticket } = issue()
    const later = (ms: number) => signDocument(hubs[0]!.signer, 'ticket', { ...ticket, jobId: random.bytes(16), issuedAt: clock.now() + ms, expiresAt: clock.now() + ms + TICKET_VALID_MS })
    expect(await codeOf(() => gate.admit(later(CLOCK_SKEW_MS_MAX), request))).to.equal('none')
    expect(await codeOf(() => gate.admit(later(CLOCK_SKEW_MS_MAX + 1), request))).to.equal('TICKET_EXPIRED')
  })

  it('remembers a bounded number, and forgets when they have expired', async () => {
    const { gate, issue, clock } = setUp({ rememberedMax: 2 })
    gate.admit(issue().signed, request)
    gate.admit(issue().signed, request)
    expect(await codeOf(() => gate.admit(issue().signed, request))).to.equal('QUEUE_FULL')
    clock.advance(TICKET_VALID_MS + CLOCK_SKEW_MS_MAX + 1)
    expect(await codeOf(() => gate.admit(issue().signed, request))).to.equal('none')
  })
})
