import { expect } from 'chai'
import { z } from 'zod'
import { decode, encode } from '../../../protocol/codec.ts'
import { leafHash, rootOfPath } from '../../../protocol/merkle.ts'
import {
  BATCH_DOCUMENTS_MAX, openDocument, signatureDomains, signatureHolds, signDocument, signedBytes, signedSchema, signTogether, type Signed, type SignatureDomain,
} from '../../../protocol/signed.ts'
import { codeOf } from '../../support/code-of.ts'
import { testKey } from '../../support/federation.ts'

const { signer } = testKey()
const schema = z.object({ n: z.number() })

describe('protocol/signed', function () {
  this.timeout(60_000)

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

  const batchOf = (count: number, of = signer) => signTogether(of, Array.from({ length: count }, (_, n) => ({ domain: n % 2 === 0 ? 'ticket' : 'receiptHalf', body: encode({ n }) })))

  it('opens each of several that were signed together, whichever comes first, and one that was alone', async () => {
    for (const count of [1, 2, 3, 8, 13, BATCH_DOCUMENTS_MAX]) {
      const documents = batchOf(count)
      expect(new Set(documents.map(({ signature }) => Buffer.from(signature).toString('hex'))).size).to.equal(1)
      for (const [n, document] of [...documents.entries()].reverse().slice(0, 20)) {
        expect(decode(signedSchema, encode(document))).to.deep.equal(document)
        expect(openDocument(n % 2 === 0 ? 'ticket' : 'receiptHalf', schema, document)).to.deep.equal({ n })
        expect(await codeOf(() => openDocument(n % 2 === 0 ? 'receiptHalf' : 'ticket', schema, document)), 'as another kind').to.equal('SIGNATURE_INVALID')
      }
    }
    expect(batchOf(1)[0]).to.deep.equal(signDocument(signer, 'ticket', { n: 0 }))
  })

  it('refuses every change of a document that was signed with others, also after the others were found good', () => {
    const documents = batchOf(5)
    const [document, other] = [documents[2]!, documents[3]!]
    const holds = (changed: Partial<Signed>) => signatureHolds('ticket', { ...document, ...changed })
    expect(documents.every((each, n) => signatureHolds(n % 2 === 0 ? 'ticket' : 'receiptHalf', each))).to.equal(true)
    const flipped = (bytes: Uint8Array, at: number) => bytes.map((byte, index) => index === at ? byte ^ 0x80 : byte)
    for (const field of ['body', 'key', 'signature'] as const) {
      for (let at = 0; at < document[field].byteLength; at += 1) expect(holds({ [field]: flipped(document[field], at) }), `${field} ${at}`).to.equal(false)
    }
    const batch = document.batch!
    for (const [place, hash] of batch.path.entries()) {
      for (let at = 0; at < 32; at += 1) expect(holds({ batch: { ...batch, path: batch.path.with(place, flipped(hash, at)) } })).to.equal(false)
    }
    for (const changed of [
      { ...batch, index: 3 }, { ...batch, index: 5 }, { ...batch, size: 4 }, { ...batch, size: 9 }, { ...batch, path: batch.path.slice(1) },
      { ...batch, path: [...batch.path, new Uint8Array(32)] }, { ...batch, path: [] }, other.batch,
    ]) expect(holds({ batch: changed })).to.equal(false)
    const { batch: _, ...alone } = document
    expect(signatureHolds('ticket', alone)).to.equal(false)
    expect(holds({ key: testKey().signer.publicKey })).to.equal(false)
  })

  it('takes no root for a document, and no document of a batch for its root', () => {
    const [first] = batchOf(2)
    const root = rootOfPath(leafHash(signedBytes('ticket', first!.body)), 0, 2, first!.batch!.path)!
    for (const domain of Object.keys(signatureDomains) as SignatureDomain[]) {
      expect(signatureHolds(domain, { body: root, key: first!.key, signature: first!.signature }), domain).to.equal(domain === 'batch')
    }
    expect(signatureHolds('ticket', { ...first!, body: root })).to.equal(false)
  })

  it('refuses a body that was signed but does not fit', async () => {
    expect(await codeOf(() => openDocument('ticket', schema, signDocument(signer, 'ticket', { n: 'x' })))).to.equal('FRAME_MALFORMED')
    const odd = Uint8Array.of(0xff)
    expect(await codeOf(() => openDocument('ticket', schema, { body: odd, key: signer.publicKey, signature: signer.sign(signedBytes('ticket', odd)) }))).to.equal('FRAME_MALFORMED')
    expect(encode({ n: 7 })).to.be.instanceOf(Uint8Array)
  })
})
