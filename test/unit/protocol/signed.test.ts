import { expect } from 'chai'
import { z } from 'zod'
import { encode } from '../../../protocol/codec.ts'
import { openDocument, signatureDomains, signDocument, signedBytes, type SignatureDomain } from '../../../protocol/signed.ts'
import { codeOf } from '../../support/code-of.ts'
import { testKey } from '../../support/federation.ts'

const { signer } = testKey()
const schema = z.object({ n: z.number() })

describe('protocol/signed', () => {
  it('opens what was signed', () => {
    expect(openDocument('ticket', schema, signDocument(signer, 'ticket', { n: 7 }))).to.deep.equal({ n: 7 })
  })

  it('never takes a document of one kind for one of another', async () => {
    const domains = Object.keys(signatureDomains) as SignatureDomain[]
    for (const made of domains) {
      for (const read of domains) {
        expect(await codeOf(() => openDocument(read, schema, signDocument(signer, made, { n: 1 }))), `${made} as ${read}`).to.equal(made === read ? 'none' : 'SIGNATURE_INVALID')
      }
    }
    expect(new Set(Object.values(signatureDomains)).size).to.equal(domains.length)
  })

  it('signs domain, NUL and body, so that no domain is the beginning of another', () => {
    const bytes = signedBytes('ticket', Uint8Array.of(1))
    expect(Buffer.from(bytes)).to.deep.equal(Buffer.concat([Buffer.from('triforce/ticket/1\0'), Buffer.of(1)]))
    for (const domain of Object.values(signatureDomains)) expect(domain).to.match(/^triforce\/[a-z-]+\/\d+$/)
  })

  it('refuses every byte that was changed, before it reads the body', async () => {
    const document = signDocument(signer, 'ticket', { n: 7 })
    for (const field of ['body', 'key', 'signature'] as const) {
      for (let index = 0; index < document[field].byteLength; index += 1) {
        const bytes = document[field].slice()
        bytes[index]! ^= 0x80
        expect(await codeOf(() => openDocument('ticket', schema, { ...document, [field]: bytes }))).to.equal('SIGNATURE_INVALID')
      }
    }
  })

  it('refuses a body that was signed but does not fit', async () => {
    expect(await codeOf(() => openDocument('ticket', schema, signDocument(signer, 'ticket', { n: 'x' })))).to.equal('FRAME_MALFORMED')
    const odd = Uint8Array.of(0xff)
    expect(await codeOf(() => openDocument('ticket', schema, { body: odd, key: signer.publicKey, signature: signer.sign(signedBytes('ticket', odd)) }))).to.equal('FRAME_MALFORMED')
    expect(encode({ n: 7 })).to.be.instanceOf(Uint8Array)
  })
})
