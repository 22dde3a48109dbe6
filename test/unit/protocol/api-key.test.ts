import { expect } from 'chai'
import * as fc from 'fast-check'
import { accountIdOf, apiKeyFromSeed, apiKeySigner } from '../../../protocol/api-key.ts'
import { toHex } from '../../../protocol/bytes.ts'
import { createSigner } from '../../../protocol/crypto.ts'

describe('protocol/api-key', () => {
  it('gives the same signer from the text as from the seed', () => {
    fc.assert(fc.property(fc.uint8Array({ minLength: 32, maxLength: 32 }), (seed) => {
      const text = apiKeyFromSeed(seed)
      expect(text).to.match(/^tf-[1-9A-HJ-NP-Za-km-z]{32,44}$/)
      expect(toHex(apiKeySigner(text)!.publicKey)).to.equal(toHex(createSigner(seed).publicKey))
    }), { numRuns: 30 })
  })

  it('takes no other text for a key', () => {
    const good = apiKeyFromSeed(new Uint8Array(32).fill(7))
    for (const text of ['', 'tf-', good.slice(1), good.toUpperCase(), `${good}1`, good.slice(0, -1), `${good}\n`, `tf-${'0'.repeat(43)}`, `tf-${'1'.repeat(10_000)}`, 'sk-abc']) {
      expect(apiKeySigner(text), text.slice(0, 60)).to.equal(undefined)
    }
  })

  it('names an account by its key', () => {
    const id = accountIdOf(createSigner(new Uint8Array(32)).publicKey)
    expect(id.byteLength).to.equal(16)
    expect(toHex(id)).to.not.equal(toHex(accountIdOf(createSigner(new Uint8Array(32).fill(1)).publicKey)))
  })
})
