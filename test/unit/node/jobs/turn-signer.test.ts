import { expect } from 'chai'
import { createTurnSigner } from '../../../../node/jobs/turn-signer.ts'
import { createTurnEnd } from '../../../../node/net/turn-end.ts'
import { BATCH_DOCUMENTS_MAX, signatureHolds, type Signed } from '../../../../protocol/signed.ts'
import { settled } from '../../../support/fake-clock.ts'
import { testKey } from '../../../support/federation.ts'

function setUp() {
  const { signer } = testKey()
  let signatures = 0
  const counting = { ...signer, sign: (bytes: Uint8Array) => {
    signatures += 1
    return signer.sign(bytes)
  } }
  const turnEnd = createTurnEnd()
  return { turnSigner: createTurnSigner(counting, turnEnd), turnEnd, signatures: () => signatures }
}

describe('node/jobs/turn-signer', () => {
  it('signs all documents of a turn with one signature, before the frames of the turn leave', async () => {
    const { turnSigner, turnEnd, signatures } = setUp()
    const seen: string[] = []
    const signed: Signed[] = []
    turnEnd.frames(() => seen.push('frames'))
    for (let n = 0; n < 3; n += 1) {
      turnSigner.sign('ticket', { n }, (document) => {
        signed.push(document)
        seen.push(`document ${n}`)
        turnEnd.frames(() => seen.push(`frame of ${n}`))
      })
    }
    expect(seen).to.deep.equal([])
    await settled()
    expect(seen).to.deep.equal(['document 0', 'document 1', 'document 2', 'frames', 'frame of 0', 'frame of 1', 'frame of 2'])
    expect(signatures()).to.equal(1)
    expect(signed.map((document) => signatureHolds('ticket', document))).to.deep.equal([true, true, true])
    turnSigner.sign('ticket', { n: 3 }, (document) => signed.push(document))
    await settled()
    expect(signatures()).to.equal(2)
    expect(signed[3]).to.not.have.property('batch')
  })

  it('takes a second signature where there are more than a batch holds', async () => {
    const { turnSigner, signatures } = setUp()
    const signed: Signed[] = []
    for (let n = 0; n < BATCH_DOCUMENTS_MAX + 1; n += 1) turnSigner.sign('receiptHalf', { n }, (document) => signed.push(document))
    await settled()
    expect(signed).to.have.length(BATCH_DOCUMENTS_MAX + 1)
    expect(signatures()).to.equal(2)
    expect(signatureHolds('receiptHalf', signed[0]!) && signatureHolds('receiptHalf', signed.at(-1)!)).to.equal(true)
  })
})
