import { expect } from 'chai'
import { admitReceipt, RUN_MS_TOLERANCE, type AdmissionOptions } from '../../../ledger/admission.ts'
import { decodeEntry, peekEntry } from '../../../ledger/entries/entry.ts'
import type { TriforceError } from '../../../protocol/errors.ts'
import type { Receipt, SignedHalf } from '../../../protocol/messages/receipt.ts'
import { testKey } from '../../support/federation.ts'
import { testReceipt, testTicket, ticketIn, type TestJob } from '../../support/ledger-world.ts'

const hub = testKey().signer
const other = testKey().signer
const options: AdmissionOptions = { network: 'net', hubKey: hub.publicKey }
const job: TestJob = { jobId: new Uint8Array(16).fill(3) }

function fieldOf(receipt: Receipt): unknown {
  try {
    admitReceipt(receipt, options)
    return 'admitted'
  } catch (error) {
    expect((error as TriforceError).code).to.equal('RECEIPT_INVALID')
    return (error as TriforceError).context['field']
  }
}

const forged = (signed: SignedHalf) => ({ ...signed, signature: Uint8Array.from(signed.signature, (byte, index) => index === 5 ? byte ^ 1 : byte) })

describe('ledger/admission', () => {
  it('admits a good receipt, with and without the half of the contributor', () => {
    const receipt = testReceipt('net', hub, job)
    const { entry, bytes } = admitReceipt(receipt, options)
    const { jobId, account, contributor } = ticketIn(receipt.ticket)
    expect(entry).to.deep.include({ k: 'JobReceipt', jobId, account, contributor, ticket: receipt.ticket, observation: receipt.observation })
    expect(decodeEntry(bytes)).to.deep.equal(entry)
    expect(fieldOf(testReceipt('net', hub, { ...job, half: null }))).to.equal('admitted')
  })

  it('names the field that does not fit', () => {
    const good = testReceipt('net', hub, job)
    const long = '\u20ac'.repeat(256)
    const cases: readonly (readonly [string, Receipt])[] = [
      ['ticket.network', testReceipt('other', hub, job)],
      ['ticket.hub', testReceipt('net', other, job)],
      ['ticket.hub', testReceipt('net', hub, { ...job, ticket: { hub: other.publicKey } })],
      ['ticket', { ...good, ticket: Uint8Array.of(0xff) }],
      ['observation.usage', testReceipt('net', hub, { ...job, observation: { usage: { promptTokens: 1, completionTokens: 513 } } })],
      ['half.signature', testReceipt('net', hub, { ...job, contributor: other }, testTicket('net', hub, job))],
      ['half.ticketHash', { ...good, half: testReceipt('net', hub, job).half! }],
      ['half.jobId', testReceipt('net', hub, { ...job, half: { jobId: new Uint8Array(16) } })],
      ['half.usage', testReceipt('net', hub, { ...job, half: { usage: { promptTokens: 12, completionTokens: 41 } } })],
      ['half.outputHash', testReceipt('net', hub, { ...job, half: { outputHash: new Uint8Array(32) } })],
      ['half.finish', testReceipt('net', hub, { ...job, half: { finish: 'length' } })],
      ['half.endMs', testReceipt('net', hub, { ...job, half: { startMs: 10, endMs: 9 } })],
      ['half.endMs', testReceipt('net', hub, { ...job, half: { startMs: 0, endMs: 60_000 + RUN_MS_TOLERANCE + 1 } })],
      ['half.devices', testReceipt('net', hub, { ...job, half: { device: 'a', devices: ['b', 'a'] } })],
      ['half.devices', testReceipt('net', hub, { ...job, half: { device: 'a', devices: ['a'] } })],
      ['half.devices', testReceipt('net', hub, { ...job, half: { device: 'a', devices: Array.from({ length: 17 }, () => 'a') } })],
      ['half', testReceipt('net', hub, { ...job, half: { device: long, devices: Array.from({ length: 16 }, () => long) } })],
      ['half.signature', { ...good, half: forged(good.half!) }],
      ['half', { ...good, half: { ...good.half!, body: Uint8Array.of(0xff) } }],
    ]
    for (const [field, receipt] of cases) expect(fieldOf(receipt)).to.equal(field)
  })

  it('logs what each of several devices earns, and what one earns by itself', () => {
    const two = testReceipt('net', hub, { ...job, half: { device: 'a', devices: ['a', 'b'] } })
    const rates = [{ device: 'a', rate: 3n }, { device: 'b', rate: 4n }]
    const receipt = admitReceipt(two, options, (_, half) => {
      expect(half).to.deep.include({ device: 'a', devices: ['a', 'b'] })
      return rates
    })
    expect(receipt.entry).to.deep.include({ rates }).and.not.have.property('rate')
    expect(decodeEntry(receipt.bytes)).to.deep.equal(receipt.entry)
    expect(peekEntry(receipt.bytes)).to.deep.equal({ kind: 'JobReceipt', eid: receipt.entry.eid })
    expect(admitReceipt(two, options, () => []).entry).to.not.have.any.keys('rate', 'rates')
    expect(admitReceipt(testReceipt('net', hub, job), options, () => 3n).entry).to.deep.include({ rate: 3n }).and.not.have.property('rates')
  })

  it('allows exactly the tokens and the time of the ticket', () => {
    const usage = { promptTokens: 1, completionTokens: 512 }
    expect(fieldOf(testReceipt('net', hub, { ...job, half: { startMs: 0, endMs: 60_000 + RUN_MS_TOLERANCE, usage }, observation: { usage } }))).to.equal('admitted')
  })
})
