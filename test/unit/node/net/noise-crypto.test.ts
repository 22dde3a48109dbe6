import { pureJsCrypto } from '@libp2p/noise'
import { expect } from 'chai'
import * as fc from 'fast-check'
import { Uint8ArrayList } from 'uint8arraylist'
import { noiseCrypto } from '../../../../node/net/noise-crypto.ts'

const bytes = (length: number) => fc.uint8Array({ minLength: length, maxLength: length })
const message = fc.uint8Array({ maxLength: 5_000, size: 'max' })
/** A message as it comes from the muxer: one piece of memory, or a list of pieces. */
const cutAt = (whole: Uint8Array, at: number) => new Uint8ArrayList(whole.slice(0, at), whole.slice(at))

describe('node/net/noise-crypto', () => {
  it('encrypts to the bytes that the library itself makes, from one piece of memory and from several', () => {
    fc.assert(fc.property(message, bytes(12), fc.uint8Array({ maxLength: 40 }), bytes(32), fc.nat(5_000), (plain, nonce, ad, key, at) => {
      const expected = pureJsCrypto.chaCha20Poly1305Encrypt(plain, nonce, ad, key).subarray()
      expect(noiseCrypto.chaCha20Poly1305Encrypt(plain, nonce, ad, key).subarray()).to.deep.equal(Buffer.from(expected))
      expect(noiseCrypto.chaCha20Poly1305Encrypt(cutAt(plain, at), nonce, ad, key).subarray()).to.deep.equal(Buffer.from(expected))
    }), { numRuns: 60 })
  })

  it('decrypts what the library encrypted, into new memory, in place and from a list', () => {
    fc.assert(fc.property(message, bytes(12), fc.uint8Array({ maxLength: 40 }), bytes(32), fc.nat(5_000), (plain, nonce, ad, key, at) => {
      const sealed = new Uint8Array(pureJsCrypto.chaCha20Poly1305Encrypt(plain, nonce, ad, key).subarray())
      const read = (ciphertext: Uint8Array | Uint8ArrayList, dst?: Uint8Array) => Buffer.from(noiseCrypto.chaCha20Poly1305Decrypt(ciphertext, nonce, ad, key, dst).subarray())
      expect(read(sealed)).to.deep.equal(Buffer.from(plain))
      expect(read(cutAt(sealed, at))).to.deep.equal(Buffer.from(plain))
      expect(read(sealed, sealed.subarray(0, -16))).to.deep.equal(Buffer.from(plain))
    }), { numRuns: 60 })
  })

  it('refuses every byte that was changed, and what is too short to have a tag', () => {
    const key = new Uint8Array(32).fill(7)
    const nonce = new Uint8Array(12)
    const ad = Uint8Array.of(1, 2, 3)
    const sealed = noiseCrypto.chaCha20Poly1305Encrypt(new Uint8Array(50).fill(9), nonce, ad, key).subarray()
    for (const [at] of sealed.entries()) {
      const spoiled = new Uint8Array(sealed)
      spoiled[at]! ^= 1
      expect(() => noiseCrypto.chaCha20Poly1305Decrypt(spoiled, nonce, ad, key), `byte ${at}`).to.throw()
    }
    expect(() => noiseCrypto.chaCha20Poly1305Decrypt(sealed, nonce, Uint8Array.of(1, 2, 4), key)).to.throw()
    expect(() => noiseCrypto.chaCha20Poly1305Decrypt(sealed, Uint8Array.from({ length: 12 }, () => 1), ad, key)).to.throw()
    for (let length = 0; length < 16; length += 1) expect(() => noiseCrypto.chaCha20Poly1305Decrypt(sealed.subarray(0, length), nonce, ad, key), `${length} bytes`).to.throw()
  })

  it('agrees with the library on a shared key, from either side', () => {
    fc.assert(fc.property(bytes(32), (seed) => {
      const ours = noiseCrypto.generateX25519KeyPair()
      const theirs = pureJsCrypto.generateX25519KeyPairFromSeed(seed)
      expect(noiseCrypto.generateX25519KeyPairFromSeed(seed).publicKey).to.deep.equal(theirs.publicKey)
      const shared = noiseCrypto.generateX25519SharedKey(ours.privateKey, theirs.publicKey)
      expect(pureJsCrypto.generateX25519SharedKey(theirs.privateKey, ours.publicKey)).to.deep.equal(shared)
    }), { numRuns: 20 })
  })

  it('makes another key pair each time', () => {
    expect(noiseCrypto.generateX25519KeyPair()).to.not.deep.equal(noiseCrypto.generateX25519KeyPair())
  })

  it('refuses a public key of small order, whose shared key everybody knows', () => {
    const { privateKey } = noiseCrypto.generateX25519KeyPair()
    for (const point of [new Uint8Array(32), Uint8Array.of(1, ...new Uint8Array(31))]) expect(() => noiseCrypto.generateX25519SharedKey(privateKey, point)).to.throw()
  })

  it('hashes as the library does', () => {
    fc.assert(fc.property(message, fc.nat(5_000), (data, at) => {
      const expected = Buffer.from(pureJsCrypto.hashSHA256(data))
      expect(Buffer.from(noiseCrypto.hashSHA256(data))).to.deep.equal(expected)
      expect(Buffer.from(noiseCrypto.hashSHA256(cutAt(data, at)))).to.deep.equal(expected)
    }), { numRuns: 30 })
  })
})
