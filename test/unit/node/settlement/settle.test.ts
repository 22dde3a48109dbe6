import { expect } from 'chai'
import { createHash } from 'node:crypto'
import { CPU_DEVICE } from '../../../../node/capacity/devices.ts'
import { settleJob, type SettleOptions } from '../../../../node/settlement/settle.ts'
import { TriforceError } from '../../../../protocol/errors.ts'
import { receiptIdOf } from '../../../../protocol/messages/receipt.ts'
import { codeOf } from '../../../support/code-of.ts'
import { fakeClock } from '../../../support/fake-clock.ts'
import { fakeLedger } from '../../../support/fake-ledger.ts'
import { testKey } from '../../../support/federation.ts'
import { quietLog } from '../../../support/quiet-log.ts'
import { honestHalf } from '../../../support/scripted-host.ts'
import { seededRandom } from '../../../support/seeded-random.ts'
import { issuedNow } from '../../../support/issued-ticket.ts'

const hub = testKey()
const contributor = testKey()

function setUp() {
  const clock = fakeClock()
  const ledger = fakeLedger()
  const issued = issuedNow({ signer: hub.signer, clock, random: seededRandom(2) }, 'net', {
    contributor: contributor.signer.publicKey, account: new Uint8Array(16), model: 'tiny', requestHash: new Uint8Array(32), priority: 0,
  })
  const usage = { promptTokens: 4, completionTokens: 2 }
  const seen: SettleOptions['seen'] = {
    usage, finish: 'stop', observedMs: 12, outputHash: new Uint8Array(createHash('sha256').update('Hi').digest()),
    half: honestHalf(contributor.signer, issued.signed, { text: 'Hi', usage, finish: 'stop' }),
  }
  const settle = (part: Partial<SettleOptions['seen']> = {}) =>
    settleJob({ ledger, clock, log: quietLog() }, { issued, seen: { ...seen, ...part }, path: 'direct', devices: [CPU_DEVICE] })
  return { clock, ledger, issued, usage, settle }
}

describe('node/settlement/settle', () => {
  it('logs ticket, half and what was seen, and gives the receipt id', async () => {
    const { clock, ledger, issued, settle } = setUp()
    const { receiptId, durability, costMicroCredits } = await settle()
    expect(Buffer.from(receiptId)).to.deep.equal(Buffer.from(receiptIdOf(issued.ticket.jobId)))
    expect([durability, costMicroCredits]).to.deep.equal(['replicated', 0n])
    const [receipt] = ledger.appended
    expect(receipt!.ticket).to.equal(issued.signed.body)
    expect(receipt!.observation).to.deep.include({ path: 'direct', observedMs: 12, endedAt: clock.now(), finish: 'stop' })
    expect(receipt!.half).to.not.equal(undefined)
    expect(ledger.devices).to.deep.equal([[CPU_DEVICE]])
  })

  it('leaves out a half that differs from what was seen, or cannot be read', async () => {
    const { ledger, issued, usage, settle } = setUp()
    const lies = [{ text: 'Ho' }, { usage: { ...usage, completionTokens: 3 } }, { finish: 'length' as const }]
    for (const lie of lies) await settle({ half: honestHalf(contributor.signer, issued.signed, { text: 'Hi', usage, finish: 'stop', ...lie }) })
    await settle({ half: { body: Uint8Array.of(0xff), key: contributor.signer.publicKey, signature: new Uint8Array(64) } })
    await settle({ half: undefined })
    expect(ledger.appended.map((receipt) => receipt.half)).to.deep.equal([undefined, undefined, undefined, undefined, undefined])
  })

  it('logs the receipt without the half where the ledger refuses the half', async () => {
    const { ledger, settle } = setUp()
    ledger.onAppend = (receipt) => {
      if (receipt.half !== undefined) throw new TriforceError('RECEIPT_INVALID', { field: 'half.signature' })
    }
    await settle()
    expect(ledger.appended).to.have.length(1)
    expect(ledger.appended[0]).to.not.have.property('half')
  })

  it('passes on whatever else the ledger says', async () => {
    const { ledger, settle } = setUp()
    for (const error of [new TriforceError('RECEIPT_INVALID', { field: 'ticket.hub' }), new TriforceError('LEDGER_READ_ONLY')]) {
      ledger.onAppend = () => { throw error }
      expect(await codeOf(settle())).to.equal(error.code)
    }
    expect(ledger.appended).to.have.length(0)
  })
})
